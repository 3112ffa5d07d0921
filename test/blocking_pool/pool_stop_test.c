/* SPDX-License-Identifier: MIT */
/* Destroying a runtime in every state of its blocking pool. */
#include <stdatomic.h>
#include <string.h>

#include <tn/blocking.h>

#include "support/allocator.h"
#include "support/runtime.h"

typedef struct {
    tt_gate begun;
    tt_gate end;
    tt_gate left;
    atomic_long ran;
    atomic_long dropped;
    tn_runtime *runtime;
} scene;

/* clang-format off */
#define SCENE_INIT {.begun = TT_GATE_INIT, .end = TT_GATE_INIT, .left = TT_GATE_INIT}
/* clang-format on */

static void *block(void *arg)
{
    scene *self = arg;

    tt_gate_open(&self->begun);
    tt_gate_wait(&self->end, 1);
    return arg;
}

static void *run(void *arg)
{
    atomic_fetch_add(&((scene *)arg)->ran, 1);
    return NULL;
}

static void drop(void *arg)
{
    scene *self = arg;

    atomic_fetch_add(&self->dropped, 1);
    tt_gate_open(&self->left);
}

static void ignore(void *ctx, tn_log_level level, const char *message)
{
    (void)ctx;
    (void)level;
    (void)message;
}

static tn_runtime *runtime_with(unsigned threads, const tn_allocator *allocator)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    options.blocking_threads = threads;
    options.allocator = allocator;
    options.log = ignore;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    return runtime;
}

static void spawn(scene *self, tn_job **out, bool mandatory)
{
    tn_blocking_options options = tn_blocking_options_default();

    options.drop = drop;
    options.mandatory = mandatory;
    cr_assert_eq(tn_spawn_blocking_on(self->runtime, &options, out, run, self), 0);
}

static void *open_soon(void *arg)
{
    tt_block_thread(20 * TN_MS);
    tt_gate_open(&((scene *)arg)->end);
    return NULL;
}

static void *open_when_one_is_dropped(void *arg)
{
    scene *self = arg;

    tt_gate_wait(&self->left, 1);
    tt_gate_open(&self->end);
    return NULL;
}

Test(pool_stop, without_any_job)
{
    unsigned threads = tt_threads();

    for (unsigned i = 0; i < 20; i++)
        tt_runtime_destroy(tt_runtime_create());
    tt_expect_threads(threads);
}

static void *destroy_it(void *runtime)
{
    (void)tn_runtime_destroy(runtime, TN_SHUTDOWN_WAIT, TN_S);
    return NULL;
}

static void destroy_in_a_job(void *arg)
{
    tn_runtime *runtime = tt_runtime_create();
    tn_job *job;

    (void)arg;
    tt_check(tn_spawn_blocking_on(runtime, NULL, &job, destroy_it, runtime) == 0);
    (void)tn_job_join(job, NULL);
}

Test(pool_stop, not_in_a_job_of_its_own)
{
    tt_child child = tt_fork(destroy_in_a_job, NULL);

    cr_assert(tt_child_aborted(&child, "own blocking jobs"));
}

Test(pool_stop, with_idle_threads)
{
    unsigned threads = tt_threads();
    tt_allocator allocator;

    tt_allocator_init(&allocator);
    for (unsigned i = 0; i < 20; i++) {
        scene self = SCENE_INIT;
        tn_job *job;
        self.runtime = runtime_with(0, &allocator.as_option);
        spawn(&self, &job, false);
        cr_assert_eq(tn_job_join(job, NULL), 0);
        tt_runtime_destroy(self.runtime);
        cr_assert_eq(atomic_load(&allocator.blocks), 0);
    }
    tt_expect_threads(threads);
}

Test(pool_stop, started_jobs_are_waited_for_and_queued_ones_dropped)
{
    scene self = SCENE_INIT;
    tn_job *started;
    tn_job *queued;
    tn_job *mandatory;
    pthread_t opener;

    self.runtime = runtime_with(1, NULL);
    cr_assert_eq(tn_spawn_blocking_on(self.runtime, NULL, &started, block, &self), 0);
    tt_gate_wait(&self.begun, 1);
    spawn(&self, &queued, false);
    spawn(&self, &mandatory, true);
    opener = tt_thread_start(open_when_one_is_dropped, &self);
    cr_assert_eq(tn_runtime_destroy(self.runtime, TN_SHUTDOWN_WAIT, 30 * TN_S), 0);
    tt_thread_join(opener);
    cr_assert_eq(tn_job_join(started, NULL), 0);
    cr_assert_eq(tn_job_join(queued, NULL), TN_ESHUTDOWN);
    cr_assert_eq(tn_job_join(mandatory, NULL), 0);
    cr_assert_eq(atomic_load(&self.ran), 1);
    cr_assert_eq(atomic_load(&self.dropped), 1);
}

static bool is_freed(void *allocator)
{
    return atomic_load(&((tt_allocator *)allocator)->blocks) == 0;
}

