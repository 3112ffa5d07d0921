/* SPDX-License-Identifier: MIT */
/* TN_ECANCELED and TN_ETIMEDOUT may have several causes: a scope, one around it, the task's own cancellation, or an error of the
 * program. tn_checkpoint shows which (tn/scope.h). */
#include <stdlib.h>

#include <tn/combine.h>
#include <tn/group.h>
#include <tn/once.h>

#include "support/manual.h"
#include "support/runtime.h"

enum { HOUR_S = 3600 };

/* --- Which scope ------------------------------------------------------------------------------------------------------------ */

/* In each: a wait inside `inner` ends, `inner` is left, and what is around it has ended, or has not. */
static void *which_scope(void *arg)
{
    tn_cancel_source source;
    tn_scope outer;
    tn_scope inner;

    tn_scope_enter_for(&outer, HOUR_S * TN_S);
    tn_scope_enter_for(&inner, TN_MS);
    tt_check_eq(tn_sleep(HOUR_S * TN_S), TN_ETIMEDOUT);
    tn_scope_leave(&inner);
    tt_check_eq(tn_checkpoint(), 0);
    tn_scope_enter(&inner, TN_NEVER);
    tn_scope_cancel(&inner);
    tt_check_eq(tn_sleep(HOUR_S * TN_S), TN_ECANCELED);
    tn_scope_leave(&inner);
    tt_check_eq(tn_checkpoint(), 0);
    tn_scope_leave(&outer);

    tn_scope_enter_for(&outer, TN_MS);
    tn_scope_enter_for(&inner, HOUR_S * TN_S);
    tt_check_eq(tn_sleep(HOUR_S * TN_S), TN_ETIMEDOUT);
    tn_scope_leave(&inner);
    tt_check_eq(tn_checkpoint(), TN_ETIMEDOUT);
    tn_scope_leave(&outer);

    tn_cancel_source_init(&source);
    tn_scope_enter_with(&outer, TN_NEVER, &source);
    tn_scope_enter_for(&inner, HOUR_S * TN_S);
    tn_cancel_source_cancel(&source);
    tt_check_eq(tn_sleep(HOUR_S * TN_S), TN_ECANCELED);
    tn_scope_leave(&inner);
    tt_check_eq(tn_checkpoint(), TN_ECANCELED);
    tn_scope_leave(&outer);
    tt_check_eq(tn_checkpoint(), 0);
    tn_cancel_source_fini(&source);
    return arg;
}

Test(causes, a_scope_or_one_around_it)
{
    which_scope(NULL);
    tt_run(which_scope, NULL);
}

/* Both have ended: the cancellation takes precedence. */
static void *cancelled_and_late(void *arg)
{
    tn_scope outer;
    tn_scope inner;

    tn_scope_enter(&outer, tn_now());
    tt_check_eq(tn_checkpoint(), TN_ETIMEDOUT);
    tn_scope_cancel(&outer);
    tt_check_eq(tn_checkpoint(), TN_ECANCELED);
    tn_scope_enter(&inner, tn_now());
    tt_check_eq(tn_sleep(HOUR_S * TN_S), TN_ECANCELED);
    tn_scope_leave(&inner);
    tn_scope_leave(&outer);
    return arg;
}

Test(causes, a_cancellation_and_a_deadline)
{
    cancelled_and_late(NULL);
    tt_run(cancelled_and_late, NULL);
}

static void *cancelled_in_a_scope(void *arg)
{
    tn_scope scope;

    tn_scope_enter_for(&scope, HOUR_S * TN_S);
    tt_check_eq(tn_sleep(HOUR_S * TN_S), TN_ECANCELED);
    tn_scope_leave(&scope);
    tt_check_eq(tn_checkpoint(), TN_ECANCELED);
    return arg;
}

static void *cancel_a_task(void *arg)
{
    tn_task *task = tt_spawn(cancelled_in_a_scope, arg);

    tn_cancel(task);
    tt_join(task);
    return arg;
}

Test(causes, the_task_itself)
{
    tt_run(cancel_a_task, NULL);
}

/* --- A scope, or an error of the program ------------------------------------------------------------------------------------ */

static int make_nothing(void *arg)
{
    return (int)(intptr_t)arg;
}

