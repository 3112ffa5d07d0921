/* SPDX-License-Identifier: MIT */
/* Select, race, join and timeout of futures. Each branch is polled with the waker of the task itself. So there is nothing to
 * detach, and a wake for a branch that is no longer waited for is an ordinary spurious wake. README.md ("Waiting for several",
 * "Budget") has the argument. */
#include <tn/combine.h>

#include "base/tls.h"
#include "task/abandon.h"
#include "task/budget.h"
#include "time/deadline.h"

/* A task with at least this budget polls a branch without replacing the budget. */
#define BUDGET_ENOUGH (TNI_BUDGET / 2)

/* Polls the branch with a full budget. What it spends is taken from the task's budget, down to the last unit. */
static int poll_with_full_budget(tn_future *branch, tn_waker *waker)
{
    tn_task *task = tni_task_of(waker);
    int left = task->budget;
    int rc;

    task->budget = TNI_BUDGET;
    rc = branch->ops->poll(branch, waker);
    left -= TNI_BUDGET - task->budget;
    task->budget = (uint8_t)(left > 1 ? left : 1);
    return rc;
}

/* Polls a branch of a task whose budget is not used up. TN_PENDING means that the branch is not ready, never that the budget
 * was too small. */
static inline int poll_branch(tn_future *branch, tn_waker *waker)
{
    if (tni_likely(tni_task_of(waker)->budget >= BUDGET_ENOUGH))
        return branch->ops->poll(branch, waker);
    return poll_with_full_budget(branch, waker);
}

/* --- Select and race -------------------------------------------------------------------------------------------------------- */

static unsigned random_start(unsigned count)
{
    tni_tls *local = tni_tls_get();

    if (tni_unlikely(local->random == 0))
        local->random = tni_random_seed() | 1;
    return (unsigned)((uint64_t)tni_random_next(&local->random) * count >> 32);
}

static int select_poll(tn_future *self, tn_waker *waker)
{
    tn_select_future *future = tni_container_of(self, tn_select_future, base);
    unsigned index;
    bool none = true;

    if (!tni_budget_poll_enter(waker))
        return TN_PENDING;
    index = future->biased ? 0 : random_start(future->count);
    for (unsigned i = 0; i < future->count; i++, index = index + 1 < future->count ? index + 1 : 0) {
        tn_future *branch = future->futures[index];
        if (branch == NULL)
            continue;
        none = false;
        future->result = poll_branch(branch, waker);
        if (future->result != TN_PENDING)
            return (int)index;
    }
    return none ? TN_EINVAL : TN_PENDING;
}

static void select_drop(tn_future *self)
{
    (void)self; /* the branches belong to the caller */
}

static void race_drop(tn_future *self)
{
    tn_select_future *future = tni_container_of(self, tn_select_future, base);

    for (unsigned i = 0; i < future->count; i++)
        if (future->futures[i] != NULL)
            tn_future_drop(future->futures[i]);
}

/* The branches belong to the caller. Those on its stack are lost with it, and no other code can own them, so they are
 * dropped. */
static void select_abandon(tn_future *self, tn_task *task)
{
    tn_select_future *future = tni_container_of(self, tn_select_future, base);

    for (unsigned i = 0; i < future->count; i++)
        if (future->futures[i] != NULL && tni_abandon_is_on_stack(task, future->futures[i]))
            tni_abandon_future(future->futures[i], task);
}

static void race_abandon(tn_future *self, tn_task *task)
{
    tn_select_future *future = tni_container_of(self, tn_select_future, base);

    for (unsigned i = 0; i < future->count; i++)
        if (future->futures[i] != NULL)
            tni_abandon_future(future->futures[i], task);
}

static const tn_future_ops select_ops = {.poll = select_poll, .drop = select_drop, .name = "select", .abandon_ = select_abandon};
static const tn_future_ops race_ops = {.poll = select_poll, .drop = race_drop, .name = "race", .abandon_ = race_abandon};

static void init(tn_select_future *future, const tn_future_ops *ops, tn_future *const *futures, unsigned count, bool biased)
{
    tni_assert(count <= INT_MAX, "too many futures");
    future->base.ops = ops;
    future->futures = futures;
    future->count = count;
    future->biased = biased;
    future->result = TN_PENDING;
}

void tn_select_init(tn_select_future *future, tn_future *const *futures, unsigned count)
{
    init(future, &select_ops, futures, count, false);
}

void tn_select_init_biased(tn_select_future *future, tn_future *const *futures, unsigned count)
{
    init(future, &select_ops, futures, count, true);
}

void tn_race_init(tn_select_future *future, tn_future *const *futures, unsigned count)
{
    init(future, &race_ops, futures, count, false);
}

static int wait_for_one(tn_select_future *future, int *result)
{
    int rc = tn_await(&future->base);

    if (rc >= 0 && result != NULL)
        *result = future->result;
    return rc;
}

int tn_select(tn_future *const *futures, unsigned count, int *result)
{
    tn_select_future future;

    tn_select_init(&future, futures, count);
    return wait_for_one(&future, result);
}

int tn_select_biased(tn_future *const *futures, unsigned count, int *result)
{
    tn_select_future future;

    tn_select_init_biased(&future, futures, count);
    return wait_for_one(&future, result);
}