Test(pool_stop, jobs_that_do_not_end_are_given_up_and_counted)
{
    unsigned threads = tt_threads();
    tt_allocator allocator;
    scene self = SCENE_INIT;

    tt_allocator_init(&allocator);
    self.runtime = runtime_with(2, &allocator.as_option);
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(tn_spawn_blocking_on(self.runtime, NULL, NULL, block, &self), 0);
    tt_gate_wait(&self.begun, 2);
    spawn(&self, NULL, false);
    spawn(&self, NULL, true);
    cr_assert_eq(tn_runtime_destroy(self.runtime, TN_SHUTDOWN_WAIT, 10 * TN_MS), 3); /* two running, one mandatory */
    cr_assert_eq(atomic_load(&self.dropped), 2);
    cr_assert_gt(atomic_load(&allocator.blocks), 0); /* the running jobs may still use it */
    tt_gate_open(&self.end);
    cr_assert(tt_wait_until(is_freed, &allocator, 30 * TN_S));
    tt_expect_threads(threads);
    cr_assert_eq(atomic_load(&self.ran), 0);
}

static void *lend(void *arg)
{
    scene *self = arg;
    int rc = tn_run_blocking(block, self, NULL);

    tt_check(rc == 0 || rc == TN_ECANCELED || rc == TN_ESHUTDOWN);
    if (rc == TN_ECANCELED)
        tt_gate_open(&self->left);
    return NULL;
}

static void *open_when_four_left(void *arg)
{
    scene *self = arg;

    tt_gate_wait(&self->left, 4); /* they return although both threads are busy */
    tt_gate_open(&self->end);
    return NULL;
}

Test(pool_stop, fibers_in_lent_calls_are_cancelled)
{
    scene self = SCENE_INIT;
    pthread_t opener;

    self.runtime = runtime_with(2, NULL);
    for (unsigned i = 0; i < 6; i++)
        tn_task_release(tt_spawn_on(self.runtime, lend, &self));
    tt_gate_wait(&self.begun, 2);
    opener = tt_thread_start(open_when_four_left, &self);
    cr_assert_eq(tn_runtime_destroy(self.runtime, TN_SHUTDOWN_CANCEL, 30 * TN_S), 0);
    tt_thread_join(opener);
    cr_assert_eq(tt_gate_opened(&self.begun), 2);
}

Test(pool_stop, fibers_in_lent_calls_are_given_up)
{
    tt_allocator allocator;
    scene self = SCENE_INIT;

    tt_allocator_init(&allocator);
    self.runtime = runtime_with(2, &allocator.as_option);
    for (unsigned i = 0; i < 6; i++)
        tn_task_release(tt_spawn_on(self.runtime, lend, &self));
    tt_gate_wait(&self.begun, 2);
    cr_assert_geq(tn_runtime_destroy(self.runtime, TN_SHUTDOWN_WAIT, 5 * TN_MS), 2);
    tt_gate_open(&self.end); /* their jobs are on stacks that must still be mapped */
    cr_assert(tt_wait_until(is_freed, &allocator, 30 * TN_S));
}

static void *submit_for_ever(void *arg)
{
    scene *self = arg;
    tn_blocking_options options = tn_blocking_options_default();
    int rc;

    options.drop = drop;
    do {
        rc = tn_spawn_blocking_on(self->runtime, &options, NULL, run, self);
        if (rc == 0)
            tt_gate_open(&self->begun);
    } while (rc == 0 || rc == TN_ENOBUFS); /* a job does not wait for a slot */
    tt_check(rc == TN_ESHUTDOWN);
    return NULL;
}

/* A call that names the runtime must return before destroy does. A fiber's call does, because destroy waits for the fiber. */
static void *submit_in_a_task(void *arg)
{
    scene *self = arg;

    for (unsigned i = 0; i < 200; i++)
        tt_check(tn_spawn_blocking(NULL, run, self) == 0);
    return NULL;
}

Test(pool_stop, tasks_submit_meanwhile)
{
    for (unsigned long round = 0; round < tt_scaled(40); round++) {
        scene self = SCENE_INIT;
        self.runtime = runtime_with(0, NULL);
        for (unsigned i = 0; i < 3; i++)
            tn_task_release(tt_spawn_on(self.runtime, submit_in_a_task, &self));
        cr_assert_eq(tn_runtime_destroy(self.runtime, TN_SHUTDOWN_WAIT, 30 * TN_S), 0);
    }
}

/* Jobs may submit until the pool is closed. Later submissions are refused or dropped. */
Test(pool_stop, jobs_submit_meanwhile)
{
    for (unsigned long round = 0; round < tt_scaled(40); round++) {
        scene self = SCENE_INIT;
        unsigned accepted;
        self.runtime = runtime_with(4, NULL);
        for (unsigned i = 0; i < 3; i++)
            cr_assert_eq(tn_spawn_blocking_on(self.runtime, NULL, NULL, submit_for_ever, &self), 0);
        tt_gate_wait(&self.begun, 10);
        cr_assert_eq(tn_runtime_destroy(self.runtime, TN_SHUTDOWN_WAIT, 30 * TN_S), 0);
        accepted = tt_gate_opened(&self.begun);
        cr_assert_eq((unsigned)(atomic_load(&self.ran) + atomic_load(&self.dropped)), accepted);
    }
}

