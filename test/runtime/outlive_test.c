/* SPDX-License-Identifier: MIT */
/* Handles and wakers outlive their runtime. Joins of its tasks may be under way while it is destroyed. */
/* ctest: timeout=120 serial */
#include <stdatomic.h>
#include <string.h>

#include "support/allocator.h"
#include "support/runtime.h"

static tn_runtime *create_counted(tt_allocator *allocator)
{
    tn_options options = tt_options();
    tn_runtime *runtime = NULL;

    tt_allocator_init(allocator);
    options.allocator = &allocator->as_option;
    tt_check(tn_runtime_create(&runtime, &options) == 0);
    return runtime;
}

static bool all_is_freed(void *arg)
{
    return atomic_load(&((tt_allocator *)arg)->blocks) == 0;
}

static void *echo(void *arg)
{
    return arg;
}

static void *sleep_for_good(void *arg)
{
    (void)tn_sleep(3600 * TN_S);
    return arg;
}

/* --- Handles --------------------------------------------------------------------------------------------------------------- */

Test(outlive, handles_of_finished_tasks)
{
    tt_allocator allocator;
    tn_runtime *runtime = create_counted(&allocator);
    tn_task *tasks[100];

    for (int i = 0; i < 100; i++)
        tasks[i] = tt_spawn_on(runtime, echo, &allocator);
    tt_runtime_destroy(runtime);
    cr_assert_gt(atomic_load(&allocator.blocks), 0); /* the handles use them */
    for (int i = 0; i < 100; i++) {
        void *result = NULL;
        cr_assert(tn_task_is_finished(tasks[i]));
        cr_assert_str_eq(tn_task_name(tasks[i]), "");
        cr_assert_gt(tn_task_id(tasks[i]), 0);
        tn_cancel(tasks[i]);
        cr_assert_eq(tn_join(tn_task_retain(tasks[i]), &result), 0);
        cr_assert_eq(result, &allocator);
        tn_task_release(tasks[i]);
    }
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}

Test(outlive, handles_of_tasks_that_were_given_up)
{
    tt_allocator allocator;
    tn_runtime *runtime = create_counted(&allocator);
    tn_task *tasks[10];

    for (int i = 0; i < 10; i++)
        tasks[i] = tt_spawn_on(runtime, sleep_for_good, NULL);
    cr_assert_eq(tn_runtime_destroy(runtime, TN_SHUTDOWN_WAIT, 5 * TN_MS), 10);
    for (int i = 0; i < 10; i++) {
        tn_cancel(tasks[i]);
        cr_assert_gt(tn_task_id(tasks[i]), 0);
        tn_task_release(tasks[i]);
    }
    cr_assert(tt_wait_until(all_is_freed, &allocator, 20 * TN_S));
}

enum { THREADS = 4, EACH = 50 };

typedef struct {
    tn_task *tasks[EACH];
    atomic_bool go;
} share;

static void *release_share(void *arg)
{
    share *s = arg;

    while (!atomic_load(&s->go))
        tn_yield();
    for (int i = 0; i < EACH; i++)
        tn_task_release(s->tasks[i]);
    return NULL;
}

/* Several threads release the last references while the runtime is destroyed. */
Test(outlive, handles_go_while_the_runtime_goes)
{
    for (unsigned long round = 0; round < tt_scaled(300); round++) {
        tt_allocator allocator;
        tn_runtime *runtime = create_counted(&allocator);
        pthread_t threads[THREADS];
        share shares[THREADS];
        for (int t = 0; t < THREADS; t++) {
            for (int i = 0; i < EACH; i++)
                shares[t].tasks[i] = tt_spawn_on(runtime, echo, NULL);
            atomic_init(&shares[t].go, false);
            threads[t] = tt_thread_start(release_share, &shares[t]);
        }
        for (int t = 0; t < THREADS; t++)
            atomic_store(&shares[t].go, true);
        tt_runtime_destroy(runtime);
        for (int t = 0; t < THREADS; t++)
            tt_thread_join(threads[t]);
        cr_assert_eq(atomic_load(&allocator.blocks), 0);
    }
}

/* --- Waiting --------------------------------------------------------------------------------------------------------------- */

static void *join_share(void *arg)
{
    share *s = arg;

    for (int i = 0; i < EACH; i++)
        tt_check(tt_join(s->tasks[i]) == s);
    return NULL;
}

static void *yield_and_echo(void *arg)
{
    (void)tn_yield();
    (void)tn_sleep(TN_MS / 4);
    return arg;
}

