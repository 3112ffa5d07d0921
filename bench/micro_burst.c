/* SPDX-License-Identifier: MIT */
/* Resident memory before, at the peak of, and after a burst of tasks that all live at the same time. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"
#include "micro_cases.h"

#define MIB ((double)(1024 * 1024))
/* Memory is back when no more is left than a tenth beyond what there was, and what the runtime keeps. */
#define KEPT_BYTES ((size_t)8 << 20)
#define BACK_WITHIN_NS (10 * TN_S)

enum { USED_BYTES = 16 * 1024 };

typedef struct {
    const char *rows[4]; /* before, peak, after, seconds */
    long count;
    bool stackless;
} burst;

static atomic_long living;
static size_t peak;

static void *use_stack(void *arg)
{
    const burst *b = arg;
    char used[USED_BYTES];

    memset(used, 1, sizeof used);
    __asm__ volatile("" : : "r"(used) : "memory");
    if (atomic_fetch_add(&living, 1) + 1 == b->count)
        peak = measure_resident_bytes();
    while (atomic_load(&living) < b->count)
        measure_check(tn_sleep(10 * TN_MS) == 0);
    return NULL;
}

static void *burst_of_fibers(void *arg)
{
    const burst *b = arg;
    tn_task **tasks = calloc((size_t)b->count, sizeof(tn_task *));

    measure_check(tasks != NULL);
    for (long i = 0; i < b->count; i++)
        measure_check(tn_spawn(&tasks[i], use_stack, arg) == 0);
    for (long i = 0; i < b->count; i++)
        measure_check(tn_join(tasks[i], NULL) == 0);
    free(tasks);
    return NULL;
}

static void *burst_of_stackless(void *arg)
{
    const burst *b = arg;
    tn_task **tasks = calloc((size_t)b->count, sizeof(tn_task *));
    tn_sleep_future *sleeps = calloc((size_t)b->count, sizeof *sleeps);
    uint64_t end_ns = tn_now() + 2 * TN_S;

    measure_check(tasks != NULL && sleeps != NULL);
    for (long i = 0; i < b->count; i++) {
        tn_sleep_init(&sleeps[i], end_ns);
        measure_check(tn_spawn_future(NULL, NULL, &tasks[i], &sleeps[i].base) == 0);
    }
    peak = measure_resident_bytes();
    for (long i = 0; i < b->count; i++)
        measure_check(tn_join(tasks[i], NULL) == 0);
    free(sleeps);
    free(tasks);
    return NULL;
}

static void *wait_until_back(void *arg)
{
    size_t limit = *(const size_t *)arg;
    uint64_t end_ns = tn_now() + BACK_WITHIN_NS;

    while (measure_resident_bytes() > limit && tn_now() < end_ns)
        measure_check(tn_sleep(50 * TN_MS) == 0);
    return NULL;
}

static void run_burst(tn_runtime *runtime, const burst *b)
{
    size_t before = measure_resident_bytes();
    size_t limit = before + before / 10 + KEPT_BYTES;
    uint64_t ended_ns;
    size_t after;

    atomic_store(&living, 0);
    measure_check(tn_block_on(runtime, b->stackless ? burst_of_stackless : burst_of_fibers, (void *)(uintptr_t)b, NULL) == 0);
    (void)malloc_trim(0); /* what the case itself has freed */
    ended_ns = tn_now();
    measure_check(tn_block_on(runtime, wait_until_back, &limit, NULL) == 0);
    after = measure_resident_bytes();
    measure_note(b->rows[0], "MiB", (double)before / MIB, -1);
    measure_note(b->rows[1], "MiB", (double)peak / MIB, -1);
    measure_note(b->rows[2], "MiB", (double)after / MIB, -1);
    measure_note(b->rows[3], "s", (double)(tn_now() - ended_ns) / 1e9, -1);
    measure_check(after <= limit);
}

void micro_burst(const micro_settings *settings)
{
    burst bursts[] = {
        {{"burst_fibers_before", "burst_fibers_peak", "burst_fibers_after", "burst_fibers_back"},
         micro_times(settings, 20000, 2000),
         false},
        {{"burst_stackless_before", "burst_stackless_peak", "burst_stackless_after", "burst_stackless_back"},
         micro_times(settings, 300000, 30000),
         true},
    };
    tn_runtime *runtime = micro_start(settings);

    for (int i = 0; i < 2; i++)
        run_burst(runtime, &bursts[i]);
    micro_stop(runtime);
}