static void *cancel_all(void *arg)
{
    tn_job **jobs = arg;

    for (unsigned i = 0; i < 50; i++) {
        (void)tn_job_cancel(jobs[i]);
        tn_job_release(jobs[i]);
    }
    return NULL;
}

Test(pool_stop, handles_are_cancelled_meanwhile)
{
    for (unsigned long round = 0; round < tt_scaled(100); round++) {
        tt_allocator allocator;
        scene self = SCENE_INIT;
        tn_job *jobs[50];
        pthread_t thread;

        tt_allocator_init(&allocator);
        self.runtime = runtime_with(2, &allocator.as_option);
        for (unsigned i = 0; i < 50; i++)
            spawn(&self, &jobs[i], i % 3 == 0);
        thread = tt_thread_start(cancel_all, jobs);
        cr_assert_eq(tn_runtime_destroy(self.runtime, TN_SHUTDOWN_WAIT, 30 * TN_S), 0);
        tt_thread_join(thread);
        cr_assert_eq(atomic_load(&self.ran) + atomic_load(&self.dropped), 50);
        cr_assert_eq(atomic_load(&allocator.blocks), 0);
    }
}

static void *take_the_only_core(void *arg)
{
    scene *self = arg;

    tt_gate_open(&self->left);
    tt_gate_wait(&self->left, 2);
    return NULL;
}

static void *wait_in_vain(void *arg)
{
    tt_gate_open(&((scene *)arg)->begun);
    (void)tn_run_blocking(run, arg, NULL); /* the job is in this frame, so nothing could leak */
    return NULL;
}

/* A task gets a slot but never runs again: another task keeps the worker, and destroy gives up. */
Test(pool_stop, a_place_of_a_task_that_is_given_up_is_free)
{
    unsigned threads = tt_threads();
    tn_options options = tt_options();
    tn_blocking_counters counters = {.size = sizeof counters};
    scene self = SCENE_INIT;
    tt_allocator allocator;

    tt_allocator_init(&allocator);
    options.allocator = &allocator.as_option;
    options.workers = 1;
    options.stuck_after_ns = UINT64_MAX;
    options.blocking_threads = 1;
    options.blocking_queue_max = 1;
    options.log = ignore;
    cr_assert_eq(tn_runtime_create(&self.runtime, &options), 0);
    cr_assert_eq(tn_spawn_blocking_on(self.runtime, NULL, NULL, block, &self), 0);
    tt_gate_wait(&self.begun, 1);
    cr_assert_eq(tn_spawn_blocking_on(self.runtime, NULL, NULL, run, &self), 0);
    tn_task_release(tt_spawn_on(self.runtime, wait_in_vain, &self));
    tt_gate_wait(&self.begun, 2);
    tn_task_release(tt_spawn_on(self.runtime, take_the_only_core, &self));
    tt_gate_wait(&self.left, 1); /* so the other task has suspended */
    tt_gate_open(&self.end);
    do { /* both jobs have ended, and the waiter has the slot */
        tt_block_thread(TN_MS);
        cr_assert_eq(tn_runtime_blocking(self.runtime, &counters), 0);
    } while (counters.finished < 2);
    cr_assert_eq(counters.queued, 1);
    cr_assert_gt(tn_runtime_destroy(self.runtime, TN_SHUTDOWN_CANCEL, 10 * TN_MS), 0);
    tt_gate_open(&self.left);
    cr_assert(tt_wait_until(is_freed, &allocator, 30 * TN_S));
    tt_expect_threads(threads);
}

static void *wait_for_room(void *arg)
{
    scene *self = arg;
    int rc = tn_spawn_blocking_on(self->runtime, NULL, NULL, run, self);

    tt_check(rc == TN_ECANCELED || rc == 0 || rc == TN_ESHUTDOWN);
    return NULL;
}

Test(pool_stop, who_waits_for_room_is_let_go)
{
    tn_options options = tt_options();
    scene self = SCENE_INIT;
    pthread_t opener;

    options.blocking_threads = 1;
    options.blocking_queue_max = 1;
    cr_assert_eq(tn_runtime_create(&self.runtime, &options), 0);
    cr_assert_eq(tn_spawn_blocking_on(self.runtime, NULL, NULL, block, &self), 0);
    tt_gate_wait(&self.begun, 1);
    for (unsigned i = 0; i < 4; i++)
        tn_task_release(tt_spawn_on(self.runtime, wait_for_room, &self));
    opener = tt_thread_start(open_soon, &self);
    cr_assert_eq(tn_runtime_destroy(self.runtime, TN_SHUTDOWN_CANCEL, 30 * TN_S), 0);
    tt_thread_join(opener);
}
