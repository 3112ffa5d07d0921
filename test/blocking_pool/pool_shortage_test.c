/* SPDX-License-Identifier: MIT */
/* The blocking pool when no thread can be started or an allocation fails. */
/* ctest: timeout=120 */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "pool/job.h"
#include "pool/pool.h"
#include "pool_jobs.h"
#include "support/allocator.h"
#include "support/runtime.h"
#include "support/thread_faults.h"

static void *sleep_a_little(void *arg)
{
    tt_block_thread(20 * TN_MS);
    return arg;
}

/* --- No thread can be started ----------------------------------------------------------------------------------------------- */

static char last_message[400];

static void keep_message(void *ctx, tn_log_level level, const char *message)
{
    (void)ctx;
    (void)level;
    snprintf(last_message, sizeof last_message, "%s", message);
}

static tn_runtime *quiet_runtime(unsigned threads)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    options.blocking_threads = threads;
    options.log = keep_message;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    return runtime;
}

static void *lend_without_threads(void *arg)
{
    void *result = NULL;

    tt_check(tn_run_blocking(count_up, arg, &result) == 0 && result == arg);
    return NULL;
}

static atomic_int spawn_error; /* of a job that cannot be spawned */

/* Needs more stack than a fiber has. */
static void *use_much_stack(void *arg)
{
    volatile char frame[512 << 10];
    tn_runtime *runtime = tn_runtime_current();

    for (size_t i = sizeof frame; i > 0; i -= 1024)
        frame[i - 1] = 1;
    tt_check(runtime == NULL); /* it is no task, but finds its runtime: */
    tt_check(tn_spawn_blocking(NULL, count_up, arg) == atomic_load(&spawn_error));
    atomic_fetch_add((atomic_long *)arg, 1);
    return arg;
}

static void *run_what_needs_stack(void *arg)
{
    tn_blocking_options options = tn_blocking_options_default();
    void *result = NULL;
    tn_job *job;

    options.when_full = TN_FULL_CALLER_RUNS;
    tt_check(tn_run_blocking(use_much_stack, arg, &result) == 0 && result == arg);
    tt_check(tn_spawn_blocking_on(NULL, &options, &job, use_much_stack, arg) == 0);
    tt_check(tn_job_join(job, &result) == 0 && result == arg);
    return NULL;
}

Test(pool_shortage, a_function_has_the_stack_of_a_thread_without_one)
{
    tn_flavor flavors[] = {TN_MULTI_THREAD, TN_CURRENT_THREAD};

    for (unsigned i = 0; i < 2; i++) {
        tn_options options = tt_options();
        atomic_long count = 0;
        tn_runtime *runtime;
        options.flavor = flavors[i];
        options.log = keep_message;
        if (flavors[i] == TN_CURRENT_THREAD) {
            options.workers = 0;
            options.force_migration = false;
        }
        cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
        atomic_store(&threads_left, 1);
        atomic_store(&spawn_error, TN_EAGAIN);
        cr_assert_eq(tn_block_on(runtime, run_what_needs_stack, &count, NULL), 0);
        atomic_store(&threads_left, 0);
        cr_assert_eq(atomic_load(&count), 2);
        tt_runtime_destroy(runtime);
    }
}

/* The queue is full: the first job occupies the only thread, the second one the only slot. */
static void *overflow_a_queue(void *arg)
{
    blocker *b = arg;
    atomic_long count = 0;
    tn_blocking_options options = tn_blocking_options_default();
    tn_job *jobs[2];

    for (unsigned i = 0; i < 2; i++) {
        tt_check(tn_spawn_blocking(&jobs[i], block, b) == 0);
        if (i == 0)
            tt_gate_wait(&b->begun, 1);
    }
    atomic_store(&spawn_error, TN_ENOBUFS);
    options.when_full = TN_FULL_CALLER_RUNS;
    tt_check(tn_spawn_blocking_on(NULL, &options, NULL, use_much_stack, &count) == 0);
    tt_check(atomic_load(&count) == 1);
    tt_gate_open(&b->end);
    for (unsigned i = 0; i < 2; i++)
        tt_check(tn_job_join(jobs[i], NULL) == 0);
    return NULL;
}

Test(pool_shortage, a_job_has_the_stack_of_a_thread_when_the_queue_is_full)
{
    tn_options options = tt_options();
    blocker b = BLOCKER_INIT;
    tn_runtime *runtime;

    options.blocking_threads = 1;
    options.blocking_queue_max = 1;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    tt_join(tt_spawn_on(runtime, overflow_a_queue, &b));
    tt_runtime_destroy(runtime);
}

