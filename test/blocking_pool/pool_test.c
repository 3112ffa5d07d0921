/* SPDX-License-Identifier: MIT */
/* The blocking pool through its public interface: jobs, their handles, limits, threads that start and end. */
/* ctest: timeout=120 */
#include <stdatomic.h>
#include <string.h>

#include "pool_jobs.h"
#include "support/runtime.h"

static void drop_count(void *arg)
{
    atomic_fetch_add((atomic_long *)arg, 1);
}

/* --- Jobs ------------------------------------------------------------------------------------------------------------------- */

static void *join_many(void *arg)
{
    enum { JOBS = 300 };
    atomic_long *count = arg;
    tn_job *jobs[JOBS];
    void *result = NULL;

    for (unsigned i = 0; i < JOBS; i++)
        tt_check(tn_spawn_blocking(&jobs[i], count_up, count) == 0);
    for (unsigned i = 0; i < JOBS; i++)
        tt_check(tn_job_join(jobs[i], &result) == 0 && result == count);
    tt_check(atomic_load(count) == JOBS);
    return NULL;
}

Test(pool, jobs_run_and_are_joined_by_a_fiber)
{
    atomic_long count = 0;

    tt_run(join_many, &count);
}

Test(pool, jobs_run_in_a_current_thread_runtime)
{
    tn_options options = tt_options();
    tn_runtime *runtime;
    atomic_long count = 0;

    options.flavor = TN_CURRENT_THREAD;
    options.workers = 0;
    options.force_migration = false;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, join_many, &count, NULL), 0);
    tt_runtime_destroy(runtime);
}

static void ignore(void *ctx, tn_log_level level, const char *message)
{
    (void)ctx;
    (void)level;
    (void)message;
}

Test(pool, nonsense_in_options_is_refused)
{
    tn_blocking_options blocking = tn_blocking_options_default();
    tn_options options = tt_options();
    tn_runtime *runtime;
    atomic_long count = 0;
    tn_job *job;

    options.log = ignore;
    options.blocking_threads = 10001;
    cr_assert_eq(tn_runtime_create(&runtime, &options), TN_EINVAL);
    runtime = tt_runtime_create();
    blocking.size = 0;
    cr_assert_eq(tn_spawn_blocking_on(runtime, &blocking, &job, count_up, &count), TN_EINVAL);
    tt_runtime_destroy(runtime);
}

Test(pool, jobs_run_and_are_joined_by_a_thread)
{
    tn_runtime *runtime = tt_runtime_create();
    atomic_long count = 0;
    void *result = NULL;
    tn_job *job;

    cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &job, count_up, &count), 0);
    cr_assert_eq(tn_job_join(job, &result), 0);
    cr_assert_eq(result, (void *)&count);
    cr_assert_eq(tn_spawn_blocking(&job, count_up, &count), TN_EINVAL);
    cr_assert_null(job);
    tt_runtime_destroy(runtime);
}

typedef struct {
    tn_runtime *runtime;
    atomic_long ran;
    unsigned long jobs;
} flood;

static void *flood_thread(void *arg)
{
    flood *self = arg;

    for (unsigned long i = 0; i < self->jobs; i++)
        tt_check(tn_spawn_blocking_on(self->runtime, NULL, NULL, count_up, &self->ran) == 0);
    return NULL;
}

static bool flood_is_over(void *arg)
{
    flood *self = arg;

    return (unsigned long)atomic_load(&self->ran) == 8 * self->jobs;
}

Test(pool, eight_threads_submit_at_once)
{
    flood self = {.runtime = tt_runtime_create(), .jobs = tt_scaled(20000)};
    pthread_t threads[4];
    tn_task *tasks[4];

    for (unsigned i = 0; i < 4; i++) {
        threads[i] = tt_thread_start(flood_thread, &self);
        tasks[i] = tt_spawn_on(self.runtime, flood_thread, &self);
    }
    for (unsigned i = 0; i < 4; i++) {
        tt_thread_join(threads[i]);
        tt_join(tasks[i]);
    }
    cr_assert(tt_wait_until(flood_is_over, &self, 60 * TN_S));
    tt_runtime_destroy(self.runtime);
}

