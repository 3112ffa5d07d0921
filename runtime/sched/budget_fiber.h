/* SPDX-License-Identifier: MIT */
/* The budget of a fiber: when it is used up the fiber yields. */
#ifndef TNI_BUDGET_FIBER_H
#define TNI_BUDGET_FIBER_H

#include "base/tls.h"
#include "task/budget.h"

/* Called at the beginning of each suspending call except tn_await: spends one unit of the task's budget (which may yield), then
 * acts as tni_checkpoint. If it reads the clock, a deadline that has passed is reported by the next call, not by this one. */
int tni_budget_enter(void);

/* The same, inline for a fiber that has budget left, and is neither cancelled nor inside a scope. */
static inline int tni_budget_enter_inline(void)
{
    tn_task *task = tni_tls_get()->task;

    if (tni_unlikely(task == NULL || task->kind != TNI_TASK_FIBER || task->budget <= 1 || task->body.fiber.scope != NULL ||
                     tni_task_is_cancelled(task)))
        return tni_budget_enter();
    task->budget--;
    return 0;
}

/* The same between two parts of an operation. `in_flight`: what the operation holds meanwhile; it is abandoned if the task is
 * abandoned here, and never polled. */
int tni_budget_enter_part(tn_future *in_flight);

/* Fiber: begins an operation that may be ready at once. False: it is the last one of the budget; call tni_budget_over. */
static inline bool tni_budget_take(tn_task *task)
{
    return --task->budget != 0;
}

/* Yields the fiber, which then has a full budget. Returns the result of a cancellation point. After that check it records which
 * deadlines have passed, for the next cancellation point. `waiting`: the future that the fiber is about to wait for, or has in
 * flight; it is abandoned with the fiber; NULL: none. */
int tni_budget_over(tn_task *task, tn_future *waiting);

/* Spends the budget for an operation that has kept the worker for `ns`, and yields if it is used up. Does nothing outside of
 * fibers. */
void tni_budget_spend_time(uint64_t ns);

#endif