Test(pool_shortage, no_first_thread_is_an_error_or_runs_here)
{
    tn_runtime *runtime = quiet_runtime(0);
    tn_blocking_options options = tn_blocking_options_default();
    atomic_long count = 0;
    tn_job *job;

    atomic_store(&threads_left, 1);
    cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &job, count_up, &count), TN_EAGAIN);
    cr_assert_null(job);
    options.when_full = TN_FULL_CALLER_RUNS;
    cr_assert_eq(tn_spawn_blocking_on(runtime, &options, &job, count_up, &count), 0);
    cr_assert_eq(tn_job_join(job, NULL), 0);
    tt_join(tt_spawn_on(runtime, lend_without_threads, &count));
    atomic_store(&threads_left, 0);
    cr_assert_eq(atomic_load(&count), 2);
    cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &job, count_up, &count), 0);
    cr_assert_eq(tn_job_join(job, NULL), 0);
    cr_assert_geq(counters(runtime).failed_starts, 3);
    tt_runtime_destroy(runtime);
}

Test(pool_shortage, jobs_are_done_by_the_threads_there_are)
{
    enum { JOBS = 60 };

    for (long nth = 1; nth < 6; nth++) {
        tn_runtime *runtime = quiet_runtime(0);
        atomic_long count = 0;
        blocker b = BLOCKER_INIT;
        tn_job *jobs[JOBS];
        unsigned accepted = 0;

        atomic_store(&threads_left, nth);
        for (unsigned i = 0; i < JOBS; i++) {
            int rc = tn_spawn_blocking_on(runtime, NULL, &jobs[accepted], i < 8 ? block : count_up, i < 8 ? (void *)&b : &count);
            cr_assert(rc == 0 || (rc == TN_EAGAIN && nth == 1));
            accepted += rc == 0;
        }
        cr_assert_eq(accepted, nth == 1 ? 0 : JOBS);
        if (nth > 1)
            tt_gate_wait(&b.begun, (unsigned)nth - 1);
        tt_gate_open(&b.end);
        for (unsigned i = 0; i < accepted; i++)
            cr_assert_eq(tn_job_join(jobs[i], NULL), 0);
        cr_assert_leq(counters(runtime).threads_started, (uint64_t)nth - 1);
        atomic_store(&threads_left, 0);
        tt_runtime_destroy(runtime);
    }
}

static void *note_jobs_before(void *arg)
{
    atomic_long *count = arg;

    return (void *)atomic_load(count);
}

/* One thread does all jobs. Those of files, which came last, do not wait for those of the burst. */
Test(pool_shortage, a_burst_in_one_class_delays_no_other)
{
    enum { BURST = 50 };
    tn_blocking_options options = tn_blocking_options_default();
    tn_runtime *runtime = quiet_runtime(0);
    blocker b = BLOCKER_INIT;
    atomic_long count = 0;
    void *before = NULL;
    tn_job *burst[BURST];
    tn_job *files[3];
    tni_pool *pool;
    int error;

    atomic_store(&threads_left, 2);
    for (unsigned i = 0; i < BURST; i++)
        cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &burst[i], i == 0 ? block : count_up, i == 0 ? (void *)&b : &count), 0);
    tt_gate_wait(&b.begun, 1);
    pool = tni_pool_of(runtime, &error);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(tni_job_spawn(pool, TNI_POOL_FILES, &options, &files[i], note_jobs_before, &count), 0);
    tt_gate_open(&b.end);
    for (intptr_t i = 0; i < 3; i++) {
        cr_assert_eq(tn_job_join(files[i], &before), 0);
        cr_assert_leq((intptr_t)before, i + 1);
    }
    for (unsigned i = 0; i < BURST; i++)
        cr_assert_eq(tn_job_join(burst[i], NULL), 0);
    atomic_store(&threads_left, 0);
    tt_runtime_destroy(runtime);
}

