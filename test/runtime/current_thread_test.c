/* SPDX-License-Identifier: MIT */
/* The current-thread flavor: the thread that blocks on the runtime runs all its tasks. */
/* ctest: timeout=120 */
#include <stdatomic.h>
#include <unistd.h>

#include "support/allocator.h"
#include "support/runtime.h"

static tn_runtime *create_current(void)
{
    tn_options options = tn_options_default();
    tn_runtime *runtime = NULL;
    int rc;

    options.flavor = TN_CURRENT_THREAD;
    rc = tn_runtime_create(&runtime, &options);
    cr_assert_eq(rc, 0, "tn_runtime_create: %s", tn_strerror(rc));
    return runtime;
}

typedef struct {
    pid_t thread;
    atomic_ulong ended;
    atomic_bool waits;
    tn_runtime *runtime;
    int rc;
} shared;

static void *stay_in_the_thread(void *arg)
{
    shared *s = arg;

    tt_check(gettid() == s->thread);
    tt_check(tn_yield() == 0 && gettid() == s->thread);
    tt_check(tn_sleep(TN_MS) == 0 && gettid() == s->thread);
    atomic_fetch_add(&s->ended, 1);
    return s;
}

static void *spawn_in_the_thread(void *arg)
{
    tn_task *tasks[50];

    for (int i = 0; i < 50; i++)
        tasks[i] = tt_spawn(stay_in_the_thread, arg);
    for (int i = 0; i < 50; i++)
        tt_check(tt_join(tasks[i]) == arg);
    return arg;
}

Test(current_thread, everything_runs_in_the_caller)
{
    tn_runtime *runtime = create_current();
    shared s = {.thread = gettid()};
    unsigned threads = tt_threads();

    cr_assert_eq(tn_runtime_workers(runtime), 1);
    for (int i = 0; i < 20; i++) {
        void *result = NULL;
        cr_assert_eq(tn_block_on(runtime, spawn_in_the_thread, &s, &result), 0);
        cr_assert_eq(result, &s);
        cr_assert_null(tn_self());
        cr_assert_null(tn_runtime_current());
    }
    cr_assert_eq(atomic_load(&s.ended), 20 * 50);
    tt_expect_threads(threads);
    tt_runtime_destroy(runtime);
}

static void *leave_some_behind(void *arg)
{
    for (int i = 0; i < 10; i++)
        tt_check(tn_spawn(NULL, stay_in_the_thread, arg) == 0);
    return NULL;
}

/* Tasks that are left when one call returns continue in the next call, or in destroy. */
Test(current_thread, tasks_may_be_left_between_calls)
{
    tn_runtime *runtime = create_current();
    shared s = {.thread = gettid()};

    for (int i = 0; i < 10; i++)
        cr_assert_eq(tn_block_on(runtime, leave_some_behind, &s, NULL), 0);
    cr_assert_gt(tn_runtime_tasks(runtime), 0);
    tt_block_thread(3 * TN_MS);
    cr_assert_lt(atomic_load(&s.ended), 100);
    tt_runtime_destroy(runtime);
    cr_assert_eq(atomic_load(&s.ended), 100);
}

static void *drive_in_another_thread(void *arg)
{
    shared *s = arg;

    s->thread = gettid();
    s->rc = tn_block_on(s->runtime, spawn_in_the_thread, s, NULL);
    return NULL;
}

Test(current_thread, threads_may_take_turns)
{
    shared s = {.runtime = create_current()};

    for (int i = 0; i < 20; i++) {
        tt_thread_join(tt_thread_start(drive_in_another_thread, &s));
        cr_assert_eq(s.rc, 0);
        s.thread = gettid();
        cr_assert_eq(tn_block_on(s.runtime, spawn_in_the_thread, &s, NULL), 0);
    }
    tt_runtime_destroy(s.runtime);
}

static void *wait_for_the_other(void *arg)
{
    shared *s = arg;

    atomic_store(&s->waits, true);
    while (atomic_load(&s->waits))
        tt_check(tn_sleep(TN_MS) == 0);
    return NULL;
}

static void *drive_until_told(void *arg)
{
    shared *s = arg;

    s->rc = tn_block_on(s->runtime, wait_for_the_other, s, NULL);
    return NULL;
}

Test(current_thread, a_second_driver_is_refused)
{
    shared s = {.runtime = create_current()};
    pthread_t thread = tt_thread_start(drive_until_told, &s);

    while (!atomic_load(&s.waits))
        tn_yield();
    for (int i = 0; i < 10; i++)
        cr_assert_eq(tn_block_on(s.runtime, leave_some_behind, &s, NULL), TN_EBUSY);
    atomic_store(&s.waits, false);
    tt_thread_join(thread);
    cr_assert_eq(s.rc, 0);
    cr_assert_eq(tn_runtime_tasks(s.runtime), 0);
    tt_runtime_destroy(s.runtime);
}

