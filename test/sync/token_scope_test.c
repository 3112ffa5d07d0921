/* SPDX-License-Identifier: MIT */
/* Scopes that a token cancels: through its tree, at their start, on a plain thread, and while they are left. */
/* ctest: timeout=120 */
#include <stdatomic.h>
#include <string.h>

#include <tn.h>

#include "support/runtime.h"

static const uint64_t hour_ns = UINT64_C(3600) * TN_S;

typedef struct {
    tn_cancel_token *token;
    atomic_uint entered;
    atomic_uint told;
} crowd;

static tn_cancel_token *make(tn_cancel_token *parent)
{
    tn_cancel_token *token;

    tt_check(tn_cancel_token_create(&token, parent, NULL) == 0);
    return token;
}

static void *wait_inside(void *arg)
{
    crowd *c = arg;

    {
        TN_CANCEL_TOKEN_SCOPE(scope, TN_NEVER, c->token);
        TN_SCOPE(inner, tn_now() + hour_ns);
        atomic_fetch_add(&c->entered, 1);
        tt_check(tn_sleep(hour_ns) == TN_ECANCELED);
        tt_check(tn_checkpoint() == TN_ECANCELED); /* level-triggered */
        TN_SHIELD(shield, TN_NEVER);
        tt_check(tn_checkpoint() == 0);
        atomic_fetch_add(&c->told, 1);
    }
    tt_check(tn_checkpoint() == 0);
    return NULL;
}

static bool all_entered(void *arg)
{
    return atomic_load(&((crowd *)arg)->entered) == 3;
}

/* Two fibers and a plain thread are below one token, whose parent is cancelled. */
Test(token_scope, cancels_who_is_inside)
{
    tn_runtime *runtime = tt_runtime_create();
    tn_cancel_token *root = make(NULL);
    crowd c = {.token = make(root)};
    tn_task *first = tt_spawn_on(runtime, wait_inside, &c);
    tn_task *second = tt_spawn_on(runtime, wait_inside, &c);
    pthread_t thread = tt_thread_start(wait_inside, &c);

    cr_assert(tt_wait_until(all_entered, &c, 30 * TN_S));
    tn_cancel_token_cancel(root);
    (void)tt_join(first);
    (void)tt_join(second);
    tt_thread_join(thread);
    cr_assert_eq(atomic_load(&c.told), 3);
    (void)wait_inside(&c); /* cancelled from the start */
    cr_assert_eq(atomic_load(&c.told), 4);
    tn_cancel_token_release(c.token);
    tn_cancel_token_release(root);
    tt_runtime_destroy(runtime);
}

static void *not_cancelled(void *arg)
{
    tn_cancel_token *token = make(NULL);
    tn_cancel_token_scope scope;

    tn_cancel_token_scope_enter(&scope, tn_now() + TN_MS, token);
    tt_check(tn_sleep(hour_ns) == TN_ETIMEDOUT); /* a scope like any other */
    tn_cancel_token_scope_leave(&scope);
    tn_cancel_token_scope_enter(&scope, TN_NEVER, token);
    tt_check(tn_checkpoint() == 0);
    tn_cancel_token_cancel(token); /* from inside the scope */
    tt_check(tn_checkpoint() == TN_ECANCELED);
    tn_cancel_token_scope_leave(&scope);
    tt_check(tn_sleep(1) == 0);
    tn_cancel_token_release(token);
    return arg;
}

Test(token_scope, has_a_deadline_and_an_end)
{
    tt_run(not_cancelled, NULL);
}

static void *enter_and_leave(void *arg)
{
    crowd *c = arg;
    tn_cancel_token_scope scope;

    tn_cancel_token_scope_enter(&scope, TN_NEVER, c->token);
    atomic_fetch_add(&c->entered, 1);
    if (tn_yield() == TN_ECANCELED)
        atomic_fetch_add(&c->told, 1);
    tn_cancel_token_scope_leave(&scope);
    memset(&scope, 0, sizeof scope);
    tt_check(tn_checkpoint() == 0);
    return NULL;
}

static void *cancel_against_leave(void *arg)
{
    for (unsigned long i = tt_scaled(3000); i > 0; i--) {
        crowd c = {.token = make(NULL)};
        tn_task *task = tt_spawn(enter_and_leave, &c);
        if (i % 2 == 0)
            while (atomic_load(&c.entered) == 0)
                (void)tn_yield();
        tn_cancel_token_cancel(c.token);
        (void)tt_join(task);
        tn_cancel_token_release(c.token);
    }
    return arg;
}

Test(token_scope, cancelling_against_leaving)
{
    tt_run(cancel_against_leave, NULL);
}
