/* SPDX-License-Identifier: MIT */
/* Task-local values, exit hooks, results that are not joined. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "support/allocator.h"
#include "support/runtime.h"

enum { HOUR_S = 3600 };

static char said[64];

static void say(void *arg)
{
    size_t length = strlen(said);

    tt_check(tn_self() != NULL);
    said[length] = *(const char *)arg;
}

/* Returns a pointer to `c`, which say() appends. */
static void *letter(char c)
{
    static char letters[128];

    letters[(unsigned char)c] = c;
    return &letters[(unsigned char)c];
}

static const tn_task_local_key with_destroy = {say};
static const tn_task_local_key without = {NULL};

static void *use_locals(void *arg)
{
    tt_check(tn_task_local_get(&with_destroy) == NULL);
    tt_check(tn_task_local_set(&with_destroy, letter('x')) == 0 && tn_task_local_set(&without, arg) == 0);
    tt_check(tn_yield() == 0);
    tt_check(*(char *)tn_task_local_get(&with_destroy) == 'x' && tn_task_local_get(&without) == arg);
    tt_check(tn_task_local_set(&with_destroy, letter('y')) == 0); /* the old value is not destroyed */
    tt_check(tn_task_at_exit(say, letter('a')) == 0 && tn_task_at_exit(say, letter('b')) == 0);
    return arg;
}

static void *in_their_own_tasks(void *arg)
{
    tt_check(tn_task_local_set(&without, letter('m')) == 0);
    (void)tt_join(tt_spawn(use_locals, arg));
    tt_check(*(char *)tn_task_local_get(&without) == 'm'); /* neither visible nor inherited */
    return NULL;
}

Test(extras, values_and_hooks_in_reverse_order)
{
    tt_run(in_their_own_tasks, said);
    cr_assert_str_eq(said, "bay");
    cr_assert_eq(tn_task_local_set(&without, NULL), TN_EINVAL);
    cr_assert_eq(tn_task_at_exit(say, NULL), TN_EINVAL);
    cr_assert_null(tn_task_local_get(&without));
}

/* A hook that registers another one. */
static void ask_again(void *arg)
{
    tt_check(tn_task_at_exit(say, arg) == 0);
}

static int poll_once(tn_future *self, tn_waker *waker)
{
    (void)self;
    (void)waker;
    tt_check(tn_task_at_exit(ask_again, letter('s')) == 0);
    return 0;
}

static void drop_it(tn_future *self)
{
    free(self);
    tt_check(tn_task_at_exit(say, letter('d')) == 0); /* drop runs before the hooks */
}

static void *stackless(void *arg)
{
    static const tn_future_ops ops = {.poll = poll_once, .drop = drop_it};
    tn_future *future = malloc(sizeof *future);
    tn_task *task;

    tt_check(future != NULL);
    future->ops = &ops;
    tt_check(tn_spawn_future(NULL, NULL, &task, future) == 0);
    (void)tt_join(task);
    return arg;
}

Test(extras, stackless_tasks_have_them_too)
{
    tt_run(stackless, NULL);
    cr_assert_str_eq(said, "ds");
}

/* --- Results ---------------------------------------------------------------------------------------------------------------- */

static atomic_uint drops;

static void count_drop(void *result)
{
    tt_check(result == &drops);
    atomic_fetch_add(&drops, 1);
}

static void *give_pointer(void *arg)
{
    (void)arg;
    (void)tn_sleep(1);
    return &drops;
}

static void *results(void *arg)
{
    tn_spawn_options options = tn_spawn_options_default();
    tn_task *task;
    tn_task *other;
    void *result;

    options.drop_result = count_drop;
    tt_check(tn_spawn_on(NULL, &options, &task, give_pointer, NULL) == 0);
    other = tn_task_retain(task);
    tt_check(tn_join(task, &result) == 0 && result == &drops && tn_task_is_finished(other));
    tn_task_release(other);
    tt_check(atomic_load(&drops) == 0); /* the join has taken the result */
    tt_check(tn_spawn_on(NULL, &options, &task, give_pointer, NULL) == 0);
    tn_task_release(task); /* before its end: the end drops the result */
    tt_check(tn_spawn_on(NULL, &options, NULL, give_pointer, NULL) == 0);
    tt_check(tn_spawn_on(NULL, &options, &task, give_pointer, NULL) == 0);
    while (!tn_task_is_finished(task))
        tt_check(tn_yield() == 0);
    {
        unsigned before = atomic_load(&drops);
        tn_task_release(task); /* after its end: the release drops it */
        tt_check(atomic_load(&drops) > before);
    }
    return arg;
}

Test(extras, a_result_that_nobody_joins_is_dropped)
{
    tt_run(results, NULL);
    cr_assert_eq(atomic_load(&drops), 3);
}

/* Handles that outlive the runtime: of a task that has ended, and of a task that destroy has discarded. */
static void *suspend_for_good(void *arg)
{
    tt_check(tn_task_at_exit(say, letter('e')) == 0 || arg == NULL);
    while (tn_sleep(HOUR_S * TN_S) == 0 || tn_runtime_current() != NULL)
        if (tn_checkpoint() == TN_ECANCELED)
            break;
    return &drops;
}

Test(extras, handles_that_outlive_the_runtime)
{
    tn_spawn_options options = tn_spawn_options_default();
    tn_options runtime_options = tt_options();
    tt_allocator allocator;
    tn_runtime *runtime;
    tn_task *task;

    tt_allocator_init(&allocator);
    runtime_options.allocator = &allocator.as_option;
    cr_assert_eq(tn_runtime_create(&runtime, &runtime_options), 0);
    options.drop_result = count_drop;
    cr_assert_eq(tn_spawn_on(runtime, &options, &task, suspend_for_good, &options), 0);
    cr_assert_eq(tn_runtime_destroy(runtime, TN_SHUTDOWN_CANCEL, 30 * TN_S), 0);
    cr_assert_eq(atomic_load(&drops), 0);
    cr_assert_str_eq(said, "e");
    tn_task_release(task);
    cr_assert_eq(atomic_load(&drops), 1);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}

static void *no_memory(void *arg)
{
    tt_allocator *allocator = arg;
    tn_spawn_options options = tn_spawn_options_default();
    tn_task *task;

    options.drop_result = count_drop;
    tt_allocator_fail(allocator, 1, 1);
    tt_check(tn_task_at_exit(say, letter('n')) == TN_ENOMEM);
    tt_allocator_fail(allocator, 1, 1);
    tt_check(tn_task_local_set(&without, arg) == TN_ENOMEM);
    tt_allocator_fail(allocator, 1, 1);
    tt_check(tn_spawn_on(NULL, &options, &task, give_pointer, NULL) == TN_ENOMEM && task == NULL);
    return NULL;
}

Test(extras, no_memory_is_an_error)
{
    tn_options options = tt_options();
    tt_allocator allocator;
    tn_runtime *runtime;

    tt_allocator_init(&allocator);
    options.allocator = &allocator.as_option;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, no_memory, &allocator, NULL), 0);
    tt_runtime_destroy(runtime);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
    cr_assert_str_eq(said, "");
}
