/* SPDX-License-Identifier: MIT */
/* tn_metrics_snapshot: each histogram, gauge and kind of wait shows what was arranged. */
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include <tn/blocking.h>
#include <tn/group.h>
#include <tn/metrics.h>
#include <tn/sync.h>
#include <tn/time.h>

#include "base/histogram.h"
#include "sched/meter.h"
#include "support/runtime.h"

/* --- Histograms ------------------------------------------------------------------------------------------------------------- */

Test(metrics, each_time_is_in_the_bucket_of_its_bounds)
{
    cr_assert_eq(tn_histogram_bound_ns(0), 0);
    cr_assert_eq(tn_histogram_bound_ns(TN_HISTOGRAM_BUCKETS), UINT64_MAX);
    for (unsigned i = 0; i < TN_HISTOGRAM_BUCKETS; i++) {
        uint64_t low = tn_histogram_bound_ns(i);
        uint64_t high = tn_histogram_bound_ns(i + 1);
        cr_assert_lt(low, high);
        cr_assert_eq(tni_histogram_index(low), i);
        cr_assert_eq(tni_histogram_index(high - 1), i);
        if (i >= 4 && i + 1 < TN_HISTOGRAM_BUCKETS)
            cr_assert_leq((high - low) * 4, low, "a bucket is wider than a quarter of its times");
    }
    cr_assert_eq(tni_histogram_index(UINT64_MAX), TN_HISTOGRAM_BUCKETS - 1);
}

Test(metrics, a_quantile_is_not_exceeded_by_that_fraction)
{
    static tni_histogram histogram;
    tn_histogram read = {0};

    cr_assert_eq(tn_histogram_quantile_ns(&read, 0.5), 0);
    for (uint64_t i = 1; i <= 1000; i++)
        tni_histogram_add(&histogram, i * TN_US, 1);
    tni_histogram_add_shared(&histogram, TN_S, 10);
    tni_histogram_read(&histogram, &read);
    cr_assert_eq(read.count, 1010);
    cr_assert_eq(read.sum_ns, UINT64_C(500500) * TN_US + 10 * TN_S);
    cr_assert_geq(tn_histogram_quantile_ns(&read, 0.5), 505 * TN_US);
    cr_assert_leq(tn_histogram_quantile_ns(&read, 0.5), 640 * TN_US);
    cr_assert_geq(tn_histogram_quantile_ns(&read, 1), TN_S);
    cr_assert_leq(tn_histogram_quantile_ns(&read, 1), 5 * TN_S / 4);
}

Test(metrics, a_sampler_measures_all_that_is_slow_and_few_of_what_is_fast)
{
    tni_sampler sampler = {0};
    uint64_t now_ns = TN_S;
    unsigned long hits = 0;
    uint64_t counted = 0;

    for (int i = 0; i < 100; i++, now_ns += 10 * TN_MS) {
        cr_assert(tni_sampler_hits(&sampler));
        cr_assert_eq(tni_sampler_weight(tni_sampler_take(&sampler, now_ns)), 1);
    }
    for (int i = 0; i < 100000; i++, now_ns += 200)
        if (tni_sampler_hits(&sampler)) {
            hits++;
            counted += tni_sampler_weight(tni_sampler_take(&sampler, now_ns));
        }
    cr_assert_lt(hits, 100000 / 256 + 20);
    cr_assert_gt(counted, 99000);
    cr_assert_lt(counted, 101000);
    now_ns += TN_S;
    for (int i = 0; i < 256 && !tni_sampler_hits(&sampler); i++)
        now_ns += TN_MS;
    (void)tni_sampler_take(&sampler, now_ns + TN_S);
    cr_assert(tni_sampler_hits(&sampler), "after a pause each is measured");
}

/* --- A runtime -------------------------------------------------------------------------------------------------------------- */

static tn_metrics take(const tn_runtime *runtime)
{
    tn_metrics m = {.size = sizeof m};

    tt_check(tn_metrics_snapshot(runtime, TN_METRICS_ALL, &m) == 0);
    return m;
}

