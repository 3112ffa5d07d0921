/* SPDX-License-Identifier: MIT */
/* tn_await, and the futures of sleep and join. */
#include "future/future.h"

#include "base/order.h"
#include "base/tls.h"
#include "sched/budget_fiber.h"
#include "sched/run.h"
#include "sched/runtime.h"
#include "scope/scope.h"
#include "scope/why.h"
#include "task/task_hooks.h"
#include "time/deadline.h"

/* --- Awaiting --------------------------------------------------------------------------------------------------------------- */

/* Inline: for a future whose kind the caller knows, `poll_it` is a direct call. */
__attribute__((always_inline)) static inline int await_in_fiber(tn_task *task, tn_future *future,
                                                                int (*poll_it)(tn_future *self, tn_waker *waker))
{
    bool full_budget = !tni_budget_take(task); /* the poll has a full budget, because it is the first of this run */
    int rc = tni_unlikely(full_budget) ? tni_budget_over(task, future) : tni_scope_check_fiber(task);

    while (rc == 0) {
        /* Cancellation is level-triggered and checked before each poll. So a cancellation that comes together with the event
         * wins, and drop returns what the event had granted. A deadline is checked after the poll: an event that comes with it
         * wins. */
        rc = poll_it(future, tni_task_waker(task));
        if (rc != TN_PENDING)
            return rc;
        if (tni_unlikely(task->body.fiber.scope != NULL)) {
            rc = tni_scope_suspend(task, full_budget);
            if (tni_unlikely(rc != 0)) {
                tni_why_waited(future->ops->name);
                return rc;
            }
        }
        task->awaited = future;
        tni_run_leave(task, TNI_RUN_SUSPENDED);
        full_budget = true;
        rc = tni_scope_check_fiber(task);
        if (tni_unlikely(rc != 0))
            tni_why_waited(future->ops->name);
    }
    return rc;
}

/* The task header of a wait by a plain thread. If memory is short it retries until there is some. A wait cannot fail, because
 * its caller could not know which side owns the object that it waits for. */
static tn_task *thread_task(void)
{
    tn_task *task = tni_alloc(&tni_alloc_default, sizeof *task, _Alignof(tn_task));

    while (task == NULL) {
        tni_thread_yield();
        task = tni_alloc(&tni_alloc_default, sizeof *task, _Alignof(tn_task));
    }
    task->kind = TNI_TASK_THREAD;
    tni_parker_init(&task->body.parker);
    tni_task_publish(task, 1);
    return task;
}

/* One step of a wait: 1. arms the cancellation of the scopes, 2. checks it, 3. polls, 4. checks the deadline. */
static int poll_in_thread(tn_task *task, tn_future *future, tni_scope *scope)
{
    int rc;

    tni_order_acquire();
    task->budget = TNI_BUDGET;
    task->deadline_ns = TNI_FOREVER;
    tni_scope_arm(scope, tni_task_waker(task));
    rc = tni_scope_check(scope, false);
    if (rc == 0)
        rc = future->ops->poll(future, tni_task_waker(task));
    if (rc != TN_PENDING || scope == NULL)
        return rc;
    rc = tni_scope_check_clock(scope, false);
    tni_deadline_ask(tni_task_waker(task), scope->deadline_ns);
    return rc != 0 ? rc : TN_PENDING;
}

/* A plain thread waits as a task of its own kind, so each source of wakes works for it too. Its header is counted, so a waker
 * that is used late still finds it. */
static int await_in_thread(tn_future *future)
{
    tn_task *task = thread_task();
    tni_scope *scope = tni_tls_get()->scope;
    int rc;

    for (;;) {
        tni_task_begin_run(task);
        rc = poll_in_thread(task, future, scope);
        if (rc != TN_PENDING)
            break;
        if (!tni_task_rest(task))
            continue;
        tni_parker_wait(&task->body.parker, task->deadline_ns);
        (void)tni_task_notify(task); /* ACTIVE again, if the deadline or a spurious return ended the sleep and no waker did */
    }
    future->ops->drop(future);
    tni_scope_disarm(scope);
    if (scope != NULL)
        tni_scope_read_clock(scope); /* if everything is ready, the next call reports the deadline */
    (void)tni_task_complete(task, 0);
    tni_task_unref(task);
    return rc;
}

int tn_await(tn_future *future)
{
    tni_tls *local = tni_tls_get();
    int rc;

    if (local->task == NULL) {
        tni_assert(local->worker == NULL, "a suspending call in a hook of the runtime: only fibers and plain threads may wait");
        return await_in_thread(future);
    }
    tni_assert(local->task->kind == TNI_TASK_FIBER, "a suspending call in a poll function: poll the future instead");
    rc = await_in_fiber(local->task, future, future->ops->poll);
    future->ops->drop(future);
    return rc;
}

