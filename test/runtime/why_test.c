/* SPDX-License-Identifier: MIT */
/* tn_why: which scope, source, token, group or cancellation has ended a call, and how the time was spent. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <tn/cancel_token.h>
#include <tn/inspect.h>
#include <tn/sync.h>
#include <tn/time.h>
#include <tn/why.h>

#include "support/runtime.h"

static tn_why_info why(int error)
{
    tn_why_info info = {.size = sizeof info};

    tt_check(tn_why(error, &info) == 0);
    return info;
}

static void take_text(void *ctx, const char *line)
{
    char *text = ctx;
    size_t length = strlen(text);

    (void)snprintf(text + length, 1024 - length, "%s\n", line);
}

static void expect_text(const tn_why_info *info, const char *part)
{
    char text[1024] = "";

    tn_why_print(info, take_text, text);
    if (strstr(text, part) == NULL)
        fprintf(stderr, "not in: %s\n", text);
    tt_check(strstr(text, part) != NULL);
}

/* --- Deadlines -------------------------------------------------------------------------------------------------------------- */

/* Global, so that its name is found. */
void enter_two(uint64_t outer_ns, uint64_t inner_ns, bool outer_is_cause);
__attribute__((noinline)) void enter_two(uint64_t outer_ns, uint64_t inner_ns, bool outer_is_cause)
{
    tn_scope outer;
    tn_scope inner;
    tn_why_info info;
    uint64_t deadline_ns;

    tn_scope_enter_for(&outer, outer_ns);
    tn_scope_enter_for(&inner, inner_ns);
    deadline_ns = tn_scope_deadline();
    tt_check(tn_sleep(3600 * TN_S) == TN_ETIMEDOUT);
    info = why(TN_ETIMEDOUT);
    tn_scope_leave(&inner);
    tn_scope_leave(&outer);
    tt_check_eq(info.error, TN_ETIMEDOUT);
    tt_check_eq(info.cause, TN_WHY_DEADLINE);
    tt_check(info.scope == (outer_is_cause ? &outer : &inner));
    tt_check_eq(info.depth, outer_is_cause);
    tt_check_eq(info.deadline_ns, deadline_ns);
    tt_check(info.failed_ns >= deadline_ns && info.failed_ns <= tn_now());
    tt_check_eq(info.spent.size, 0);
    info = why(TN_ETIMEDOUT); /* the scopes have been left */
    tt_check(info.scope == (outer_is_cause ? &outer : &inner));
    expect_text(&info, "enter_two");
}

static void *deadlines(void *arg)
{
    tn_why_info info = why(TN_ETIMEDOUT);

    (void)arg;
    tt_check_eq(info.cause, TN_WHY_UNKNOWN);
    tt_check_eq(info.error, 0);
    enter_two(5 * TN_MS, 3600 * TN_S, true);
    enter_two(3600 * TN_S, 5 * TN_MS, false);
    tt_check_eq(why(TN_ECANCELED).cause, TN_WHY_UNKNOWN);
    return NULL;
}

static void *waits_named(void *arg)
{
    tn_why_info info;
    TN_SCOPE(scope, tn_now() + 2 * TN_MS);

    (void)arg;
    tt_check(tn_sleep(3600 * TN_S) == TN_ETIMEDOUT);
    info = why(TN_ETIMEDOUT);
    tt_check(strcmp(info.waited_for, "sleep") == 0);
    expect_text(&info, "while it waited for sleep");
    tt_check(tn_yield() == TN_ETIMEDOUT);
    info = why(TN_ETIMEDOUT);
    tt_check(info.waited_for[0] == '\0');
    return NULL;
}

Test(why, a_deadline_belongs_to_a_scope)
{
    tt_run(deadlines, NULL);
    tt_run(waits_named, NULL);
    deadlines(NULL); /* a plain thread */
}

/* --- Cancellations ---------------------------------------------------------------------------------------------------------- */

typedef struct {
    tn_cancel_source source;
    tn_cancel_token *token;
    atomic_int ready;
    tn_notify never;
} scene;

static void *cancel_all(void *arg)
{
    scene *s = arg;

    while (atomic_load(&s->ready) < 1)
        (void)tn_sleep(TN_MS);
    tn_cancel_source_cancel(&s->source);
    while (atomic_load(&s->ready) < 2)
        (void)tn_sleep(TN_MS);
    tn_cancel_token_cancel(s->token);
    return NULL;
}