static void *poll_job_twice(void *arg)
{
    tn_job_future first;
    tn_job_future second;
    blocker *b = arg;
    tn_job *job;

    tt_check(tn_spawn_blocking(&job, block, b) == 0);
    tn_job_init(&first, job);
    tn_job_init(&second, job);
    tt_check(first.base.ops->poll(&first.base, (tn_waker *)(void *)tn_self()) == TN_PENDING);
    tt_check(second.base.ops->poll(&second.base, (tn_waker *)(void *)tn_self()) == TN_EBUSY);
    second.base.ops->drop(&second.base);
    first.base.ops->drop(&first.base);
    tt_gate_open(&b->end);
    tt_check(tn_job_join(job, NULL) == 0);
    return NULL;
}

Test(pool, one_joiner_a_job)
{
    blocker b = BLOCKER_INIT;

    tt_run(poll_job_twice, &b);
}

static void *cancelled_joiner(void *arg)
{
    tn_job *job = arg;

    tt_check(tn_job_join(job, NULL) == TN_ECANCELED);
    return NULL;
}

static void *cancel_a_join(void *arg)
{
    blocker *b = arg;
    tn_task *joiner;
    tn_job *job;

    tt_check(tn_spawn_blocking(&job, block, b) == 0);
    joiner = tt_spawn(cancelled_joiner, job);
    tt_check(tn_sleep(TN_MS) == 0);
    tn_cancel(joiner);
    tt_join(joiner);
    tt_check(!tn_job_is_finished(job)); /* the caller keeps the handle */
    tt_gate_open(&b->end);
    tt_check(tn_job_join(job, NULL) == 0);
    return NULL;
}

Test(pool, a_cancelled_join_leaves_the_handle)
{
    blocker b = BLOCKER_INIT;

    tt_run(cancel_a_join, &b);
}

Test(pool, a_handle_outlives_its_runtime)
{
    tn_runtime *runtime = tt_runtime_create();
    atomic_long count = 0;
    tn_job *job;

    cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &job, count_up, &count), 0);
    tn_job_retain(job);
    tn_job_release(job);
    tt_runtime_destroy(runtime);
    cr_assert(tn_job_is_finished(job));
    cr_assert_not(tn_job_cancel(job));
    cr_assert(tn_job_join(job, NULL) == (atomic_load(&count) == 1 ? 0 : TN_ESHUTDOWN));
}

static void *spawn_in_a_job(void *arg)
{
    tn_job *job;

    tt_check(tn_spawn_blocking(&job, count_up, arg) == 0); /* in the job's own runtime */
    tt_check(tn_job_join(job, NULL) == 0);
    tt_check(tn_run_blocking(count_up, arg, NULL) == 0);
    return NULL;
}

Test(pool, a_job_spawns_jobs)
{
    tn_runtime *runtime = tt_runtime_create();
    atomic_long count = 0;
    tn_job *job;

    cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &job, spawn_in_a_job, &count), 0);
    cr_assert_eq(tn_job_join(job, NULL), 0);
    cr_assert_eq(atomic_load(&count), 2);
    tt_runtime_destroy(runtime);
}

/* --- Cancellation ----------------------------------------------------------------------------------------------------------- */

