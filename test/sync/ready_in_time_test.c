/* SPDX-License-Identifier: MIT */
/* A ready future is never reported as late because its task's budget is used up: each future, under everything that decides by
 * a deadline, at each state of the budget, in a fiber, a stackless task and a plain thread. A future that is never ready is
 * late, however much its polls find to do. */
/* ctest: timeout=120 */
#include <limits.h>
#include <stdio.h>

#include "ready_kinds.h"

/* --- What decides by a deadline that is over -------------------------------------------------------------------------------- */

static struct {
    tn_timeout_future timeouts[3];
    tn_sleep_future sleep;
    tn_future *branches[2];
    tn_select_future select;
} judge;

static tn_future *by_timeout(tn_future *future)
{
    tn_timeout_init(&judge.timeouts[0], future, PAST_NS);
    return &judge.timeouts[0].base;
}

static tn_future *by_relative_timeout(tn_future *future)
{
    tn_timeout_for_init(&judge.timeouts[0], future, 0);
    return &judge.timeouts[0].base;
}

static tn_future *by_three(tn_future *future)
{
    tn_timeout_init(&judge.timeouts[1], by_timeout(future), PAST_NS);
    tn_timeout_for_init(&judge.timeouts[2], &judge.timeouts[1].base, 0);
    return &judge.timeouts[2].base;
}

/* The index of the sleep differs from that of the future. */
static tn_future *by_select(tn_future *future)
{
    tn_sleep_init(&judge.sleep, PAST_NS);
    judge.branches[0] = future;
    judge.branches[1] = &judge.sleep.base;
    tn_select_init_biased(&judge.select, judge.branches, 2);
    return &judge.select.base;
}

static tn_future *by_nothing(tn_future *future)
{
    return future;
}

typedef tn_future *(*judge_fn)(tn_future *future);

static const judge_fn judges[] = {by_timeout, by_relative_timeout, by_three, by_select, by_nothing};

enum { JUDGES = sizeof judges / sizeof judges[0] };

static void check_result(const kind *k, judge_fn by, tn_future *future, int rc)
{
    bool chosen = by != by_select || rc == 0;

    if (by == by_select) {
        rc = judge.select.result;
        drop(future);
    }
    if (!chosen || rc != k->result)
        fprintf(stderr, "%s%s: %d\n", chosen ? "" : "not chosen: ", k->name, rc);
    tt_check(chosen && rc == k->result);
}

/* --- The tasks -------------------------------------------------------------------------------------------------------------- */

/* Starts with a whole budget, and spends `units` of it. */
static void spend(int units)
{
    tn_mutex mutex = TN_MUTEX_INIT;

    tt_check(tn_yield() == 0);
    for (int i = 0; i < units; i++) {
        tt_check(tn_mutex_lock(&mutex) == 0);
        tn_mutex_unlock(&mutex);
    }
}

static void try_in_scope(const kind *k, judge_fn by, int units)
{
    tn_future *future = k->make();
    tn_scope scope;
    int rc;

    spend(units);
    tn_scope_enter(&scope, PAST_NS);
    rc = tn_await(by(future));
    tn_scope_leave(&scope);
    check_result(k, by, future, rc);
    k->clean();
}

static void try_all(int units)
{
    for (int k = 0; k < KINDS; k++)
        for (int j = 0; j < JUDGES; j++)
            try_in_scope(&kinds[k], judges[j], units);
}

/* All numbers of units, or few of them where the counts are small, but the last ones before the budget is used up. */
static int after(int units)
{
    return units + (tt_scaled(100) < 20 && units < TNI_BUDGET - 8 ? 8 : 1);
}

static void *in_fiber(void *arg)
{
    runtime = tn_runtime_current();
    base_init();
    for (int units = 0; units <= TNI_BUDGET; units = after(units))
        try_all(units);
    base_fini();
    return arg;
}

Test(ready_in_time, in_a_fiber)
{
    tt_run(in_fiber, NULL);
}

Test(ready_in_time, in_a_plain_thread)
{
    runtime = tt_runtime_create();
    base_init();
    try_all(0);
    base_fini();
    tt_runtime_destroy(runtime);
}

/* Finds `units` operations ready, then waits for the future. */
typedef struct {
    tn_future base;
    worker first;
    tn_future *judge;
} stackless;

static int stackless_poll(tn_future *self, tn_waker *waker)
{
    stackless *s = (stackless *)(void *)self;

    return tn_future_poll(&s->first.base, waker) == TN_PENDING ? TN_PENDING : tn_future_poll(s->judge, waker);
}

static void stackless_drop(tn_future *self)
{
    drop(((stackless *)(void *)self)->judge);
}