int tn_race(tn_future *const *futures, unsigned count, int *result)
{
    tn_select_future future;

    tn_race_init(&future, futures, count);
    return wait_for_one(&future, result);
}

/* --- Join ------------------------------------------------------------------------------------------------------------------- */

static int join_all_poll(tn_future *self, tn_waker *waker)
{
    tn_join_all_future *future = tni_container_of(self, tn_join_all_future, base);
    bool pending = false;

    if (!tni_budget_poll_enter(waker))
        return TN_PENDING;
    for (unsigned i = 0; i < future->count; i++) {
        tn_future *branch = future->futures[i];
        if (future->results[i] != TN_PENDING)
            continue;
        future->results[i] = poll_branch(branch, waker);
        if (future->results[i] == TN_PENDING) {
            pending = true;
            continue;
        }
        tn_future_drop(branch);
        if (future->first_error && future->results[i] < 0)
            return future->results[i];
    }
    return pending ? TN_PENDING : 0;
}

static void join_all_drop(tn_future *self)
{
    tn_join_all_future *future = tni_container_of(self, tn_join_all_future, base);

    for (unsigned i = 0; i < future->count; i++)
        if (future->results[i] == TN_PENDING) {
            tn_future_drop(future->futures[i]);
            future->results[i] = TN_ECANCELED;
        }
}

static void join_all_abandon(tn_future *self, tn_task *task)
{
    tn_join_all_future *future = tni_container_of(self, tn_join_all_future, base);

    for (unsigned i = 0; i < future->count; i++)
        if (future->results[i] == TN_PENDING)
            tni_abandon_future(future->futures[i], task);
}

static const tn_future_ops join_all_ops = {
    .poll = join_all_poll, .drop = join_all_drop, .name = "join all", .abandon_ = join_all_abandon};

void tn_join_all_init(tn_join_all_future *future, tn_future *const *futures, int *results, unsigned count)
{
    future->base.ops = &join_all_ops;
    future->futures = futures;
    future->results = results;
    future->count = count;
    future->first_error = false;
    for (unsigned i = 0; i < count; i++)
        results[i] = futures[i] == NULL ? 0 : TN_PENDING;
}

void tn_try_join_all_init(tn_join_all_future *future, tn_future *const *futures, int *results, unsigned count)
{
    tn_join_all_init(future, futures, results, count);
    future->first_error = true;
}

int tn_join_all(tn_future *const *futures, int *results, unsigned count)
{
    tn_join_all_future future;

    tn_join_all_init(&future, futures, results, count);
    return tn_await(&future.base);
}

int tn_try_join_all(tn_future *const *futures, int *results, unsigned count)
{
    tn_join_all_future future;

    tn_try_join_all_init(&future, futures, results, count);
    return tn_await(&future.base);
}

/* --- Timeout ---------------------------------------------------------------------------------------------------------------- */

static int timeout_poll(tn_future *self, tn_waker *waker)
{
    tn_timeout_future *future = tni_container_of(self, tn_timeout_future, base);
    int rc;

    if (!tni_budget_poll_enter(waker))
        return TN_PENDING;
    rc = poll_branch(future->inner, waker);
    if (rc != TN_PENDING)
        return rc;
    if (future->timeout_ns != 0) {
        future->deadline_ns = tni_deadline_after(future->timeout_ns);
        future->timeout_ns = 0;
    } else if (future->deadline_ns != TNI_FOREVER && tni_task_clock_ns() >= future->deadline_ns) {
        return tni_budget_poll_leave(waker, TN_ETIMEDOUT);
    }
    tni_deadline_ask(waker, future->deadline_ns);
    return TN_PENDING;
}

static void timeout_drop(tn_future *self)
{
    tn_future_drop(tni_container_of(self, tn_timeout_future, base)->inner);
}

static void timeout_abandon(tn_future *self, tn_task *task)
{
    tni_abandon_future(tni_container_of(self, tn_timeout_future, base)->inner, task);
}

static const tn_future_ops timeout_ops = {
    .poll = timeout_poll, .drop = timeout_drop, .name = "timeout", .abandon_ = timeout_abandon};

void tn_timeout_init(tn_timeout_future *future, tn_future *inner, uint64_t deadline_ns)
{
    future->base.ops = &timeout_ops;
    future->inner = inner;
    future->deadline_ns = deadline_ns;
    future->timeout_ns = 0;
}

void tn_timeout_for_init(tn_timeout_future *future, tn_future *inner, uint64_t timeout_ns)
{
    tn_timeout_init(future, inner, 0); /* if timeout_ns is 0: expired at the first poll that is not ready */
    future->timeout_ns = timeout_ns;
}

int tn_timeout(tn_future *future, uint64_t deadline_ns)
{
    tn_timeout_future timeout;

    tn_timeout_init(&timeout, future, deadline_ns);
    return tn_await(&timeout.base);
}

int tn_timeout_for(tn_future *future, uint64_t timeout_ns)
{
    tn_timeout_future timeout;

    tn_timeout_for_init(&timeout, future, timeout_ns);
    return tn_await(&timeout.base);
}