Test(pool, a_job_is_cancelled_before_it_starts_and_not_after)
{
    tn_runtime *runtime = runtime_with(1, 0);
    tn_blocking_options options = tn_blocking_options_default();
    atomic_long ran = 0;
    atomic_long dropped = 0;
    blocker b = BLOCKER_INIT;
    tn_job *first;
    tn_job *second;

    options.drop = drop_count;
    cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &first, block, &b), 0);
    tt_gate_wait(&b.begun, 1);
    cr_assert_eq(tn_spawn_blocking_on(runtime, &options, &second, count_up, &dropped), 0);
    cr_assert_not(tn_job_cancel(first));
    cr_assert(tn_job_cancel(second));
    cr_assert_eq(atomic_load(&dropped), 1);
    cr_assert_not(tn_job_cancel(second));
    cr_assert_eq(tn_job_join(second, NULL), TN_ENODATA);
    tt_gate_open(&b.end);
    cr_assert_eq(tn_job_join(first, NULL), 0);
    cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &first, count_up, &ran), 0);
    cr_assert_eq(tn_job_join(first, NULL), 0);
    cr_assert_eq(atomic_load(&dropped), 1);
    cr_assert_eq(counters(runtime).dropped, 1);
    tt_runtime_destroy(runtime);
}

static void *run_cancelled(void *arg)
{
    tt_check(tn_run_blocking(count_up, arg, NULL) == TN_ECANCELED);
    return NULL;
}

Test(pool, a_lent_call_that_has_not_started_is_left_at_once)
{
    tn_runtime *runtime = runtime_with(1, 0);
    atomic_long ran = 0;
    blocker b = BLOCKER_INIT;
    tn_job *job;
    tn_task *task;

    cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &job, block, &b), 0);
    tt_gate_wait(&b.begun, 1);
    task = tt_spawn_on(runtime, run_cancelled, &ran);
    tt_block_thread(5 * TN_MS);
    tn_cancel(task);
    tt_join(task); /* although the only thread is still busy */
    tt_gate_open(&b.end);
    cr_assert_eq(tn_job_join(job, NULL), 0);
    cr_assert_eq(atomic_load(&ran), 0);
    tt_runtime_destroy(runtime);
}

static void *run_through(void *arg)
{
    blocker *b = arg;
    void *result = NULL;

    tt_check(tn_run_blocking(block, b, &result) == 0 && result == b); /* it had started */
    tt_check(tn_checkpoint() == TN_ECANCELED);
    tt_check(tn_run_blocking(block, b, &result) == TN_ECANCELED);
    return NULL;
}

Test(pool, a_lent_call_that_has_started_is_waited_for)
{
    tn_runtime *runtime = tt_runtime_create();
    blocker b = BLOCKER_INIT;
    tn_task *task = tt_spawn_on(runtime, run_through, &b);

    tt_gate_wait(&b.begun, 1);
    tn_cancel(task);
    tt_block_thread(2 * TN_MS);
    cr_assert_not(tn_task_is_finished(task));
    tt_gate_open(&b.end);
    tt_join(task);
    tt_runtime_destroy(runtime);
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

static bool has_no_thread(void *runtime)
{
    return counters(runtime).threads == 0;
}

Test(pool, idle_threads_end_and_come_again)
{
    tn_options options = tt_options();
    tn_runtime *runtime;
    atomic_long count = 0;
    tn_job *job;

    options.blocking_idle_ns = 2 * TN_MS;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 50; i++)
            cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, NULL, count_up, &count), 0);
        cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &job, count_up, &count), 0);
        cr_assert_eq(tn_job_join(job, NULL), 0);
        cr_assert(tt_wait_until(has_no_thread, runtime, 30 * TN_S));
        cr_assert_eq(atomic_load(&count), 51 * (round + 1));
    }
    tt_runtime_destroy(runtime);
}

/* Submits jobs at about the time when the last idle thread ends. */
static void *now_and_then(void *arg)
{
    flood *self = arg;

    for (unsigned long i = 0; i < self->jobs; i++) {
        tn_job *job;
        tt_check(tn_spawn_blocking_on(self->runtime, NULL, &job, count_up, &self->ran) == 0);
        tt_check(tn_job_join(job, NULL) == 0);
        tt_burn(i * 7919 % 120000);
    }
    return NULL;
}

