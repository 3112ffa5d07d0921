/* Room in the queue: whose it is, and who gets it. */
/* ctest: timeout=60 */
#include <stdatomic.h>

#include "support/runtime.h"
#include "tn_blocking.h"
#include "tn_fs.h"

typedef struct {
    tn_runtime *runtime;
    tt_gate begun;
    tt_gate end;
    tt_gate waits;
    atomic_long ran;
} scene;

#define SCENE_INIT {.begun = TT_GATE_INIT, .end = TT_GATE_INIT, .waits = TT_GATE_INIT}

static void *count_up(void *arg)
{
    atomic_fetch_add(&((scene *)arg)->ran, 1);
    return NULL;
}

static void *block(void *arg)
{
    scene *self = arg;

    tt_gate_open(&self->begun);
    tt_gate_wait(&self->end, 1);
    return NULL;
}

static tn_runtime *runtime_with(unsigned threads, size_t queue)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    options.blocking_threads = threads;
    options.blocking_queue_max = queue;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    return runtime;
}

/* --- Of each class ---------------------------------------------------------------------------------------------------------- */

static void *ask_for_a_file(void *arg)
{
    tn_stat status;

    tt_check(tn_fs_stat("/", &status) == 0);
    tt_gate_open(&((scene *)arg)->end);
    return NULL;
}

/* The job that runs waits for a task, whose call on files must not wait for the jobs. */
Test(pool_room, users_jobs_keep_no_room_from_files)
{
    scene self = SCENE_INIT;
    tn_task *task;

    self.runtime = runtime_with(1, 3);
    cr_assert_eq(tn_spawn_blocking_on(self.runtime, NULL, NULL, block, &self), 0);
    tt_gate_wait(&self.begun, 1);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(tn_spawn_blocking_on(self.runtime, NULL, NULL, count_up, &self), 0);
    task = tt_spawn_on(self.runtime, ask_for_a_file, &self);
    tt_join(task);
    tt_runtime_destroy(self.runtime);
}

/* --- Of cancelled jobs ------------------------------------------------------------------------------------------------------ */

static void *wait_for_room(void *arg)
{
    scene *self = arg;

    tt_gate_open(&self->waits);
    tt_check(tn_spawn_blocking(NULL, count_up, self) == 0);
    return NULL;
}

Test(pool_room, a_cancelled_job_makes_room_for_who_waits)
{
    enum { QUEUE = 3 };
    scene self = SCENE_INIT;
    tn_job *jobs[QUEUE];
    tn_task *tasks[QUEUE];

    self.runtime = runtime_with(1, QUEUE);
    cr_assert_eq(tn_spawn_blocking_on(self.runtime, NULL, NULL, block, &self), 0);
    tt_gate_wait(&self.begun, 1);
    for (unsigned i = 0; i < QUEUE; i++)
        cr_assert_eq(tn_spawn_blocking_on(self.runtime, NULL, &jobs[i], count_up, &self), 0);
    for (unsigned i = 0; i < QUEUE; i++)
        tasks[i] = tt_spawn_on(self.runtime, wait_for_room, &self);
    tt_gate_wait(&self.waits, QUEUE);
    tt_block_thread(5 * TN_MS); /* they are suspended by now, most likely */
    for (unsigned i = 0; i < QUEUE; i++) {
        cr_assert(tn_job_cancel(jobs[i]));
        cr_assert_not(tn_job_cancel(jobs[i]));
        tn_job_release(jobs[i]);
    }
    for (unsigned i = 0; i < QUEUE; i++)
        tt_join(tasks[i]); /* though the one thread is inside of its job */
    cr_assert_eq(atomic_load(&self.ran), 0);
    tt_gate_open(&self.end);
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

/* Each job is run or cancelled, once; threads come by jobs that are just being taken back. */
Test(pool_room, cancels_race_with_threads)
{
    for (unsigned long round = 0; round < tt_scaled(200); round++) {
        scene self = SCENE_INIT;
        pile jobs = {.cancelled = 0};
        pthread_t thread;

        self.runtime = runtime_with(2, 128);
        for (unsigned i = 0; i < 64; i++)
            cr_assert_eq(tn_spawn_blocking_on(self.runtime, NULL, &jobs.jobs[i], count_up, &self), 0);
        thread = tt_thread_start(cancel_pile, &jobs);
        tt_thread_join(thread);
        while (atomic_load(&self.ran) + atomic_load(&jobs.cancelled) < 64)
            tt_block_thread(TN_MS);
        tt_runtime_destroy(self.runtime);
        cr_assert_eq(atomic_load(&self.ran) + atomic_load(&jobs.cancelled), 64);
    }
}
