/* SPDX-License-Identifier: MIT */
/* Time: many sleepers, how late they wake, and what it costs to have nothing to do. */
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include "measure.h"
#include "micro_cases.h"

/* Blocks the calling thread, without the runtime. */
static void pause_thread(uint64_t ns)
{
    struct timespec time = {.tv_sec = (time_t)(ns / TN_S), .tv_nsec = (long)(ns % TN_S)};

    while (nanosleep(&time, &time) != 0)
        ;
}

/* A number from `low` to `high`; the same sequence in every run (xorshift64, Marsaglia 2003). */
static uint64_t pick(uint64_t *state, uint64_t low, uint64_t high)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return low + *state % (high - low + 1);
}

/* --- Many sleepers ---------------------------------------------------------------------------------------------------------- */

static micro_latch sleepers;
static atomic_long started;
static atomic_long early;

/* A stackless task: sleeps from its first poll on. */
typedef struct {
    tn_future base;
    tn_sleep_future sleep;
    uint64_t ns;
    bool started;
} sleeper;

static int sleeper_poll(tn_future *self, tn_waker *waker)
{
    sleeper *s = (sleeper *)(void *)self;
    int rc;

    if (!s->started) {
        tn_sleep_init(&s->sleep, tn_now() + s->ns);
        s->started = true;
        atomic_fetch_add(&started, 1);
    }
    rc = s->sleep.base.ops->poll(&s->sleep.base, waker);
    if (rc != TN_PENDING && tn_now() < s->sleep.deadline_ns)
        atomic_fetch_add(&early, 1);
    return rc;
}

static void sleeper_drop(tn_future *self)
{
    sleeper *s = (sleeper *)(void *)self;

    s->sleep.base.ops->drop(&s->sleep.base);
    micro_latch_count(&sleepers);
}

static void *sleep_in_fiber(void *arg)
{
    uint64_t ns = (uint64_t)(uintptr_t)arg;
    uint64_t began_ns = tn_now();

    atomic_fetch_add(&started, 1);
    measure_check(tn_sleep(ns) == 0);
    if (tn_now() < began_ns + ns)
        atomic_fetch_add(&early, 1);
    micro_latch_count(&sleepers);
    return NULL;
}

typedef struct {
    long count;
    sleeper *futures; /* NULL: fibers */
    uint64_t took_ns; /* from the first spawn to the last end */
    double bytes;     /* resident memory a task, when the last has fallen asleep; -1: others may have woken by then */
} sleep_job;

static void *spawn_sleepers(void *arg)
{
    static const tn_future_ops ops = {sleeper_poll, sleeper_drop};
    sleep_job *job = arg;
    uint64_t random = 88172645463325252;
    size_t resident = measure_resident_bytes();
    uint64_t began_ns = tn_now();

    micro_latch_init(&sleepers, job->count);
    for (long i = 0; i < job->count; i++) {
        uint64_t ns = pick(&random, 2 * TN_S, 3 * TN_S);
        if (job->futures == NULL) {
            measure_check(tn_spawn(NULL, sleep_in_fiber, (void *)(uintptr_t)ns) == 0);
            continue;
        }
        job->futures[i] = (sleeper){.base = {&ops}, .ns = ns};
        measure_check(tn_spawn_future(NULL, NULL, NULL, &job->futures[i].base) == 0);
    }
    while (atomic_load(&started) < job->count)
        measure_check(tn_sleep(10 * TN_MS) == 0);
    job->bytes = ((double)measure_resident_bytes() - (double)resident) / (double)job->count;
    if (tn_now() - began_ns > 2 * TN_S)
        job->bytes = -1;
    measure_check(tn_await(&sleepers.base) == 0);
    job->took_ns = tn_now() - began_ns;
    return NULL;
}

static sleep_job run_sleepers(const micro_settings *settings, long count, bool stackless)
{
    tn_runtime *runtime = micro_start(settings);
    sleep_job job = {.count = count, .futures = stackless ? malloc((size_t)count * sizeof(sleeper)) : NULL};

    measure_check(!stackless || job.futures != NULL);
    (void)malloc_trim(0); /* what earlier rounds have left behind would be used again, and not be seen as growth */
    atomic_store(&started, 0);
    atomic_store(&early, 0);
    micro_run(runtime, spawn_sleepers, &job);
    measure_check(atomic_load(&early) == 0);
    micro_stop(runtime);
    free(job.futures);
    return job;
}

static void sleep_and_note(const micro_settings *settings, const char *name, const char *size_name, bool stackless)
{
    long count = micro_times(settings, 1000000, 10000);
    uint64_t cpu_ns = measure_cpu_ns();
    sleep_job job = run_sleepers(settings, count, stackless);

    measure_note(name, "ms beyond 3 s", ((double)job.took_ns - 3e9) / 1e6, (double)(measure_cpu_ns() - cpu_ns) / 1e6);
    if (job.bytes >= 0)
        measure_note(size_name, "bytes/task", job.bytes, -1);
}

void micro_timers(const micro_settings *settings)
{
    if (settings->kind != MICRO_FIBERS)
        sleep_and_note(settings, "timers_stackless", "timers_stackless_size", true);
    if (settings->kind != MICRO_STACKLESS)
        sleep_and_note(settings, "timers_fibers", "timers_fibers_size", false);
}

/* --- Lateness --------------------------------------------------------------------------------------------------------------- */