Test(pool, jobs_race_with_threads_that_leave)
{
    tn_options options = tt_options();
    flood self = {.jobs = tt_scaled(2000)};
    pthread_t threads[2];

    options.blocking_idle_ns = 50 * TN_US;
    cr_assert_eq(tn_runtime_create(&self.runtime, &options), 0);
    for (unsigned i = 0; i < 2; i++)
        threads[i] = tt_thread_start(now_and_then, &self);
    for (unsigned i = 0; i < 2; i++)
        tt_thread_join(threads[i]);
    cr_assert_eq((unsigned long)atomic_load(&self.ran), 2 * self.jobs);
    tt_runtime_destroy(self.runtime);
}

Test(pool, threads_stay_below_the_cap)
{
    enum { THREADS = 5, JOBS = 40 };
    tn_runtime *runtime = runtime_with(THREADS, 0);
    blocker b = BLOCKER_INIT;
    tn_job *jobs[JOBS + 1];

    for (unsigned i = 0; i < JOBS; i++)
        cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &jobs[i], block, &b), 0);
    tt_gate_wait(&b.begun, THREADS);
    cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &jobs[JOBS], block, &b), 0); /* no thread waits for it */
    tt_block_thread(5 * TN_MS);
    cr_assert_eq(tt_gate_opened(&b.begun), THREADS);
    cr_assert_eq(counters(runtime).running_jobs, THREADS);
    cr_assert_eq(counters(runtime).threads_started, THREADS);
    tt_gate_open(&b.end);
    for (unsigned i = 0; i <= JOBS; i++)
        cr_assert_eq(tn_job_join(jobs[i], NULL), 0);
    cr_assert_eq(counters(runtime).threads_started, THREADS);
    tt_runtime_destroy(runtime);
}

Test(pool, many_that_block_run_at_once)
{
    enum { JOBS = 100 };
    tn_runtime *runtime = tt_runtime_create();
    atomic_long count = 0;
    blocker b = BLOCKER_INIT;

    for (unsigned i = 0; i < 200; i++) /* short jobs first: they predict nothing about the next ones */
        cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, NULL, count_up, &count), 0);
    for (unsigned i = 0; i < JOBS; i++)
        cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, NULL, block, &b), 0);
    tt_gate_wait(&b.begun, JOBS); /* tt_gate_wait aborts after a minute */
    tt_gate_open(&b.end);
    tt_runtime_destroy(runtime);
}

static void *sleep_a_little(void *arg)
{
    tt_block_thread(20 * TN_MS);
    return arg;
}

Test(pool, counters_add_up)
{
    tn_runtime *runtime = runtime_with(2, 0);
    tn_blocking_counters c;
    uint64_t ran = 0;
    uint64_t waited = 0;
    uint64_t long_runs = 0;
    tn_job *jobs[6];

    for (unsigned i = 0; i < 6; i++)
        cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &jobs[i], sleep_a_little, NULL), 0);
    for (unsigned i = 0; i < 6; i++)
        cr_assert_eq(tn_job_join(jobs[i], NULL), 0);
    do /* the last job is counted shortly after its join returns */
        c = counters(runtime);
    while (c.finished < 6);
    for (unsigned i = 0; i < TN_BLOCKING_TIMES; i++) {
        ran += c.ran[i];
        waited += c.waited[i];
        if (i >= 24) /* 16 ms */
            long_runs += c.ran[i];
    }
    cr_assert_eq(c.started, 6);
    cr_assert_eq(ran, 6);
    cr_assert_eq(waited, 6);
    cr_assert_eq(long_runs, 6);
    /* There may be three: for a job that comes while both threads run one, a third is started. It waits, because of the cap. */
    cr_assert_eq(c.threads, c.threads_started);
    cr_assert_gt(c.threads, 0);
    cr_assert_eq(c.queued, 0);
    c.size = 4;
    cr_assert_eq(tn_runtime_blocking(runtime, &c), TN_EINVAL);
    tt_runtime_destroy(runtime);
}