static void *be_cancelled(void *arg)
{
    scene *s = arg;
    tn_scope scope;
    tn_scope inner;
    tn_cancel_token_scope of_token;
    tn_why_info info;

    tn_scope_enter_with(&scope, TN_NEVER, &s->source);
    tn_scope_enter(&inner, TN_NEVER);
    atomic_store(&s->ready, 1);
    tt_check(tn_notify_wait(&s->never) == TN_ECANCELED);
    tn_scope_leave(&inner);
    tn_scope_leave(&scope);
    info = why(TN_ECANCELED);
    tt_check_eq(info.cause, TN_WHY_SOURCE);
    tt_check(info.scope == &scope);
    tt_check_eq(info.depth, 1);
    tt_check_eq(info.deadline_ns, 0);
    expect_text(&info, "the cancel source");

    tn_cancel_token_scope_enter(&of_token, TN_NEVER, s->token);
    atomic_store(&s->ready, 2);
    tt_check(tn_notify_wait(&s->never) == TN_ECANCELED);
    tn_cancel_token_scope_leave(&of_token);
    info = why(TN_ECANCELED);
    tt_check_eq(info.cause, TN_WHY_TOKEN);
    tt_check(info.entered_at != NULL);

    tn_scope_enter(&scope, TN_NEVER);
    tn_scope_cancel(&scope);
    tt_check(tn_sleep(TN_S) == TN_ECANCELED);
    tn_scope_leave(&scope);
    tt_check_eq(why(TN_ECANCELED).cause, TN_WHY_SCOPE);
    return NULL;
}

static void *cancel_scene(void *arg)
{
    tn_task *canceller = tt_spawn(cancel_all, arg);

    be_cancelled(arg);
    tt_join(canceller);
    return NULL;
}

Test(why, a_cancellation_has_a_source)
{
    static scene s;

    tn_cancel_source_init(&s.source);
    tn_notify_init(&s.never);
    cr_assert_eq(tn_cancel_token_create(&s.token, NULL, NULL), 0);
    tt_run(cancel_scene, &s);
    tn_cancel_token_release(s.token);
    tn_cancel_source_fini(&s.source);
}

