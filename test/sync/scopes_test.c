/* SPDX-License-Identifier: MIT */
/* Scopes around the primitives: a deadline or a cancellation of the scope ends a wait, and after it not even a ready operation
 * succeeds. */
#include <tn.h>

#include "support/runtime.h"

typedef struct {
    tn_mutex *mutex;
    tn_semaphore *semaphore;
} setting;

static void wait_until_the_deadline(setting *s)
{
    TN_SCOPE(scope, tn_now() + 2 * TN_MS);
    tt_check(tn_mutex_lock(s->mutex) == TN_ETIMEDOUT);               /* it is held */
    tt_check(tn_semaphore_acquire(s->semaphore, 1) == TN_ETIMEDOUT); /* a permit is free, but the deadline is over */
}

static void be_cancelled(setting *s)
{
    TN_SCOPE(scope, TN_NEVER);
    tt_check(tn_semaphore_acquire(s->semaphore, 1) == 0);
    tn_scope_cancel(&scope);
    tt_check(tn_mutex_lock(s->mutex) == TN_ECANCELED);
    tn_semaphore_release(s->semaphore, 1);
    tt_check(tn_semaphore_acquire(s->semaphore, 1) == TN_ECANCELED);
    TN_SHIELD(shield, TN_NEVER);
    tt_check(tn_semaphore_acquire(s->semaphore, 1) == 0);
    tn_semaphore_release(s->semaphore, 1);
}

static void *use(void *arg)
{
    setting *s = arg;

    wait_until_the_deadline(s);
    be_cancelled(s);
    return NULL;
}

static void use_it(void *(*run)(tn_runtime *runtime, setting *s))
{
    tn_runtime *runtime = tt_runtime_create();
    tn_mutex mutex;
    tn_semaphore semaphore;
    setting s = {&mutex, &semaphore};

    tn_mutex_init(&mutex);
    tn_semaphore_init(&semaphore, 1);
    cr_assert_eq(tn_mutex_try_lock(&mutex), 0);
    (void)run(runtime, &s);
    cr_assert_eq(tn_semaphore_available(&semaphore), 1);
    tn_mutex_unlock(&mutex);
    cr_assert_eq(tn_mutex_try_lock(&mutex), 0); /* no waiter is left in the queue */
    tn_mutex_unlock(&mutex);
    tn_semaphore_fini(&semaphore);
    tn_mutex_fini(&mutex);
    tt_runtime_destroy(runtime);
}

static void *in_a_fiber(tn_runtime *runtime, setting *s)
{
    return tt_join(tt_spawn_on(runtime, use, s));
}

static void *in_a_thread(tn_runtime *runtime, setting *s)
{
    (void)runtime;
    return use(s);
}

Test(sync_scopes, end_the_waits_of_a_fiber)
{
    use_it(in_a_fiber);
}

Test(sync_scopes, end_the_waits_of_a_plain_thread)
{
    use_it(in_a_thread);
}