Test(pool_shortage, threads_are_tried_again_after_a_shortage)
{
    tn_runtime *runtime = quiet_runtime(0);
    blocker first = BLOCKER_INIT;
    blocker second = BLOCKER_INIT;
    tn_job *jobs[20];

    atomic_store(&threads_left, 2); /* one thread can be started, no second */
    for (unsigned i = 0; i < 20; i++)
        cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &jobs[i], i == 0 ? block : sleep_a_little, &first), 0);
    tt_gate_wait(&first.begun, 1);
    atomic_store(&threads_left, 0);
    tt_gate_open(&first.end);
    for (unsigned i = 0; i < 20; i++)
        cr_assert_eq(tn_job_join(jobs[i], NULL), 0);
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &jobs[i], block, &second), 0);
    tt_gate_wait(&second.begun, 4);
    tt_gate_open(&second.end);
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(tn_job_join(jobs[i], NULL), 0);
    cr_assert_not_null(strstr(last_message, "blocking pool"));
    tt_runtime_destroy(runtime);
}

/* The only thread stays in its job, so later submitters must try to start one. */
Test(pool_shortage, submitters_try_again_after_a_shortage)
{
    tn_runtime *runtime = quiet_runtime(0);
    blocker b = BLOCKER_INIT;
    atomic_long count = 0;
    tn_job *early;
    tn_job *late;

    cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, NULL, block, &b), 0);
    tt_gate_wait(&b.begun, 1);
    atomic_store(&threads_left, 1);
    do { /* the first thread may still hold the wake token */
        cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &early, count_up, &count), 0);
        tn_job_release(early);
    } while (counters(runtime).failed_starts == 0);
    cr_assert_eq(atomic_load(&count), 0);
    atomic_store(&threads_left, 0);
    do {
        tt_block_thread(TN_MS);
        cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &late, count_up, &count), 0);
        tn_job_release(late);
    } while (atomic_load(&count) == 0); /* else ctest's timeout ends it */
    tt_gate_open(&b.end);
    tt_runtime_destroy(runtime);
}

static void *open_the_end(void *arg)
{
    tt_gate_open(&((blocker *)arg)->end);
    return arg;
}

/* The only thread waits in its job for a second job. No thread could be started when that one was submitted. */
static void *submit_a_lone_job(void *arg)
{
    blocker *b = arg;
    tn_job *first;
    uint64_t failed;

    tt_check(tn_spawn_blocking(&first, block, b) == 0);
    tt_gate_wait(&b->begun, 1);
    failed = counters(tn_runtime_current()).failed_starts;
    do { /* if the first thread still holds the wake token, it tries */
        atomic_store(&threads_left, 1);
        tt_check(tn_spawn_blocking(NULL, open_the_end, b) == 0);
        tt_block_thread(TN_MS);
    } while (counters(tn_runtime_current()).failed_starts == failed);
    atomic_store(&threads_left, 0);
    tt_check(tn_job_join(first, NULL) == 0);
    return NULL;
}

Test(pool_shortage, a_lone_job_gets_its_thread_when_one_can_be_had)
{
    tn_flavor flavors[] = {TN_MULTI_THREAD, TN_CURRENT_THREAD};

    for (unsigned i = 0; i < 2; i++) {
        tn_options options = tt_options();
        blocker b = BLOCKER_INIT;
        tn_runtime *runtime;
        options.flavor = flavors[i];
        options.log = keep_message;
        if (flavors[i] == TN_CURRENT_THREAD) {
            options.workers = 0;
            options.force_migration = false;
        }
        cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
        cr_assert_eq(tn_block_on(runtime, submit_a_lone_job, &b, NULL), 0);
        tt_runtime_destroy(runtime);
    }
}

static atomic_bool over;

static void *tick(void *arg)
{
    while (!atomic_load(&over))
        tt_check(tn_sleep(TN_MS) == 0);
    return arg;
}

static void *take_turns(void *arg)
{
    while (!atomic_load(&over))
        tt_check(tn_yield() == 0);
    return arg;
}

static void *submit_beside_a_tick(void *arg)
{
    tn_task *ticker;

    tt_check(tn_spawn(&ticker, tick, NULL) == 0);
    (void)submit_a_lone_job(arg);
    atomic_store(&over, true);
    tt_check(tn_join(ticker, NULL) == 0);
    return NULL;
}

static void *submit_beside_others(void *arg)
{
    tn_task *other;

    tt_check(tn_spawn(&other, take_turns, NULL) == 0);
    (void)submit_a_lone_job(arg);
    atomic_store(&over, true);
    tt_check(tn_join(other, NULL) == 0);
    return NULL;
}

