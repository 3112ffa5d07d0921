/* SPDX-License-Identifier: MIT */
/* Many tasks that all wait: what spawning, waking and holding one costs. */
#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "measure.h"
#include "micro_cases.h"

static atomic_long waiting;
static micro_latch ended;

/* --- The system alone ------------------------------------------------------------------------------------------------------- */

#define STACK_APART ((size_t)256 * 1024)

/* What the system takes for the first page of so many stacks, and for its place in the page tables. */
void micro_first_touch(const micro_settings *settings)
{
    size_t count = (size_t)micro_times(settings, 1000000, 10000);
    size_t size = count * STACK_APART;
    char *stacks = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    measure_stretch s;

    measure_check(stacks != MAP_FAILED);
    (void)madvise(stacks, size, MADV_NOHUGEPAGE); /* as for stacks; a kernel without huge pages refuses */
    s = measure_begin();
    for (size_t at = STACK_APART - 1; at < size; at += STACK_APART)
        ((volatile char *)stacks)[at] = 1;
    measure_end(s, "first_touch", "ns/page", (double)count);
    measure_check(munmap(stacks, size) == 0);
}

/* --- Tasks ------------------------------------------------------------------------------------------------------------------ */

/* A stackless task that waits at its gate. */
typedef struct {
    tn_future base;
    micro_latch gate;
    bool started;
} waiter;

static int waiter_poll(tn_future *self, tn_waker *waker)
{
    waiter *w = (waiter *)(void *)self;

    if (!w->started) {
        w->started = true;
        atomic_fetch_add(&waiting, 1);
    }
    return w->gate.base.ops->poll(&w->gate.base, waker);
}

static void waiter_drop(tn_future *self)
{
    waiter *w = (waiter *)(void *)self;

    w->gate.base.ops->drop(&w->gate.base);
    micro_latch_count(&ended);
}

static void *wait_in_fiber(void *arg)
{
    micro_latch *gate = arg;

    atomic_fetch_add(&waiting, 1);
    measure_check(tn_await(&gate->base) == 0);
    micro_latch_count(&ended);
    return NULL;
}

typedef struct {
    const char *rows[3]; /* spawn, size, wake */
    long count;
    bool stackless;
} live_job;

/* Answers what has to be freed in the end. */
static waiter *spawn_waiters(const live_job *job)
{
    static const tn_future_ops ops = {waiter_poll, waiter_drop};
    waiter *waiters = calloc((size_t)job->count, sizeof *waiters);

    measure_check(waiters != NULL);
    for (long i = 0; i < job->count; i++) {
        micro_latch_init(&waiters[i].gate, 1);
        waiters[i].base.ops = &ops;
        if (job->stackless)
            measure_check(tn_spawn_future(NULL, NULL, NULL, &waiters[i].base) == 0);
        else
            measure_check(tn_spawn(NULL, wait_in_fiber, &waiters[i].gate) == 0);
    }
    while (atomic_load(&waiting) < job->count)
        measure_check(tn_yield() == 0);
    return waiters;
}

static void *run_live(void *arg)
{
    const live_job *job = arg;
    size_t resident = measure_resident_bytes();
    measure_stretch s = measure_begin();
    waiter *waiters;

    atomic_store(&waiting, 0);
    micro_latch_init(&ended, job->count);
    waiters = spawn_waiters(job);
    measure_end(s, job->rows[0], "ns/task", (double)job->count);
    measure_check(tn_sleep(10 * TN_MS) == 0); /* the last has come to rest */
    measure_note(job->rows[1], "bytes/task", ((double)measure_resident_bytes() - (double)resident) / (double)job->count, -1);
    s = measure_begin();
    for (long i = 0; i < job->count; i++)
        micro_latch_count(&waiters[i].gate);
    measure_check(tn_await(&ended.base) == 0);
    measure_end(s, job->rows[2], "ns/task", (double)job->count);
    free(waiters);
    return NULL;
}

void micro_live(const micro_settings *settings)
{
    long count = micro_times(settings, 1000000, 10000);
    live_job jobs[] = {
        {{"live_stackless_spawn", "live_stackless_size", "live_stackless_wake"}, count, true},
        {{"live_fibers_spawn", "live_fibers_size", "live_fibers_wake"}, count, false},
    };

    for (int i = 0; i < 2; i++) {
        tn_runtime *runtime;
        if (settings->kind == (jobs[i].stackless ? MICRO_FIBERS : MICRO_STACKLESS))
            continue;
        runtime = micro_start(settings);
        (void)malloc_trim(0); /* what the other has left behind would be used again, and not be seen as growth */
        micro_run(runtime, run_live, &jobs[i]);
        micro_stop(runtime);
    }
}
