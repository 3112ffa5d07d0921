/* SPDX-License-Identifier: MIT */
/* Capacity of the queue: what a submitter does when the queue is full, per class of job, and which waiter gets a free slot. */
/* ctest: timeout=60 */
#include <stdatomic.h>

#include <tn/fs.h>

#include "pool_jobs.h"
#include "support/runtime.h"

typedef struct {
    tn_runtime *runtime;
    blocker blocker;
    tt_gate waits;
    atomic_long ran;
} scene;

/* clang-format off */
#define SCENE_INIT {.blocker = BLOCKER_INIT, .waits = TT_GATE_INIT}
/* clang-format on */

/* --- A full queue ----------------------------------------------------------------------------------------------------------- */

typedef struct {
    tn_runtime *runtime;
    atomic_long ran;
    atomic_long went_on;
    int expected;
} waiting;

static void *spawn_and_wait(void *arg)
{
    waiting *self = arg;
    int rc = tn_spawn_blocking_on(self->runtime, NULL, NULL, count_up, &self->ran);

    tt_check(rc == self->expected);
    atomic_fetch_add(&self->went_on, 1);
    return NULL;
}

Test(pool_room, a_full_queue_answers_or_runs_here_or_waits)
{
    tn_runtime *runtime = runtime_with(1, 2);
    tn_blocking_options options = tn_blocking_options_default();
    waiting self = {.runtime = runtime};
    blocker b = BLOCKER_INIT;
    atomic_long here = 0;
    pthread_t thread;
    tn_task *task;
    tn_job *job;

    cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, NULL, block, &b), 0);
    tt_gate_wait(&b.begun, 1);
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, NULL, count_up, &self.ran), 0);
    options.when_full = TN_FULL_ERROR;
    cr_assert_eq(tn_spawn_blocking_on(runtime, &options, &job, count_up, &here), TN_ENOBUFS);
    cr_assert_null(job);
    options.when_full = TN_FULL_CALLER_RUNS;
    cr_assert_eq(tn_spawn_blocking_on(runtime, &options, &job, count_up, &here), 0);
    cr_assert_eq(atomic_load(&here), 1);
    cr_assert_not(tn_job_cancel(job));
    cr_assert_eq(tn_job_join(job, NULL), 0);
    task = tt_spawn_on(runtime, spawn_and_wait, &self);
    thread = tt_thread_start(spawn_and_wait, &self);
    tt_block_thread(5 * TN_MS);
    cr_assert_eq(atomic_load(&self.went_on), 0);
    tt_gate_open(&b.end);
    tt_join(task);
    tt_thread_join(thread);
    tt_runtime_destroy(runtime);
}

static void *fill_in_a_job(void *arg)
{
    waiting *self = arg;
    int rc;

    do
        rc = tn_spawn_blocking(NULL, count_up, &self->ran);
    while (rc == 0);
    tt_check(rc == TN_ENOBUFS); /* all threads could wait for a slot that only a thread can free */
    return NULL;
}

Test(pool_room, a_job_does_not_wait_for_room)
{
    tn_runtime *runtime = runtime_with(1, 3);
    waiting self = {.runtime = runtime};
    tn_job *job;

    cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &job, fill_in_a_job, &self), 0);
    cr_assert_eq(tn_job_join(job, NULL), 0);
    tt_runtime_destroy(runtime);
}

typedef struct {
    tn_future base;
    waiting *waiting;
} filler;

/* A poll function cannot wait. */
static int fill_in_a_poll(tn_future *self, tn_waker *waker)
{
    (void)waker;
    (void)fill_in_a_job(((filler *)(void *)self)->waiting);
    return 0;
}

static void keep(tn_future *self)
{
    (void)self;
}

Test(pool_room, a_stackless_task_does_not_wait_for_room)
{
    static const tn_future_ops ops = {.poll = fill_in_a_poll, .drop = keep};
    tn_runtime *runtime = runtime_with(1, 3);
    waiting self = {.runtime = runtime};
    filler future = {{&ops}, &self};
    blocker b = BLOCKER_INIT;
    tn_task *task;

    cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, NULL, block, &b), 0);
    tt_gate_wait(&b.begun, 1);
    cr_assert_eq(tn_spawn_future(runtime, NULL, &task, &future.base), 0);
    tt_join(task);
    cr_assert_eq(atomic_load(&self.ran), 0); /* its jobs wait, and it did not */
    tt_gate_open(&b.end);
    tt_runtime_destroy(runtime);
}

Test(pool_room, who_waits_for_room_is_cancelled)
{
    tn_runtime *runtime = runtime_with(1, 1);
    waiting cancelled = {.runtime = runtime, .expected = TN_ECANCELED};
    waiting served = {.runtime = runtime};
    blocker b = BLOCKER_INIT;
    tn_task *first;
    tn_task *second;

    cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, NULL, block, &b), 0);
    tt_gate_wait(&b.begun, 1);
    cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, NULL, count_up, &served.ran), 0);
    first = tt_spawn_on(runtime, spawn_and_wait, &cancelled);
    second = tt_spawn_on(runtime, spawn_and_wait, &served);
    tt_block_thread(5 * TN_MS);
    tn_cancel(first);
    tt_join(first);
    tt_gate_open(&b.end);
    tt_join(second);
    cr_assert_eq(atomic_load(&cancelled.ran), 0);
    tt_runtime_destroy(runtime);
}