enum { NAPPERS = 20, NAPS = 100, BUSY_A_WORKER = 4 };

static struct {
    uint64_t late_ns[NAPPERS][NAPS];
    atomic_bool stop;
    atomic_ulong yields;
} naps;

static void *nap_often(void *arg)
{
    size_t self = (size_t)(uintptr_t)arg;
    uint64_t random = 88172645463325252 + self * 2654435761;
    unsigned count = 0;

    while (count < NAPS) {
        uint64_t ns = pick(&random, TN_MS, 50 * TN_MS);
        uint64_t due_ns = tn_now() + ns;
        uint64_t now_ns;
        measure_check(tn_sleep(ns) == 0);
        now_ns = tn_now();
        measure_check(now_ns >= due_ns);
        naps.late_ns[self][count++] = now_ns - due_ns;
    }
    return NULL;
}

static void *be_busy(void *arg)
{
    unsigned long yields = 0;

    (void)arg;
    while (!atomic_load_explicit(&naps.stop, memory_order_relaxed)) {
        measure_check(tn_yield() == 0);
        yields++;
    }
    atomic_fetch_add(&naps.yields, yields);
    return NULL;
}

static void *run_naps(void *arg)
{
    const unsigned *busy = arg;
    tn_task *nappers[NAPPERS];
    tn_task **yielders = calloc(*busy + 1, sizeof(tn_task *));

    measure_check(yielders != NULL);
    atomic_store(&naps.stop, false);
    atomic_store(&naps.yields, 0);
    for (unsigned i = 0; i < *busy; i++)
        measure_check(tn_spawn(&yielders[i], be_busy, NULL) == 0);
    for (uintptr_t i = 0; i < NAPPERS; i++)
        measure_check(tn_spawn(&nappers[i], nap_often, (void *)i) == 0);
    for (int i = 0; i < NAPPERS; i++)
        measure_check(tn_join(nappers[i], NULL) == 0);
    atomic_store(&naps.stop, true);
    for (unsigned i = 0; i < *busy; i++)
        measure_check(tn_join(yielders[i], NULL) == 0);
    measure_check(*busy == 0 || atomic_load(&naps.yields) > 1000);
    free(yielders);
    return NULL;
}

static void note_lateness(const char *const names[3])
{
    const uint64_t *all = &naps.late_ns[0][0];
    const double percents[] = {50, 99, 100};

    measure_sort(&naps.late_ns[0][0], (size_t)NAPPERS * NAPS);
    for (int i = 0; i < 3; i++)
        measure_note(names[i], "us late", (double)measure_percentile(all, (size_t)NAPPERS * NAPS, percents[i]) / 1e3, -1);
}

void micro_lateness(const micro_settings *settings)
{
    static const char *const idle_names[] = {"lateness_idle_p50", "lateness_idle_p99", "lateness_idle_max"};
    static const char *const busy_names[] = {"lateness_busy_p50", "lateness_busy_p99", "lateness_busy_max"};
    tn_runtime *runtime = micro_start(settings);
    unsigned busy = 0;

    micro_run(runtime, run_naps, &busy);
    note_lateness(idle_names);
    micro_show_times(settings, "lateness_idle", "lateness, idle runtime (last round)", &naps.late_ns[0][0],
                     (size_t)NAPPERS * NAPS);
    busy = BUSY_A_WORKER * settings->workers;
    micro_run(runtime, run_naps, &busy);
    note_lateness(busy_names);
    micro_show_times(settings, "lateness_busy", "lateness, all workers busy with yielding tasks (last round)",
                     &naps.late_ns[0][0], (size_t)NAPPERS * NAPS);
    micro_stop(runtime);
}

/* --- Idle ------------------------------------------------------------------------------------------------------------------- */

enum { WAITERS = 100 };

static micro_latch gate;

/* Waits for as long as the runtime is to be idle. */
static void *wait_at_gate(void *arg)
{
    micro_latch *own = arg;

    measure_check(tn_await(&own->base) == 0);
    micro_latch_count(&gate);
    return NULL;
}

void micro_idle(const micro_settings *settings)
{
    static micro_latch own[WAITERS];
    tn_runtime *runtime = micro_start(settings);
    uint64_t length_ns = settings->quick ? TN_S / 2 : 3 * TN_S;
    uint64_t cpu_ns;
    uint64_t wakes;

    micro_latch_init(&gate, WAITERS);
    for (int i = 0; i < WAITERS; i++) {
        micro_latch_init(&own[i], 1);
        measure_check(tn_spawn_on(runtime, NULL, NULL, wait_at_gate, &own[i]) == 0);
    }
    pause_thread(TN_S / 2); /* it goes to rest */
    measure_check(tn_runtime_tasks(runtime) == WAITERS);
    wakes = measure_wakes_of_others();
    cpu_ns = measure_cpu_ns();
    pause_thread(length_ns);
    cpu_ns = measure_cpu_ns() - cpu_ns;
    wakes = measure_wakes_of_others() - wakes;
    measure_note("idle_wakes", "wake-ups", (double)wakes, -1);
    measure_note("idle_cpu", "us", (double)cpu_ns / 1e3, -1);
    for (int i = 0; i < WAITERS; i++)
        micro_latch_count(&own[i]);
    measure_check(tn_await(&gate.base) == 0);
    micro_stop(runtime);
}