/* --- Sleep ------------------------------------------------------------------------------------------------------------------ */

static int sleep_poll(tn_future *self, tn_waker *waker)
{
    tn_sleep_future *future = tni_container_of(self, tn_sleep_future, base);

    if (tni_task_clock_ns() >= future->deadline_ns)
        return tni_budget_poll_enter(waker) ? tni_budget_poll_leave(waker, 0) : TN_PENDING;
    tni_deadline_ask(waker, future->deadline_ns);
    return TN_PENDING;
}

static void sleep_drop(tn_future *self)
{
    (void)self; /* the timer belongs to the task, and a late wake is spurious */
}

static const tn_future_ops sleep_ops = {sleep_poll, sleep_drop, "sleep"};

void tn_sleep_init(tn_sleep_future *future, uint64_t deadline_ns)
{
    future->base.ops = &sleep_ops;
    future->deadline_ns = deadline_ns;
}

int tn_sleep(uint64_t ns)
{
    tn_sleep_future future;
    uint64_t now_ns = tni_task_clock_ns();

    if (ns == 0)
        return tn_yield();
    tn_sleep_init(&future, now_ns + ns < now_ns ? TNI_FOREVER - 1 : now_ns + ns);
    return tn_await(&future.base);
}

uint64_t tn_now(void)
{
    return tni_task_clock_ns();
}

/* --- Join ------------------------------------------------------------------------------------------------------------------- */

/* tn_waker_retain, inline. */
static inline tn_waker *retain_task(tn_waker *waker)
{
    tni_task_ref(tni_task_of(waker));
    return waker;
}

static inline int join_poll(tn_future *self, tn_waker *waker)
{
    tn_join_future *future = tni_container_of(self, tn_join_future, base);
    tn_task *task = future->task;

    if (!tni_budget_poll_enter(waker))
        return TN_PENDING;
    switch (tni_wait_arm_once_by(&task->join, future->armed, waker, retain_task)) {
    case TNI_WAIT_ARMED:
        future->armed = waker;
        if (tni_runtime_is_inherited(task->runtime)) {
            tni_fork_log_refusal("a join");
            return TN_ESHUTDOWN;
        }
        return TN_PENDING;
    case TNI_WAIT_BUSY:
        return TN_EBUSY;
    case TNI_WAIT_IS_OVER:
        break;
    }
    tni_order_acquire();
    future->ended = true;
    future->result = task->result;
    if (tni_unlikely(task->hooks != NULL))
        tni_task_hooks_result_taken(task);
    return tni_budget_poll_leave(waker, task->error);
}

static inline void join_drop(tn_future *self)
{
    tn_join_future *future = tni_container_of(self, tn_join_future, base);

    /* If the end was observed, it has taken the waker. */
    if (future->armed != NULL && !future->ended)
        tni_wait_disarm_once(&future->task->join, future->armed);
    future->armed = NULL;
}

static const tn_future_ops join_ops = {join_poll, join_drop, "join"};

const tn_task *tni_future_joined(const tn_future *awaited)
{
    return awaited->ops == &join_ops ? tni_container_of(awaited, const tn_join_future, base)->task : NULL;
}

void tn_join_init(tn_join_future *future, tn_task *task)
{
    future->base.ops = &join_ops;
    future->task = task;
    future->result = NULL;
    future->armed = NULL;
    future->ended = false;
}

/* tni_task_unref, inline for the last reference to a task of this runtime. */
__attribute__((always_inline)) static inline void release_joined(tn_task *task)
{
    tni_worker *worker = tni_tls_get()->worker;
    tni_core *core = NULL;

    if (tni_likely(worker != NULL && worker->runtime == task->runtime && task->hooks == NULL && tni_task_is_last_reference(task)))
        core = tni_worker_enter(worker);
    if (tni_unlikely(core == NULL)) {
        tni_task_unref(task);
        return;
    }
    tni_run_free_header(core, task);
    tni_worker_leave(worker);
}

int tn_join(tn_task *task, void **result)
{
    tn_task *self = tni_tls_get()->task;
    tn_join_future future = {.base.ops = &join_ops, .task = task};
    int rc;

    tni_assert(task != self, "a task joins itself");
    if (tni_likely(self != NULL && self->kind == TNI_TASK_FIBER)) { /* tn_await, inline */
        rc = await_in_fiber(self, &future.base, join_poll);
        join_drop(&future.base);
    } else {
        rc = tn_await(&future.base);
    }
    if (!future.ended)
        return rc;
    if (result != NULL)
        *result = future.result;
    release_joined(task);
    return rc;
}