static const tn_metrics_wait *wait_named(const tn_metrics *m, const char *name)
{
    for (int i = 0; i < TN_METRICS_WAITS; i++)
        if (strcmp(m->waits[i].name, name) == 0)
            return &m->waits[i];
    return NULL;
}

static void spin_for(uint64_t ns)
{
    uint64_t until_ns = tn_now() + ns;

    while (tn_now() < until_ns)
        ;
}

enum { RUNS = 6, DELAYED = 60 };

static void *compute(void *arg)
{
    for (int i = 0; i < RUNS; i++) {
        spin_for(20 * TN_MS);
        (void)tn_sleep(5 * TN_MS);
    }
    return arg;
}

/* How often a histogram has counted a time of at least `ns`. */
static uint64_t count_from(const tn_histogram *histogram, uint64_t ns)
{
    uint64_t count = 0;

    for (unsigned i = tni_histogram_index(ns); i < TN_HISTOGRAM_BUCKETS; i++)
        count += histogram->buckets[i];
    return count;
}

static void *be_child(void *arg)
{
    return arg;
}

/* Makes tasks runnable, and keeps the worker: they wait in its queue. */
static void *delay_others(void *arg)
{
    tn_task *tasks[DELAYED];

    for (int i = 0; i < DELAYED; i++)
        tt_check(tn_spawn(&tasks[i], be_child, NULL) == 0);
    spin_for(30 * TN_MS);
    for (int i = 0; i < DELAYED; i++)
        tt_check(tn_join(tasks[i], NULL) == 0);
    return arg;
}

Test(metrics, long_runs_and_delays_in_the_queue_are_counted)
{
    tn_options options = tt_options();
    tn_runtime *runtime;
    tn_metrics m;

    options.flavor = TN_CURRENT_THREAD; /* no other worker takes the tasks */
    options.workers = 0;
    options.force_migration = false;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, compute, NULL, NULL), 0);
    m = take(runtime);
    cr_assert_geq(count_from(&m.run_length, 16 * TN_MS), RUNS);
    cr_assert_eq(m.cores, 1);
    cr_assert_geq(m.counters.polls, RUNS);
    cr_assert_not_null(wait_named(&m, "sleep"));
    cr_assert_geq(wait_named(&m, "sleep")->count, RUNS - 1);
    cr_assert_geq(wait_named(&m, "sleep")->total_ns, (RUNS - 1) * 4 * TN_MS);
    cr_assert_gt(m.timer_lateness.count, 0);
    cr_assert_eq(tn_block_on(runtime, delay_others, NULL, NULL), 0);
    m = take(runtime);
    cr_assert_geq(count_from(&m.queue_delay, 24 * TN_MS), DELAYED / 2);
    cr_assert_eq(m.tasks, 0);
    tt_runtime_destroy(runtime);
}

typedef struct {
    tn_mutex mutex;
    atomic_int waiting;
} locked;

static void *lock_it(void *arg)
{
    locked *l = arg;

    atomic_fetch_add(&l->waiting, 1);
    tt_check(tn_mutex_lock(&l->mutex) == 0);
    tn_mutex_unlock(&l->mutex);
    return NULL;
}

static void *hold_it(void *arg)
{
    locked *l = arg;
    tn_task *tasks[4];

    tt_check(tn_mutex_lock(&l->mutex) == 0);
    for (int i = 0; i < 4; i++)
        tt_check(tn_spawn(&tasks[i], lock_it, l) == 0);
    while (atomic_load(&l->waiting) < 4)
        (void)tn_sleep(TN_MS);
    (void)tn_sleep(5 * TN_MS);
    tn_mutex_unlock(&l->mutex);
    for (int i = 0; i < 4; i++)
        tt_check(tn_join(tasks[i], NULL) == 0);
    return NULL;
}

static void *sleep_in_job(void *arg)
{
    const struct timespec time = {.tv_nsec = 5 * 1000 * 1000};

    (void)nanosleep(&time, NULL);
    return arg;
}

static void *call_pool(void *arg)
{
    tn_job *job;

    tt_check(tn_spawn_blocking(&job, sleep_in_job, NULL) == 0);
    tt_check(tn_job_join(job, NULL) == 0);
    return arg;
}

