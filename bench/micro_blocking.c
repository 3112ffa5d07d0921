/* Jobs on the blocking pool. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include "measure.h"
#include "micro_cases.h"

enum { BATCH = 1000, SUBMITTERS = 16, SLEEPERS = 512 };

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

static void *identity(void *arg) { return arg; }

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
    unsigned count = settings->quick ? 20 : 500;
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
    note(s, "spawn_blocking_batch", "ns/job", (double)count * BATCH);
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

static void *round_trips(void *arg)
{
    const micro_settings *settings = arg;
    uintptr_t count = settings->quick ? 500 : 20000;
    tn_job *job;
    void *result;
    stretch s;

    for (uintptr_t i = 0; i < count / 10; i++)
        measure_check(tn_run_blocking(identity, (void *)i, &result) == 0 && (uintptr_t)result == i);
    s = begin();
    for (uintptr_t i = 0; i < count; i++) {
        measure_check(tn_spawn_blocking(&job, identity, (void *)i) == 0);
        measure_check(tn_job_join(job, &result) == 0 && (uintptr_t)result == i);
    }
    note(s, "spawn_blocking_roundtrip", "ns/job", (double)count);
    s = begin();
    for (uintptr_t i = 0; i < count; i++)
        measure_check(tn_run_blocking(identity, (void *)i, &result) == 0 && (uintptr_t)result == i);
    note(s, "blocking_run", "ns/job", (double)count);
    return NULL;
}

void micro_spawn_blocking_roundtrip(const micro_settings *settings)
{
    tn_runtime *runtime = micro_start(settings);

    micro_run(runtime, round_trips, (void *)(uintptr_t)settings);
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

static void submit_from(tn_runtime *runtime, unsigned threads, unsigned total, const char *name)
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
    note(s, name, "ns/job", (double)threads * self.jobs);
}

void micro_blocking_submitters(const micro_settings *settings)
{
    unsigned total = settings->quick ? 16000 : 800000;
    tn_runtime *runtime = micro_start(settings);

    submit_from(runtime, 1, total / 10, "blocking_warm_up");
    submit_from(runtime, 1, total, "blocking_submit_1");
    submit_from(runtime, SUBMITTERS, total, "blocking_submit_16");
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