/* Each call returns `error` as the program's own. */
static void expect_own_error(int error)
{
    void *arg = (void *)(intptr_t)error;
    tn_once once = TN_ONCE_INIT;
    tt_manual manual;
    tn_future *futures[1] = {&manual.base};
    int result;

    tt_manual_init(&manual);
    tt_manual_set(&manual, error);
    tt_check_eq(tn_await(&manual.base), error);
    tt_check_eq(tn_checkpoint(), 0);
    tt_check_eq(tn_try_join_all(futures, &result, 1), error);
    tt_check(result == error && tn_checkpoint() == 0);
    tt_check_eq(tn_once_run(&once, make_nothing, arg), error);
    tt_check_eq(tn_checkpoint(), 0);
    tn_once_fini(&once);
}

static void *own_errors(void *arg)
{
    tt_manual never;

    expect_own_error(TN_ECANCELED);
    expect_own_error(TN_ETIMEDOUT);
    tt_manual_init(&never);
    tt_check_eq(tn_timeout_for(&never.base, TN_MS), TN_ETIMEDOUT);
    tt_check_eq(tn_checkpoint(), 0);
    return arg;
}

Test(causes, a_result_of_the_program)
{
    own_errors(NULL);
    tt_run(own_errors, NULL);
}

static int must_not_make(void *arg)
{
    (void)arg;
    abort();
}

/* The same calls, inside a scope that has ended. */
static void *errors_of_a_scope(void *arg)
{
    tn_once once = TN_ONCE_INIT;
    tt_manual never;
    tn_future *futures[1] = {&never.base};
    int result;
    TN_SCOPE(scope, tn_now() + TN_MS);

    tt_manual_init(&never);
    tt_check_eq(tn_timeout_for(&never.base, HOUR_S * TN_S), TN_ETIMEDOUT);
    tt_check_eq(tn_checkpoint(), TN_ETIMEDOUT);
    tt_check_eq(tn_await(&never.base), TN_ETIMEDOUT);
    tt_check_eq(tn_try_join_all(futures, &result, 1), TN_ETIMEDOUT);
    tt_check_eq(tn_once_run(&once, must_not_make, NULL), TN_ETIMEDOUT);
    tt_check_eq(tn_checkpoint(), TN_ETIMEDOUT);
    tn_once_fini(&once);
    return arg;
}

Test(causes, a_scope)
{
    errors_of_a_scope(NULL);
    tt_run(errors_of_a_scope, NULL);
}

/* A value that is there already is no cancellation point. */
static void *a_value_that_is_there(void *arg)
{
    tn_once once = TN_ONCE_INIT;
    TN_SCOPE(scope, tn_now());

    tt_check_eq(tn_once_try_begin(&once), TN_ONCE_MINE);
    tn_once_complete(&once);
    tt_check_eq(tn_checkpoint(), TN_ETIMEDOUT);
    tt_check_eq(tn_once_run(&once, must_not_make, NULL), 0);
    tt_check_eq(tn_once_begin(&once), 0);
    tn_once_fini(&once);
    return arg;
}

Test(causes, none_where_nothing_has_to_be_done)
{
    a_value_that_is_there(NULL);
    tt_run(a_value_that_is_there, NULL);
}

/* --- Groups ----------------------------------------------------------------------------------------------------------------- */

static void *return_arg(void *arg)
{
    return arg;
}

static void *sleep_long(void *arg)
{
    (void)tn_sleep(HOUR_S * TN_S);
    return arg;
}

static void *must_be_cancelled(void *arg)
{
    tt_check_eq(tn_checkpoint(), TN_ECANCELED);
    return arg;
}

static void must_not_drop(void *result)
{
    (void)result;
    abort();
}

static void *wait_for_a_group(void *arg)
{
    tn_spawn_options options = tn_spawn_options_default();
    TN_GROUP(group, NULL);

    options.drop_result = must_not_drop; /* an error is no result that is dropped */
    tt_check_eq(tn_group_spawn(&group, &options, return_arg, (void *)(intptr_t)TN_ECANCELED), 0);
    tt_check_eq(tn_group_wait(&group), TN_ECANCELED);
    tt_check_eq(tn_checkpoint(), 0);
    tt_check_eq(tn_group_spawn(&group, NULL, sleep_long, NULL), 0);
    {
        TN_SCOPE(scope, TN_NEVER);
        tn_scope_cancel(&scope);
        tt_check_eq(tn_group_wait(&group), TN_ECANCELED);
        tt_check_eq(tn_checkpoint(), TN_ECANCELED);
    }
    tn_group_cancel(&group);
    tt_check_eq(tn_group_spawn(&group, NULL, must_be_cancelled, NULL), 0); /* cancelled from the start, and runs */
    return arg;
}

Test(causes, a_task_of_a_group)
{
    tt_run(wait_for_a_group, NULL);
}