Test(outlive, joins_are_under_way_while_the_runtime_goes)
{
    for (unsigned long round = 0; round < tt_scaled(300); round++) {
        tt_allocator allocator;
        tn_runtime *runtime = create_counted(&allocator);
        pthread_t threads[THREADS];
        share shares[THREADS];
        for (int t = 0; t < THREADS; t++) {
            for (int i = 0; i < EACH; i++)
                shares[t].tasks[i] = tt_spawn_on(runtime, i % 2 ? echo : yield_and_echo, &shares[t]);
            threads[t] = tt_thread_start(join_share, &shares[t]);
        }
        tt_runtime_destroy(runtime);
        for (int t = 0; t < THREADS; t++)
            tt_thread_join(threads[t]);
        cr_assert_eq(atomic_load(&allocator.blocks), 0);
    }
}

/* A task of one runtime waits for tasks of another runtime that is destroyed meanwhile. */
static void *join_share_in_a_task(void *arg)
{
    return join_share(arg);
}

Test(outlive, tasks_of_another_runtime_wait)
{
    tn_runtime *stays = tt_runtime_create();

    for (unsigned long round = 0; round < tt_scaled(200); round++) {
        tt_allocator allocator;
        tn_runtime *runtime = create_counted(&allocator);
        tn_task *joiners[THREADS];
        share shares[THREADS];
        for (int t = 0; t < THREADS; t++) {
            for (int i = 0; i < EACH; i++)
                shares[t].tasks[i] = tt_spawn_on(runtime, i % 2 ? echo : yield_and_echo, &shares[t]);
            joiners[t] = tt_spawn_on(stays, join_share_in_a_task, &shares[t]);
        }
        tt_runtime_destroy(runtime);
        for (int t = 0; t < THREADS; t++)
            tt_join(joiners[t]);
        cr_assert(tt_wait_until(all_is_freed, &allocator, 20 * TN_S));
    }
    tt_runtime_destroy(stays);
}

/* --- Wakers ---------------------------------------------------------------------------------------------------------------- */

typedef struct {
    tn_future base;
    _Atomic(tn_waker *) waker;
    atomic_bool over;
    atomic_ulong wakes;
} keeping_future;

static int keeping_poll(tn_future *self, tn_waker *waker)
{
    keeping_future *future = (keeping_future *)(void *)self;

    if (atomic_load(&future->waker) == NULL)
        atomic_store(&future->waker, tn_waker_retain(waker));
    return TN_PENDING;
}

static void keeping_drop(tn_future *self)
{
    (void)self;
}

static void *wake_on(void *arg)
{
    keeping_future *future = arg;
    tn_waker *waker;

    while ((waker = atomic_load(&future->waker)) == NULL)
        tn_yield();
    while (!atomic_load(&future->over)) {
        tn_waker_wake_by_ref(waker);
        tn_waker_wake(tn_waker_retain(waker));
        atomic_fetch_add(&future->wakes, 1);
    }
    tn_waker_wake(waker);
    return NULL;
}

static bool has_woken(void *arg)
{
    return atomic_load(&((keeping_future *)arg)->wakes) > 0;
}

static void wake_while_it_goes(tn_shutdown how, size_t left)
{
    static const tn_future_ops ops = {keeping_poll, keeping_drop};

    for (unsigned long round = 0; round < tt_scaled(100); round++) {
        keeping_future future = {.base = {&ops}};
        tt_allocator allocator;
        tn_runtime *runtime = create_counted(&allocator);
        pthread_t thread = tt_thread_start(wake_on, &future);
        cr_assert_eq(tn_spawn_future(runtime, NULL, NULL, &future.base), 0);
        cr_assert(tt_wait_until(has_woken, &future, 20 * TN_S));
        cr_assert_eq(tn_runtime_destroy(runtime, how, how == TN_SHUTDOWN_WAIT ? TN_MS : 30 * TN_S), left);
        tt_block_thread(round % 3 * 100 * TN_US);
        atomic_store(&future.over, true);
        tt_thread_join(thread);
        cr_assert(tt_wait_until(all_is_freed, &allocator, 20 * TN_S));
    }
}

Test(outlive, wakes_go_on_while_the_runtime_goes)
{
    wake_while_it_goes(TN_SHUTDOWN_CANCEL, 0);
}

Test(outlive, wakes_go_on_while_it_is_given_up)
{
    wake_while_it_goes(TN_SHUTDOWN_WAIT, 1);
}
