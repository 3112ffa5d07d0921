/* SPDX-License-Identifier: MIT */
/* Calls that wait and have no future: resource pools and rate limiters. Those that are ready let others run, and are not late
 * because a budget is used up. A fiber that is abandoned in one leaves it usable. */
#include <tn/rate_limiter.h>
#include <tn/resource_pool.h>

#include "support/abandoned.h"
#include "support/others_run.h"
#include "sync_support.h"
#include "task/budget.h"

/* --- What is waited for ---------------------------------------------------------------------------------------------------- */

typedef struct {
    tn_resource_pool *pool; /* of one resource */
    tn_rate_limiter limiter;
    bool is_slow;        /* an open takes for ever */
    bool closes_forever; /* so does a close */
    unsigned opened;
    unsigned closed;
} things;

static int thing_open(void *arg, void **resource)
{
    things *t = arg;

    if (t->is_slow)
        (void)tn_sleep(3600 * TN_S);
    t->opened++;
    *resource = t;
    return 0;
}

static void thing_close(void *arg, void *resource)
{
    things *t = arg;

    tt_check(resource == t);
    t->closed++;
    if (t->closes_forever)
        (void)tn_sleep(3600 * TN_S);
}

/* A bucket of ten tokens, which gets no more in the time of a test. */
static void things_init_idle(things *t, uint64_t tokens, uint64_t idle_ns)
{
    tn_resource_pool_options options = tn_resource_pool_options_default();

    *t = (things){0};
    options.size_max = 1;
    options.idle_ns = idle_ns;
    options.open = thing_open;
    options.close = thing_close;
    options.arg = t;
    tt_check_eq(tn_resource_pool_create(&t->pool, &options), 0);
    tn_rate_limiter_init(&t->limiter, 1, 3600 * TN_S, tokens);
}

static void things_init(things *t, uint64_t tokens)
{
    things_init_idle(t, tokens, 0);
}

static void things_fini(things *t)
{
    tn_resource_pool_destroy(t->pool);
    tt_check_eq(t->opened, t->closed);
    tn_rate_limiter_fini(&t->limiter);
}

static void *never(void)
{
    tt_check(false);
    return NULL;
}

static int call_pool(things *t)
{
    void *resource;
    int rc = tn_resource_pool_acquire(t->pool, &resource);

    if (rc == 0)
        tn_resource_pool_release(t->pool, resource, true);
    return rc;
}

static int call_limiter(things *t)
{
    return tn_rate_limiter_acquire(&t->limiter, 1);
}

typedef int (*call_fn)(things *t);

static const call_fn calls[] = {call_pool, call_limiter};

enum { CALLS = sizeof calls / sizeof calls[0], MANY_TOKENS = 100000 };

/* --- Ready calls ----------------------------------------------------------------------------------------------------------- */

typedef struct {
    things *t;
    call_fn call;
} tried;

static void call_tried(void *arg)
{
    const tried *it = arg;

    tt_check_eq(it->call(it->t), 0);
}

static void *let_run(void *arg)
{
    things t;

    things_init(&t, MANY_TOKENS);
    for (unsigned i = 0; i < CALLS; i++)
        tt_others_run(call_tried, &(tried){.t = &t, .call = calls[i]});
    things_fini(&t);
    return arg;
}

Test(waiting_calls, that_are_ready_let_others_run)
{
    run_on_one_worker(let_run, NULL);
}

/* In a scope whose deadline is over, after each number of operations. */
static void *are_in_time(void *arg)
{
    tn_mutex mutex = TN_MUTEX_INIT;
    things t;

    things_init(&t, MANY_TOKENS);
    for (int units = 0; units <= TNI_BUDGET; units++) {
        for (unsigned i = 0; i < CALLS; i++) {
            tt_check_eq(tn_yield(), 0);
            for (int spent = 0; spent < units; spent++) {
                tt_check_eq(tn_mutex_lock(&mutex), 0);
                tn_mutex_unlock(&mutex);
            }
            TN_SCOPE(scope, 1);
            tt_check_eq(calls[i](&t), 0);
        }
    }
    things_fini(&t);
    return arg;
}

Test(waiting_calls, that_are_ready_are_not_late)
{
    run_on_one_worker(are_in_time, NULL);
}

/* --- Abandoned fibers ------------------------------------------------------------------------------------------------------ */