static bool has_ended(void *arg)
{
    tn_metrics m = take(arg);

    return m.tasks == 0 && m.pool_ran[TN_METRICS_JOBS].count == 1;
}

Test(metrics, waits_are_told_apart_and_the_pool_is_measured)
{
    tn_runtime *runtime = tt_runtime_create();
    static locked l;
    tn_metrics m;

    tn_mutex_init(&l.mutex);
    cr_assert_eq(tn_block_on(runtime, hold_it, &l, NULL), 0);
    m = take(runtime);
    cr_assert_not_null(wait_named(&m, "mutex"));
    cr_assert_gt(wait_named(&m, "mutex")->count, 0);
    cr_assert_geq(m.stacks, 1);
    cr_assert_eq(m.pool_ran[TN_METRICS_JOBS].count, 0);
    cr_assert_eq(tn_block_on(runtime, call_pool, NULL, NULL), 0);
    cr_assert(tt_wait_until(has_ended, runtime, 10 * TN_S));
    m = take(runtime);
    cr_assert_eq(m.pool_waited[TN_METRICS_JOBS].count, 1);
    cr_assert_geq(m.pool_ran[TN_METRICS_JOBS].sum_ns, 5 * TN_MS);
    cr_assert_eq(m.pool_ran[TN_METRICS_FILES].count, 0);
    cr_assert_geq(m.pool_threads, 1);
    cr_assert_eq(m.cores, tn_runtime_workers(runtime));
    tt_runtime_destroy(runtime);
}

Test(metrics, a_core_has_its_own_and_sizes_are_checked)
{
    tn_runtime *runtime = tt_runtime_create();
    unsigned cores = tn_runtime_workers(runtime);
    tn_metrics m = {.size = sizeof m};
    tn_metrics all = take(runtime);

    cr_assert_eq(tn_metrics_snapshot(runtime, (int)cores, &m), TN_EINVAL);
    cr_assert_eq(tn_metrics_snapshot(runtime, -2, &m), TN_EINVAL);
    cr_assert_eq(tn_metrics_snapshot(runtime, (int)cores - 1, &m), 0);
    cr_assert_eq(m.cores, 1);
    cr_assert_eq(m.tasks, 0);
    cr_assert_eq(all.cores, cores);
    memset(&m, 0xff, sizeof m);
    m.size = offsetof(tn_metrics, run_length);
    cr_assert_eq(tn_metrics_snapshot(runtime, TN_METRICS_ALL, &m), 0);
    cr_assert_eq(m.size, offsetof(tn_metrics, run_length));
    cr_assert_eq(m.run_length.count, UINT64_MAX, "no byte behind the size is written");
    m.size = 1;
    cr_assert_eq(tn_metrics_snapshot(runtime, TN_METRICS_ALL, &m), TN_EINVAL);
    m.size = SIZE_MAX;
    cr_assert_eq(tn_metrics_snapshot(runtime, TN_METRICS_ALL, &m), TN_EINVAL);
    tt_runtime_destroy(runtime);
}

static void *spawn_burst(void *arg)
{
    unsigned long count = *(unsigned long *)arg;
    tn_group group;

    tn_group_enter(&group, NULL);
    for (unsigned long i = 0; i < count; i++)
        tt_check(tn_group_spawn(&group, NULL, be_child, NULL) == 0);
    tt_check(tn_group_wait(&group) == 0);
    tn_group_leave(&group);
    return NULL;
}

Test(metrics, what_is_sampled_is_counted_as_what_it_stands_for)
{
    tn_runtime *runtime = tt_runtime_create();
    unsigned long count = tt_scaled(100000);
    tn_metrics m;
    uint64_t runs;

    cr_assert_eq(tn_block_on(runtime, spawn_burst, &count, NULL), 0);
    m = take(runtime);
    runs = m.counters.polls;
    cr_assert_gt(m.queue_delay.count, runs / 2, "%lu of %lu", (unsigned long)m.queue_delay.count, (unsigned long)runs);
    cr_assert_lt(m.queue_delay.count, runs * 3 / 2, "%lu of %lu", (unsigned long)m.queue_delay.count, (unsigned long)runs);
    tt_runtime_destroy(runtime);
}