/* The runtime's only thread sleeps for short times only, or not at all. */
Test(pool_shortage, a_busy_thread_tends_to_the_pool_too)
{
    tn_entry_fn entries[] = {submit_beside_a_tick, submit_beside_others};

    for (unsigned i = 0; i < 2; i++) {
        tn_options options = tt_options();
        blocker b = BLOCKER_INIT;
        tn_runtime *runtime;
        options.flavor = TN_CURRENT_THREAD;
        options.workers = 0;
        options.force_migration = false;
        options.log = keep_message;
        atomic_store(&over, false);
        cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
        cr_assert_eq(tn_block_on(runtime, entries[i], &b, NULL), 0);
        tt_runtime_destroy(runtime);
    }
}

Test(pool_shortage, every_allocation_may_fail)
{
    tn_options options = tt_options();
    tt_allocator allocator;
    tn_runtime *runtime;
    atomic_long count = 0;
    tn_job *job;
    bool done = false;

    tt_allocator_init(&allocator);
    options.allocator = &allocator.as_option;
    for (long nth = 1; !done; nth++) {
        int rc;
        cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
        tt_allocator_fail(&allocator, nth, 1);
        rc = tn_spawn_blocking_on(runtime, NULL, &job, count_up, &count);
        cr_assert(rc == 0 || rc == TN_ENOMEM || rc == TN_EAGAIN);
        tt_allocator_fail(&allocator, 0, 0);
        done = rc == 0;
        if (done)
            cr_assert_eq(tn_job_join(job, NULL), 0);
        tt_runtime_destroy(runtime);
        cr_assert_eq(atomic_load(&allocator.blocks), 0);
    }
    cr_assert_eq(atomic_load(&count), 1);
}

typedef struct {
    tn_runtime *runtime;
    atomic_long ran;
    tn_job *jobs[2];
} rivals;

static void spawn_second(void *arg)
{
    rivals *self = arg;

    cr_assert_eq(tn_spawn_blocking_on(self->runtime, NULL, &self->jobs[1], count_up, &self->ran), 0);
}

/* The allocation for the pool fails, but another thread has created the pool meanwhile. */
Test(pool_shortage, the_pool_of_another_thread_will_do)
{
    tn_options options = tt_options();
    tt_allocator allocator;
    rivals self = {.ran = 0};

    tt_allocator_init(&allocator);
    allocator.before_failure = spawn_second;
    allocator.arg = &self;
    options.allocator = &allocator.as_option;
    cr_assert_eq(tn_runtime_create(&self.runtime, &options), 0);
    tt_allocator_fail(&allocator, 1, 1);
    cr_assert_eq(tn_spawn_blocking_on(self.runtime, NULL, &self.jobs[0], count_up, &self.ran), 0);
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(tn_job_join(self.jobs[i], NULL), 0);
    tt_runtime_destroy(self.runtime);
    cr_assert_eq(atomic_load(&self.ran), 2);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}

/* --- Shutdown in a shortage ------------------------------------------------------------------------------------------------- */

static void open_gate(void *arg)
{
    tt_gate_open(&((blocker *)arg)->end);
}

/* The only thread waits in its job until destroy drops the job that is queued behind it. Then it runs the mandatory job. */
Test(pool_shortage, a_pool_ends_in_a_shortage)
{
    tn_blocking_options droppable = tn_blocking_options_default();
    tn_blocking_options mandatory = tn_blocking_options_default();

    droppable.drop = open_gate;
    mandatory.mandatory = true;
    for (unsigned round = 0; round < 20; round++) {
        tn_runtime *runtime = quiet_runtime(0);
        blocker b = BLOCKER_INIT;
        atomic_long count = 0;
        tn_job *started;
        tn_job *queued;
        cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &started, block, &b), 0);
        tt_gate_wait(&b.begun, 1);
        atomic_store(&threads_left, 1);
        cr_assert_eq(tn_spawn_blocking_on(runtime, &droppable, &queued, count_up, &b), 0);
        cr_assert_eq(tn_spawn_blocking_on(runtime, &mandatory, NULL, count_up, &count), 0);
        if (round % 2 == 0)
            tt_block_thread(15 * TN_MS); /* a start has been tried again meanwhile */
        cr_assert_eq(tn_runtime_destroy(runtime, TN_SHUTDOWN_WAIT, 30 * TN_S), 0);
        atomic_store(&threads_left, 0);
        cr_assert_eq(tn_job_join(started, NULL), 0);
        cr_assert_eq(tn_job_join(queued, NULL), TN_ESHUTDOWN);
        cr_assert_eq(atomic_load(&count), 1);
    }
}
