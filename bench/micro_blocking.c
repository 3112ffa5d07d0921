/* SPDX-License-Identifier: MIT */
/* Jobs on the blocking pool. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include "measure.h"
#include "micro_cases.h"

enum { BATCH = 1000, SUBMITTERS = 16, SLEEPERS = 512, PAUSE_NS = 50000 };

typedef struct {
    uint64_t began_ns;
    uint64_t cpu_ns;
} stretch;

static stretch begin(void)
{
    stretch s = {.cpu_ns = measure_cpu_ns(), .began_ns = tn_now()};

    return s;
}

static void note(stretch s, const char *name, const char *unit, double operations)
{
    double took = (double)(tn_now() - s.began_ns);

    measure_note(name, unit, took / operations, (double)(measure_cpu_ns() - s.cpu_ns) / operations);
}

static void *identity(void *arg)
{
    return arg;
}

/* --- From one fiber --------------------------------------------------------------------------------------------------------- */

static void batch(tn_job **jobs)
{
    void *result;

    for (uintptr_t i = 0; i < BATCH; i++)
        measure_check(tn_spawn_blocking(&jobs[i], identity, (void *)i) == 0);
    for (uintptr_t i = 0; i < BATCH; i++)
        measure_check(tn_job_join(jobs[i], &result) == 0 && (uintptr_t)result == i);
}

static void *batches(void *arg)
{
    static tn_job *jobs[BATCH];
    const micro_settings *settings = arg;
    unsigned count = (unsigned)micro_times(settings, 500, 20);
    tn_blocking_counters counters = {.size = sizeof counters};
    uint64_t wakes;
    stretch s;

    for (unsigned i = 0; i < 10; i++)
        batch(jobs);
    measure_check(tn_runtime_blocking(tn_runtime_current(), &counters) == 0);
    wakes = counters.wakes;
    s = begin();
    for (unsigned i = 0; i < count; i++)
        batch(jobs);
    note(s, "spawn_blocking_batch", "ns/call", (double)count * BATCH);
    measure_check(tn_runtime_blocking(tn_runtime_current(), &counters) == 0);
    measure_note("spawn_blocking_batch_wakes", "wakes/batch", (double)(counters.wakes - wakes) / count, -1);
    return NULL;
}

void micro_spawn_blocking_batch(const micro_settings *settings)
{
    tn_runtime *runtime = micro_start(settings);

    micro_run(runtime, batches, (void *)(uintptr_t)settings);
    micro_stop(runtime);
}

static void *join_each(void *arg)
{
    uintptr_t count = (uintptr_t)micro_times(arg, 20000, 500);
    tn_job *job;
    void *result;
    stretch s;

    for (uintptr_t i = 0; i < 500; i++)
        measure_check(tn_run_blocking(identity, (void *)i, &result) == 0 && (uintptr_t)result == i);
    s = begin();
    for (uintptr_t i = 0; i < count; i++) {
        measure_check(tn_spawn_blocking(&job, identity, (void *)i) == 0);
        measure_check(tn_job_join(job, &result) == 0 && (uintptr_t)result == i);
    }
    note(s, "spawn_blocking_roundtrip", "ns/call", (double)count);
    return NULL;
}

typedef struct {
    uintptr_t count;
    const char *row; /* NULL: to warm up */
} calls;

static void *run_each(void *arg)
{
    const calls *self = arg;
    void *result;
    stretch s = begin();

    for (uintptr_t i = 0; i < self->count; i++)
        measure_check(tn_run_blocking(identity, (void *)i, &result) == 0 && (uintptr_t)result == i);
    if (self->row != NULL)
        note(s, self->row, "ns/call", (double)self->count);
    return NULL;
}

void micro_spawn_blocking_roundtrip(const micro_settings *settings)
{
    tn_runtime *runtime = micro_start(settings);

    micro_run(runtime, join_each, (void *)(uintptr_t)settings);
    micro_stop(runtime);
}

/* As it is, and with the function always called by a thread of the pool. */
void micro_blocking_run(const micro_settings *settings)
{
    calls warm = {500, NULL};
    calls here = {(uintptr_t)micro_times(settings, 200000, 500), "blocking_run"};
    calls elsewhere = {(uintptr_t)micro_times(settings, 20000, 500), "blocking_run, thread"};
    tn_options options = tn_options_default();
    tn_runtime *runtime = micro_start(settings);

    micro_run(runtime, run_each, &warm);
    micro_run(runtime, run_each, &here);
    micro_stop(runtime);
    options.blocking_inline_ns = 1;
    runtime = micro_start_with(settings, options);
    micro_run(runtime, run_each, &elsewhere);
    micro_stop(runtime);
}

/* --- From many threads ------------------------------------------------------------------------------------------------------ */

typedef struct {
    tn_runtime *runtime;
    unsigned jobs;
    atomic_ulong *ran;
} submitter;

static void *count_one(void *arg)
{
    atomic_fetch_add((atomic_ulong *)arg, 1);
    return NULL;
}

static void *submit(void *arg)
{
    const submitter *self = arg;

    for (unsigned i = 0; i < self->jobs; i++)
        measure_check(tn_spawn_blocking_on(self->runtime, NULL, NULL, count_one, self->ran) == 0);
    return NULL;
}