static void *sleep_long(void *arg)
{
    atomic_int *ready = arg;
    tn_why_info info;
    tn_scope scope;

    tn_scope_enter_for(&scope, TN_MS);
    tt_check(tn_sleep(3600 * TN_S) == TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    atomic_store(ready, 1);
    tt_check(tn_sleep(3600 * TN_S) == TN_ECANCELED);
    info = why(TN_ECANCELED);
    tt_check_eq(info.cause, TN_WHY_TASK);
    tt_check(info.scope == NULL);
    tt_check(strcmp(info.waited_for, "sleep") == 0);
    expect_text(&info, "TN_ECANCELED: the task was cancelled, while it waited for sleep");
    return NULL;
}

static void *cancelled_before(void *arg)
{
    (void)arg;
    tt_check(tn_sleep(3600 * TN_S) == TN_ECANCELED);
    tt_check_eq(why(TN_ECANCELED).cause, TN_WHY_TASK); /* without a record */
    return NULL;
}

static bool note_sleeper(void *ctx, const tn_task_info *info)
{
    *(bool *)ctx |= info->state == TN_TASK_WAITS && strcmp(info->waits_for, "sleep") == 0;
    return true;
}

static void *cancel_tasks(void *arg)
{
    atomic_int ready = 0;
    tn_task *a = tt_spawn(sleep_long, &ready);
    tn_task *b = tt_spawn(cancelled_before, NULL);

    (void)arg;
    tn_cancel(b);
    tt_join(b);
    for (bool waits = false; !waits; (void)tn_sleep(TN_MS))
        if (atomic_load(&ready) != 0)
            tn_tasks_each(tn_runtime_current(), note_sleeper, &waits);
    tn_cancel(a);
    tt_join(a);
    return NULL;
}

Test(why, a_task_was_cancelled)
{
    tt_run(cancel_tasks, NULL);
}

static void *cancelled_outside(void *arg)
{
    atomic_int *ready = arg;
    tn_scope scope;
    tn_scope inner;
    tn_why_info info;

    tn_scope_enter(&scope, TN_NEVER);
    tn_scope_enter(&inner, TN_NEVER);
    tn_scope_cancel(&scope);
    tt_check(tn_sleep(TN_S) == TN_ECANCELED);
    tn_scope_leave(&inner);
    tn_scope_leave(&scope);
    tt_check_eq(why(TN_ECANCELED).depth, 1);
    atomic_store(ready, 1);
    while (tn_sleep(TN_MS) == 0)
        ;
    tt_check_eq(why(TN_ECANCELED).cause, TN_WHY_TASK);
    tn_scope_enter(&scope, TN_NEVER);
    tt_check(tn_checkpoint() == TN_ECANCELED);
    tn_scope_cancel(&scope);
    tt_check(tn_checkpoint() == TN_ECANCELED);
    tt_check_eq(why(TN_ECANCELED).cause, TN_WHY_SCOPE);
    tn_scope_leave(&scope);
    tt_check(tn_sleep(TN_S) == TN_ECANCELED); /* at its entry */
    info = why(TN_ECANCELED);
    tt_check_eq(info.cause, TN_WHY_TASK);
    tt_check_eq(info.depth, 0);
    tt_check(info.scope == NULL && info.waited_for[0] == '\0');
    return NULL;
}

static void *cancel_outside(void *arg)
{
    atomic_int ready = 0;
    tn_task *task = tt_spawn(cancelled_outside, &ready);

    (void)arg;
    while (atomic_load(&ready) == 0)
        (void)tn_sleep(TN_MS);
    tn_cancel(task);
    tt_join(task);
    return NULL;
}

Test(why, a_cancelled_task_does_not_show_a_scope_that_it_has_left)
{
    tt_run(cancel_outside, NULL);
}

/* --- What is not recorded --------------------------------------------------------------------------------------------------- */

static void *lock_until_late(void *arg)
{
    tn_mutex mutex;
    tn_scope scope;
    int rc;

    tn_mutex_init(&mutex);
    tn_scope_enter_for(&scope, TN_MS);
    tt_burn(2 * TN_MS);
    for (int i = 0; (rc = tn_mutex_lock(&mutex)) == 0; i++) {
        tt_check(i < 1000);
        tn_mutex_unlock(&mutex);
        tt_check_eq(why(TN_ETIMEDOUT).cause, TN_WHY_UNKNOWN);
    }
    tt_check(rc == TN_ETIMEDOUT);
    tt_check_eq(why(TN_ETIMEDOUT).cause, TN_WHY_DEADLINE);
    tn_scope_leave(&scope);
    return arg;
}

Test(why, a_call_that_succeeds_records_nothing)
{
    tt_run(lock_until_late, NULL);
    lock_until_late(NULL); /* a plain thread */
}

static void *fail_in_thread(void *arg)
{
    tn_scope scope;

    tt_check_eq(why(TN_ECANCELED).cause, TN_WHY_UNKNOWN);
    tn_scope_enter(&scope, TN_NEVER);
    tn_scope_cancel(&scope);
    tt_check(tn_sleep(TN_S) == TN_ECANCELED);
    tt_check_eq(why(TN_ECANCELED).cause, TN_WHY_SCOPE);
    tn_scope_leave(&scope);
    return arg;
}

static void *call_native_twice(void *arg)
{
    (void)tn_call_native(fail_in_thread, NULL);
    (void)tn_call_native(fail_in_thread, NULL);
    return arg;
}

Test(why, a_call_on_the_stack_of_the_thread_begins_without_a_record)
{
    tn_options options = tt_options();

    options.workers = 1;
    options.force_migration = false;
    cr_assert_eq(tn_run(call_native_twice, NULL, &options), 0);
}

static void *shielded(void *arg)
{
    tn_scope outer;
    tn_scope shield;
    tn_why_info info;

    (void)arg;
    tn_scope_enter(&outer, TN_NEVER);
    tn_scope_cancel(&outer);
    tn_shield_enter(&shield, tn_now() + 2 * TN_MS);
    tt_check(tn_sleep(3600 * TN_S) == TN_ETIMEDOUT);
    info = why(TN_ETIMEDOUT);
    tt_check(info.scope == &shield);
    tn_scope_leave(&shield);
    tt_check(tn_sleep(3600 * TN_S) == TN_ECANCELED);
    tt_check(why(TN_ECANCELED).scope == &outer);
    tn_scope_leave(&outer);
    return NULL;
}

Test(why, a_shield_hides_the_scopes_around_it)
{
    tt_run(shielded, NULL);
}

/* --- How the time was spent ------------------------------------------------------------------------------------------------- */

static void *in_work(void *arg)
{
    tn_work work;
    tn_why_info info;
    tn_scope scope;

    (void)arg;
    tn_work_begin(&work, "request");
    tn_scope_enter_for(&scope, 300 * TN_MS);
    tt_check(tn_sleep(3600 * TN_S) == TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    info = why(TN_ETIMEDOUT);
    tn_work_end(&work);
    tt_check_eq(info.spent.size, sizeof info.spent);
    tt_check(info.spent.waited_ns >= 5 * TN_MS && info.spent.waited_ns <= info.spent.total_ns);
    tt_check(strcmp(info.spent.waits[0].name, "sleep") == 0);
    expect_text(&info, "sleep ");
    expect_text(&info, "took ");
    return NULL;
}

Test(why, the_work_tells_how_the_time_was_spent)
{
    tn_options options = tt_options();

    options.report_slow_ns = UINT64_MAX;
    cr_assert_eq(tn_run(in_work, NULL, &options), 0);
}

Test(why, a_wrong_size_or_error_is_refused)
{
    tn_why_info info = {.size = 0};

    cr_assert_eq(tn_why(TN_ECANCELED, &info), TN_EINVAL);
    info.size = offsetof(tn_why_info, scope);
    cr_assert_eq(tn_why(TN_ECANCELED, &info), 0);
    cr_assert_eq(info.size, offsetof(tn_why_info, scope));
    memset((char *)&info + info.size, 'x', sizeof info - info.size); /* the members that older headers do not have */
    expect_text(&info, "no error recorded: unknown\n");
    cr_assert_eq(tn_why(TN_EIO, &info), TN_EINVAL);
}