/* --- From other threads --------------------------------------------------------------------------------------------------- */

static void *count_end(void *arg)
{
    atomic_fetch_add(&((shared *)arg)->ended, 1);
    return arg;
}

static void *spawn_and_join_from_outside(void *arg)
{
    shared *s = arg;

    for (unsigned long i = 0; i < tt_scaled(2000); i++)
        tt_check(tt_join(tt_spawn_on(s->runtime, count_end, s)) == s);
    atomic_store(&s->waits, false);
    return NULL;
}

Test(current_thread, others_may_spawn_and_join)
{
    shared s = {.runtime = create_current()};
    pthread_t thread = tt_thread_start(spawn_and_join_from_outside, &s);

    cr_assert_eq(tn_block_on(s.runtime, wait_for_the_other, &s, NULL), 0);
    tt_thread_join(thread);
    cr_assert_eq(atomic_load(&s.ended), tt_scaled(2000));
    tt_runtime_destroy(s.runtime);
}

/* A plain thread drives the current-thread runtime, beside a multi-thread one. A task of the latter would block its worker. */
static void *spawn_over_there(void *arg)
{
    shared *s = arg;

    for (unsigned long i = 0; i < tt_scaled(500); i++)
        tt_check(tt_join(tt_spawn_on(s->runtime, count_end, s)) == s);
    atomic_store(&s->waits, false);
    return NULL;
}

Test(current_thread, beside_a_multi_thread_runtime)
{
    tn_runtime *other = tt_runtime_create();
    shared s = {.runtime = create_current()};
    tn_task *task = tt_spawn_on(other, spawn_over_there, &s);

    cr_assert_eq(tn_block_on(s.runtime, wait_for_the_other, &s, NULL), 0);
    tt_join(task);
    tt_runtime_destroy(s.runtime);
    tt_runtime_destroy(other);
}

/* --- Destroying ----------------------------------------------------------------------------------------------------------- */

static void *sleep_long(void *arg)
{
    int rc = tn_sleep(3600 * TN_S);

    atomic_fetch_add(&((shared *)arg)->ended, rc == TN_ECANCELED);
    return NULL;
}

static void *leave_sleepers(void *arg)
{
    for (int i = 0; i < 10; i++)
        tt_check(tn_spawn(NULL, sleep_long, arg) == 0);
    tt_check(tn_yield() == 0);
    return NULL;
}

Test(current_thread, destroy_cancels)
{
    shared s = {.runtime = create_current()};

    cr_assert_eq(tn_block_on(s.runtime, leave_sleepers, &s, NULL), 0);
    cr_assert_eq(tn_runtime_destroy(s.runtime, TN_SHUTDOWN_CANCEL, 30 * TN_S), 0);
    cr_assert_eq(atomic_load(&s.ended), 10);
}

Test(current_thread, destroy_gives_up)
{
    tn_options options = tn_options_default();
    shared s = {.rc = 0};
    tt_allocator allocator;
    uint64_t begin_ns;

    tt_allocator_init(&allocator);
    options.flavor = TN_CURRENT_THREAD;
    options.allocator = &allocator.as_option;
    cr_assert_eq(tn_runtime_create(&s.runtime, &options), 0);
    cr_assert_eq(tn_block_on(s.runtime, leave_sleepers, &s, NULL), 0);
    begin_ns = tn_now();
    cr_assert_eq(tn_runtime_destroy(s.runtime, TN_SHUTDOWN_WAIT, 20 * TN_MS), 10);
    cr_assert_geq(tn_now() - begin_ns, 20 * TN_MS);
    cr_assert_eq(atomic_load(&s.ended), 0);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}

Test(current_thread, destroy_without_a_run)
{
    shared s = {.runtime = create_current(), .thread = gettid()};

    cr_assert_eq(tn_spawn_on(s.runtime, NULL, NULL, stay_in_the_thread, &s), 0);
    tt_runtime_destroy(s.runtime);
    cr_assert_eq(atomic_load(&s.ended), 1);
    s.runtime = create_current();
    tt_runtime_destroy(s.runtime);
}

Test(current_thread, tn_run)
{
    tn_options options = tn_options_default();
    shared s = {.thread = gettid()};

    options.flavor = TN_CURRENT_THREAD;
    cr_assert_eq(tn_run(leave_some_behind, &s, &options), 0);
    cr_assert_eq(atomic_load(&s.ended), 10);
}

static void *block_inside(void *arg)
{
    shared *s = arg;

    (void)tn_block_on(s->runtime, count_end, s, NULL);
    return NULL;
}

static void run_block_inside(void *arg)
{
    shared s = {.runtime = create_current()};
    (void)arg;

    (void)tn_block_on(s.runtime, block_inside, &s, NULL);
}

Test(current_thread, blocking_on_it_in_a_task_aborts)
{
    tt_child child = tt_fork(run_block_inside, NULL);

    cr_assert(tt_child_aborted(&child, "tn_block_on in a task"));
}