static void *acquire(void *arg)
{
    things *t = arg;
    void *resource;

    (void)tn_resource_pool_acquire(t->pool, &resource);
    return never();
}

static void check_usable(things *t)
{
    tn_resource_pool_counters counters = {.size = sizeof counters};
    TN_SCOPE(scope, tn_now() + 20 * TN_S);

    tt_check_eq(tn_resource_pool_count(t->pool, &counters), 0);
    tt_check_eq(counters.in_use, 0);
    tt_check_eq(call_pool(t), 0);
}

static void abandon_in_pool(bool with_permit)
{
    tt_abandoned left;
    void *resource;
    things t;

    things_init(&t, 1);
    tt_check_eq(tn_resource_pool_acquire(t.pool, &resource), 0);
    tt_abandon_begin(&left, acquire, &t);
    if (with_permit)
        tn_resource_pool_release(t.pool, resource, true); /* the fiber has its permit */
    tt_abandon_end(&left);
    if (!with_permit)
        tn_resource_pool_release(t.pool, resource, true);
    check_usable(&t);
    things_fini(&t);
}

Test(waiting_calls, abandoned_while_a_pool_is_empty)
{
    abandon_in_pool(false);
}

Test(waiting_calls, abandoned_with_a_permit_of_a_pool)
{
    abandon_in_pool(true);
}

Test(waiting_calls, abandoned_while_a_resource_is_made)
{
    tt_abandoned left;
    things t;

    things_init(&t, 1);
    t.is_slow = true;
    tt_abandon_begin(&left, acquire, &t);
    tt_abandon_end(&left);
    t.is_slow = false;
    check_usable(&t);
    things_fini(&t);
}

static void *release_to_close(void *arg)
{
    things *t = arg;
    void *resource;

    tt_check_eq(tn_resource_pool_acquire(t->pool, &resource), 0);
    t->closes_forever = true;
    tn_resource_pool_release(t->pool, resource, false);
    return never();
}

static void *trim(void *arg)
{
    things *t = arg;

    t->closes_forever = true;
    (void)tn_resource_pool_trim(t->pool);
    return never();
}

static void abandon_in_close(tn_entry_fn entry)
{
    tt_abandoned left;
    things t;

    things_init_idle(&t, 1, 1);
    tt_check_eq(call_pool(&t), 0);
    tt_check_eq(tn_sleep(TN_MS), 0); /* the resource has been idle for too long */
    tt_abandon_begin(&left, entry, &t);
    tt_abandon_end(&left);
    t.closes_forever = false;
    check_usable(&t);
    things_fini(&t);
}

Test(waiting_calls, abandoned_while_a_resource_is_closed)
{
    abandon_in_close(release_to_close);
    abandon_in_close(trim);
}

static void *take_ten(void *arg)
{
    things *t = arg;

    (void)tn_rate_limiter_acquire(&t->limiter, 10);
    return never();
}

Test(waiting_calls, abandoned_while_tokens_are_missing)
{
    tt_abandoned left;
    things t;

    things_init(&t, 10);
    cr_assert_eq(tn_rate_limiter_try_acquire(&t.limiter, 5), 0);
    tt_abandon_begin(&left, take_ten, &t);
    cr_assert_eq(tn_rate_limiter_try_acquire(&t.limiter, 1), TN_EAGAIN); /* a waiter is ahead of this call */
    tt_abandon_end(&left);
    cr_assert_eq(tn_rate_limiter_try_acquire(&t.limiter, 1), 0);
    {
        TN_SCOPE(scope, tn_now() + 20 * TN_S);
        cr_assert_eq(tn_rate_limiter_acquire(&t.limiter, 1), 0);
    }
    things_fini(&t);
}

/* The second fiber waits for its turn behind the first one. */
Test(waiting_calls, abandoned_behind_another_waiter)
{
    tt_abandoned first;
    tt_abandoned second;
    things t;

    things_init(&t, 10);
    cr_assert_eq(tn_rate_limiter_try_acquire(&t.limiter, 5), 0);
    tt_abandon_begin(&first, take_ten, &t);
    tt_abandon_begin(&second, take_ten, &t);
    tt_abandon_end(&second);
    cr_assert_eq(tn_rate_limiter_try_acquire(&t.limiter, 1), TN_EAGAIN);
    tt_abandon_end(&first);
    cr_assert_eq(tn_rate_limiter_try_acquire(&t.limiter, 1), 0);
    things_fini(&t);
}