static void try_stackless(const kind *k, judge_fn by, int units)
{
    static const tn_future_ops ops = {stackless_poll, stackless_drop, "stackless"};
    tn_future *future = k->make();
    stackless s = {.base = {&ops}, .judge = by(future)};
    tn_task *task;

    worker_init(&s.first, units);
    tt_check(tn_spawn_future(runtime, NULL, &task, &s.base) == 0);
    check_result(k, by, future, (int)(intptr_t)tt_join(task));
    k->clean();
}

static void *in_stackless_task(void *arg)
{
    runtime = tn_runtime_current();
    base_init();
    for (int units = 0; units <= TNI_BUDGET; units = after(units))
        for (int k = 0; k < KINDS; k++)
            for (int j = 0; j < JUDGES; j++)
                try_stackless(&kinds[k], judges[j], units);
    base_fini();
    return arg;
}

Test(ready_in_time, in_a_stackless_task)
{
    tt_run(in_stackless_task, NULL);
}

/* --- Calls ------------------------------------------------------------------------------------------------------------------ */

static int call_lock(void)
{
    static tn_mutex mutex = TN_MUTEX_INIT;
    int rc = tn_mutex_lock(&mutex);

    if (rc == 0)
        tn_mutex_unlock(&mutex);
    return rc;
}

static int call_recv(void)
{
    int rc;

    put(0, 1);
    rc = tn_mpsc_recv(base.channels[0], &made.element);
    return rc;
}

static int call_notify(void)
{
    tn_notify_one(&base.notifies[0]);
    return tn_notify_wait(&base.notifies[0]);
}

static int call_barrier(void)
{
    return tn_barrier_wait(&base.barrier) == TN_BARRIER_LEADER ? 0 : TN_ETIMEDOUT;
}

static int call_once(void)
{
    int rc = tn_once_begin(&base.once);

    if (rc == TN_ONCE_MINE)
        tn_once_abandon(&base.once);
    return rc == TN_ONCE_MINE ? 0 : rc;
}

static int (*const calls[])(void) = {call_lock, call_recv, call_notify, call_barrier, call_once};

/* Each call is the first in its scope. Its deadline is over, but has not been checked yet. */
static void call_each(int units)
{
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        tn_scope scope;
        spend(units);
        tn_scope_enter(&scope, PAST_NS);
        tt_check(calls[i]() == 0);
        tn_scope_leave(&scope);
    }
}

static void *call_in_fiber(void *arg)
{
    base_init();
    for (int units = 0; units <= TNI_BUDGET; units++)
        call_each(units);
    base_fini();
    return arg;
}

Test(ready_in_time, the_first_call_in_a_scope)
{
    tt_run(call_in_fiber, NULL);
    base_init();
    call_each(0); /* in a plain thread */
    base_fini();
}

/* --- A deadline ends every wait --------------------------------------------------------------------------------------------- */

/* Never ready, and never without something to do. */
static tn_future *make_endless(void)
{
    static worker w;

    worker_init(&w, INT_MAX);
    return &w.base;
}

static void check_late(judge_fn by, int rc)
{
    tt_check(rc == (by == by_select ? 1 : TN_ETIMEDOUT));
}

static void await_endless(int units)
{
    for (int j = 0; j < JUDGES; j++) {
        tn_scope scope;
        spend(units);
        tn_scope_enter(&scope, judges[j] == by_nothing ? PAST_NS : TN_NEVER);
        check_late(judges[j], tn_await(judges[j](make_endless())));
        tn_scope_leave(&scope);
    }
}

static void *endless_in_fiber(void *arg)
{
    base_init();
    for (int units = 0; units <= TNI_BUDGET; units++)
        await_endless(units);
    base_fini();
    return arg;
}

static void *endless_in_stackless_task(void *arg)
{
    base_init();
    for (int j = 0; judges[j] != by_nothing; j++) {
        tn_task *task;
        tt_check(tn_spawn_future(NULL, NULL, &task, judges[j](make_endless())) == 0);
        check_late(judges[j], (int)(intptr_t)tt_join(task));
    }
    base_fini();
    return arg;
}

Test(ready_in_time, what_is_always_busy_is_late)
{
    tt_run(endless_in_fiber, NULL);
    tt_run(endless_in_stackless_task, NULL);
    base_init();
    await_endless(0); /* in a plain thread */
    base_fini();
}

/* One ready operation after another: the deadline is reported, in a plain thread too. */
Test(ready_in_time, a_plain_thread_that_never_waits_is_late)
{
    tn_scope scope;

    base_init();
    tn_scope_enter(&scope, PAST_NS);
    cr_assert_eq(call_lock(), 0);
    cr_assert_eq(call_lock(), TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    tn_scope_enter(&scope, PAST_NS);
    cr_assert_eq(tn_await(make_permit()), 0);
    cr_assert_eq(tn_await(make_permit()), TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    base_fini();
}
