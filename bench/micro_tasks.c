/* SPDX-License-Identifier: MIT */
/* Spawning, joining, yielding, waking. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"
#include "micro_cases.h"

/* --- The switch alone ------------------------------------------------------------------------------------------------------- */

/* Two hidden functions of the static library, declared as in runtime/fiber/fiber_enter.h: benchmarks include no private header. A
 * sanitizer would have to be told of each switch: under one this case means nothing. */
void *tni_fiber_switch(void **save_sp, void *to_sp, void *message);
void *tni_fiber_frame(void *top, void (*entry)(void *), void *arg);

#define CONTEXTS ((size_t)200)
#define CONTEXT_STACK ((size_t)16 * 1024)

static struct {
    void *sp[CONTEXTS];
    void *main_sp;
    uint64_t entered[CONTEXTS];
    uint64_t left;
} ring;

static void ring_main(void *arg)
{
    size_t self = (size_t)(uintptr_t)arg;
    size_t next = (self + 1) % CONTEXTS;

    for (;;) {
        ring.entered[self]++;
        if (--ring.left == 0)
            (void)tni_fiber_switch(&ring.sp[self], ring.main_sp, NULL);
        (void)tni_fiber_switch(&ring.sp[self], ring.sp[next], NULL);
    }
}

void micro_switch_loop(const micro_settings *settings)
{
    uint64_t turns = settings->quick ? 1000 : 50000;
    char *stacks = malloc(CONTEXTS * CONTEXT_STACK);
    measure_stretch s;

    measure_check(stacks != NULL);
    for (size_t i = 0; i < CONTEXTS; i++) {
        /* Tops at different offsets, as the runtime's are: else they meet in few sets of the cache. */
        uintptr_t top = ((uintptr_t)stacks + (i + 1) * CONTEXT_STACK - 128 * (i % 16)) & ~(uintptr_t)63;
        ring.sp[i] = tni_fiber_frame((void *)top, ring_main, (void *)(uintptr_t)i);
        ring.entered[i] = 0;
    }
    ring.left = CONTEXTS * turns;
    s = measure_begin();
    (void)tni_fiber_switch(&ring.main_sp, ring.sp[0], NULL);
    measure_end(s, "switch_loop", "ns/switch", (double)(CONTEXTS * turns));
    for (size_t i = 0; i < CONTEXTS; i++)
        measure_check(ring.entered[i] == turns);
    free(stacks);
}

/* --- Spawn and join --------------------------------------------------------------------------------------------------------- */

static void *answer(void *arg)
{
    return arg;
}

static void *spawn_and_join(void *arg)
{
    const long *count = arg;

    for (intptr_t i = 0; i < *count; i++) {
        tn_task *task;
        void *result;
        measure_check(tn_spawn(&task, answer, (void *)i) == 0);
        measure_check(tn_join(task, &result) == 0 && result == (void *)i);
    }
    return NULL;
}

void micro_spawn_join(const micro_settings *settings)
{
    static const micro_loop loop = {"spawn_join", "ns/op", spawn_and_join, 1000000, 10000, 10000, 1};

    micro_measure_loop(settings, &loop);
}

/* --- Many at once ----------------------------------------------------------------------------------------------------------- */

enum { CROWD = 10000 };

static micro_latch crowd;

static void *count_off(void *arg)
{
    micro_latch_count(arg);
    return NULL;
}

/* From a task (runtime NULL) or from outside. */
static void spawn_crowds(tn_runtime *runtime, long times)
{
    for (long t = 0; t < times; t++) {
        micro_latch_init(&crowd, CROWD);
        for (int i = 0; i < CROWD; i++)
            measure_check(tn_spawn_on(runtime, NULL, NULL, count_off, &crowd) == 0);
        measure_check(tn_await(&crowd.base) == 0 && atomic_load(&crowd.left) == 0);
    }
}

static void *spawn_crowds_here(void *arg)
{
    spawn_crowds(NULL, *(const long *)arg);
    return NULL;
}

void micro_spawn_many_local(const micro_settings *settings)
{
    static const micro_loop loop = {"spawn_many_local", "ns/op", spawn_crowds_here, 200, 2, 2, CROWD};

    micro_measure_loop(settings, &loop);
}

void micro_spawn_many_remote(const micro_settings *settings)
{
    tn_runtime *runtime = micro_start(settings);
    long times = micro_times(settings, 200, 2);
    measure_stretch s;

    spawn_crowds(runtime, 2);
    s = measure_begin();
    spawn_crowds(runtime, times);
    measure_end(s, "spawn_many_remote", "ns/op", (double)times * CROWD);
    micro_stop(runtime);
}

/* --- Yield ------------------------------------------------------------------------------------------------------------------ */

enum { YIELDERS = 200, YIELDS = 1000 };

static void *yield_often(void *arg)
{
    intptr_t done = 0;

    (void)arg;
    while (done < YIELDS && tn_yield() == 0)
        done++;
    return (void *)done;
}

static void *yield_rounds(void *arg)
{
    const long *times = arg;
    tn_task *tasks[YIELDERS];

    for (long t = 0; t < *times; t++) {
        for (int i = 0; i < YIELDERS; i++)
            measure_check(tn_spawn(&tasks[i], yield_often, NULL) == 0);
        for (int i = 0; i < YIELDERS; i++) {
            void *done;
            measure_check(tn_join(tasks[i], &done) == 0 && (intptr_t)done == YIELDS);
        }
    }
    return NULL;
}

void micro_yield_many(const micro_settings *settings)
{
    static const micro_loop loop = {"yield_many", "ns/yield", yield_rounds, 50, 1, 1, YIELDERS * YIELDS};

    micro_measure_loop(settings, &loop);
}

/* --- A chain ---------------------------------------------------------------------------------------------------------------- */

enum { LINKS = 1000 };

/* One chain at a time; handed from task to task by the spawn. */
static struct {
    micro_latch end;
    long at;
} chain;

static void *chain_link(void *arg)
{
    (void)arg;
    if (++chain.at < LINKS)
        measure_check(tn_spawn(NULL, chain_link, NULL) == 0);
    else
        micro_latch_count(&chain.end);
    return NULL;
}

static void *run_chains(void *arg)
{
    const long *times = arg;

    for (long t = 0; t < *times; t++) {
        chain.at = 0;
        micro_latch_init(&chain.end, 1);
        measure_check(tn_spawn(NULL, chain_link, NULL) == 0);
        measure_check(tn_await(&chain.end.base) == 0 && chain.at == LINKS);
    }
    return NULL;
}

void micro_chained_spawn(const micro_settings *settings)
{
    static const micro_loop loop = {"chained_spawn", "ns/op", run_chains, 1000, 10, 10, LINKS};

    micro_measure_loop(settings, &loop);
}