Test(pool_room, cancelled_jobs_make_room)
{
    enum { PLACES = 20 };
    tn_runtime *runtime = runtime_with(1, PLACES);
    tn_blocking_options options = tn_blocking_options_default();
    atomic_long count = 0;
    blocker b = BLOCKER_INIT;
    tn_job *jobs[PLACES];

    options.when_full = TN_FULL_ERROR;
    cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, NULL, block, &b), 0);
    tt_gate_wait(&b.begun, 1);
    for (unsigned i = 0; i < PLACES; i++)
        cr_assert_eq(tn_spawn_blocking_on(runtime, &options, &jobs[i], count_up, &count), 0);
    for (unsigned i = 0; i < PLACES; i++) {
        cr_assert(tn_job_cancel(jobs[i]));
        tn_job_release(jobs[i]);
    }
    for (unsigned i = 0; i < PLACES; i++)
        cr_assert_eq(tn_spawn_blocking_on(runtime, &options, NULL, count_up, &count), 0);
    tt_gate_open(&b.end);
    tt_runtime_destroy(runtime);
}

/* --- Per class of job ------------------------------------------------------------------------------------------------------- */

static void *ask_for_a_file(void *arg)
{
    tn_stat status;

    tt_check(tn_fs_stat("/", &status) == 0);
    tt_gate_open(&((scene *)arg)->blocker.end);
    return NULL;
}

/* The running job waits for a task. The file call of that task must not wait for the queued jobs. */
Test(pool_room, users_jobs_keep_no_room_from_files)
{
    scene self = SCENE_INIT;
    tn_task *task;

    self.runtime = runtime_with(1, 3);
    cr_assert_eq(tn_spawn_blocking_on(self.runtime, NULL, NULL, block, &self.blocker), 0);
    tt_gate_wait(&self.blocker.begun, 1);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(tn_spawn_blocking_on(self.runtime, NULL, NULL, count_up, &self.ran), 0);
    task = tt_spawn_on(self.runtime, ask_for_a_file, &self);
    tt_join(task);
    tt_runtime_destroy(self.runtime);
}

/* --- Slots of cancelled jobs ------------------------------------------------------------------------------------------------ */

static void *wait_for_room(void *arg)
{
    scene *self = arg;

    tt_gate_open(&self->waits);
    tt_check(tn_spawn_blocking(NULL, count_up, &self->ran) == 0);
    return NULL;
}

Test(pool_room, a_cancelled_job_makes_room_for_who_waits)
{
    enum { QUEUE = 3 };
    scene self = SCENE_INIT;
    tn_job *jobs[QUEUE];
    tn_task *tasks[QUEUE];

    self.runtime = runtime_with(1, QUEUE);
    cr_assert_eq(tn_spawn_blocking_on(self.runtime, NULL, NULL, block, &self.blocker), 0);
    tt_gate_wait(&self.blocker.begun, 1);
    for (unsigned i = 0; i < QUEUE; i++)
        cr_assert_eq(tn_spawn_blocking_on(self.runtime, NULL, &jobs[i], count_up, &self.ran), 0);
    for (unsigned i = 0; i < QUEUE; i++)
        tasks[i] = tt_spawn_on(self.runtime, wait_for_room, &self);
    tt_gate_wait(&self.waits, QUEUE);
    tt_block_thread(5 * TN_MS); /* they are probably suspended by now */
    for (unsigned i = 0; i < QUEUE; i++) {
        cr_assert(tn_job_cancel(jobs[i]));
        cr_assert_not(tn_job_cancel(jobs[i]));
        tn_job_release(jobs[i]);
    }
    for (unsigned i = 0; i < QUEUE; i++)
        tt_join(tasks[i]); /* although the only thread is inside its job */
    cr_assert_eq(atomic_load(&self.ran), 0);
    tt_gate_open(&self.blocker.end);
    tt_runtime_destroy(self.runtime);
}

typedef struct {
    tn_job *jobs[64];
    atomic_long cancelled;
} pile;

static void *cancel_pile(void *arg)
{
    pile *self = arg;

    for (unsigned i = 0; i < 64; i++) {
        if (tn_job_cancel(self->jobs[i]))
            atomic_fetch_add(&self->cancelled, 1);
        tn_job_release(self->jobs[i]);
    }
    return NULL;
}

/* Each job is run or cancelled exactly once. The threads reach jobs while these are being removed from the queue. */
Test(pool_room, cancels_race_with_threads)
{
    for (unsigned long round = 0; round < tt_scaled(200); round++) {
        scene self = SCENE_INIT;
        pile jobs = {.cancelled = 0};
        pthread_t thread;

        self.runtime = runtime_with(2, 128);
        for (unsigned i = 0; i < 64; i++)
            cr_assert_eq(tn_spawn_blocking_on(self.runtime, NULL, &jobs.jobs[i], count_up, &self.ran), 0);
        thread = tt_thread_start(cancel_pile, &jobs);
        tt_thread_join(thread);
        while (atomic_load(&self.ran) + atomic_load(&jobs.cancelled) < 64)
            tt_block_thread(TN_MS);
        tt_runtime_destroy(self.runtime);
        cr_assert_eq(atomic_load(&self.ran) + atomic_load(&jobs.cancelled), 64);
    }
}