/* Answers the processor time of a job. */
static double submit_from(tn_runtime *runtime, unsigned threads, unsigned total, const char *name)
{
    atomic_ulong ran = 0;
    submitter self = {runtime, total / threads, &ran};
    pthread_t ids[SUBMITTERS];
    stretch s = begin();

    for (unsigned i = 0; i < threads; i++)
        measure_check(pthread_create(&ids[i], NULL, submit, &self) == 0);
    for (unsigned i = 0; i < threads; i++)
        measure_check(pthread_join(ids[i], NULL) == 0);
    while (atomic_load(&ran) < (unsigned long)threads * self.jobs) {
        struct timespec pause = {0, 50000};
        nanosleep(&pause, NULL);
    }
    s.cpu_ns = measure_cpu_ns() - s.cpu_ns;
    measure_note(name, "ns/job", (double)(tn_now() - s.began_ns) / ((double)threads * self.jobs),
                 (double)s.cpu_ns / ((double)threads * self.jobs));
    return (double)s.cpu_ns / ((double)threads * self.jobs);
}

void micro_blocking_submitters(const micro_settings *settings)
{
    unsigned total = settings->quick ? 16000 : 800000;
    tn_runtime *runtime = micro_start(settings);
    double one;
    double many;

    (void)submit_from(runtime, 1, total / 10, "blocking_warm_up");
    one = submit_from(runtime, 1, total, "blocking_submit_1");
    many = submit_from(runtime, SUBMITTERS, total, "blocking_submit_16");
    measure_note("blocking_submit_ratio", "cpu of 16 / of 1", many / one, -1);
    micro_stop(runtime);
}

/* --- Jobs that sleep -------------------------------------------------------------------------------------------------------- */

static void *sleep_100_ms(void *arg)
{
    struct timespec pause = {0, 100000000};

    nanosleep(&pause, NULL);
    return arg;
}

static void *sleepers(void *arg)
{
    static tn_job *jobs[SLEEPERS];
    const micro_settings *settings = arg;
    unsigned count = settings->quick ? 64 : SLEEPERS;
    stretch s = begin();

    for (unsigned i = 0; i < count; i++)
        measure_check(tn_spawn_blocking(&jobs[i], sleep_100_ms, NULL) == 0);
    for (unsigned i = 0; i < count; i++)
        measure_check(tn_job_join(jobs[i], NULL) == 0);
    note(s, "blocking_sleepers", "ms", 1e6);
    for (unsigned i = 0; i < 100; i++) /* short ones: another picture of what is to come */
        measure_check(tn_run_blocking(identity, NULL, NULL) == 0);
    s = begin();
    for (unsigned i = 0; i < count; i++)
        measure_check(tn_spawn_blocking(&jobs[i], sleep_100_ms, NULL) == 0);
    for (unsigned i = 0; i < count; i++)
        measure_check(tn_job_join(jobs[i], NULL) == 0);
    note(s, "blocking_sleepers_again", "ms", 1e6);
    return NULL;
}

void micro_blocking_sleepers(const micro_settings *settings)
{
    tn_runtime *runtime = micro_start(settings);

    micro_run(runtime, sleepers, (void *)(uintptr_t)settings);
    micro_stop(runtime);
}

/* --- Declared blocking ------------------------------------------------------------------------------------------------------ */

static void *declare(void *arg)
{
    long pairs = *(long *)arg;

    for (long i = 0; i < pairs; i++) {
        tn_block_begin(TN_BLOCK_LAZY);
        tn_block_end();
    }
    return NULL;
}

void micro_block_declared(const micro_settings *settings)
{
    static const micro_loop loop = {"block_declared", "ns/pair", declare, 50000000, 100000, 1000, 1};

    micro_measure_loop(settings, &loop);
}

typedef struct {
    atomic_uint_fast64_t ran_ns; /* the other one ran; 0: not yet */
    uint64_t *late_ns;
    uint64_t *call_ns;
    size_t count;
} hand_over;

static void *note_the_time(void *arg)
{
    atomic_store(&((hand_over *)arg)->ran_ns, tn_now());
    return NULL;
}

static void spin_for(uint64_t ns)
{
    uint64_t end_ns = tn_now() + ns;

    measure_check(tn_yield() == 0);
    while (tn_now() < end_ns)
        ;
}

/* On the only core: says that it blocks, computes on, and looks when the task behind it has run on the replacement thread. */
static void *hand_over_often(void *arg)
{
    hand_over *self = arg;

    for (size_t i = 0; i < self->count; i++) {
        uint64_t began_ns;
        atomic_store(&self->ran_ns, 0);
        spin_for(PAUSE_NS); /* the replacement thread goes to sleep; the processors do not */
        measure_check(tn_spawn(NULL, note_the_time, self) == 0);
        began_ns = tn_now();
        tn_block_begin(TN_BLOCK_EAGER);
        self->call_ns[i] = tn_now() - began_ns;
        while (atomic_load(&self->ran_ns) == 0)
            ;
        tn_block_end();
        self->late_ns[i] = atomic_load(&self->ran_ns) - began_ns;
    }
    return NULL;
}

void micro_block_eager(const micro_settings *settings)
{
    enum { TIMES = 1000, QUICK_TIMES = 20 };
    static uint64_t late_ns[TIMES];
    static uint64_t call_ns[TIMES];
    micro_settings one = *settings;
    hand_over self = {.late_ns = late_ns, .call_ns = call_ns, .count = settings->quick ? QUICK_TIMES : TIMES};
    tn_runtime *runtime;

    one.workers = 1;
    runtime = micro_start(&one);
    micro_run(runtime, hand_over_often, &self);
    micro_stop(runtime);
    measure_sort(late_ns, self.count);
    measure_sort(call_ns, self.count);
    measure_note("block_eager", "ns to the next task, p50", (double)measure_percentile(late_ns, self.count, 50), -1);
    measure_note("block_eager_call", "ns/call, p50", (double)measure_percentile(call_ns, self.count, 50), -1);
}
