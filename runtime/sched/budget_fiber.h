/* SPDX-License-Identifier: MIT */
/* The budget of a fiber: when it is used up the fiber yields. */
#ifndef TNI_BUDGET_FIBER_H
#define TNI_BUDGET_FIBER_H

#include "task/budget.h"

/* What a suspending call begins with, unless that is tn_await: spends one unit of the task's budget (which may yield), then does
 * what tni_checkpoint does. If it reads the clock, a deadline that is over is reported by the next call, not by this one. */
int tni_budget_enter(void);

/* The same between two parts of an operation. `in_flight`: what the operation holds meanwhile; abandoned if the task is abandoned
 * here, and never polled. */
int tni_budget_enter_part(tn_future *in_flight);

/* Fiber: an operation begins, which may be ready at once. False: it is the last one of the budget; tni_budget_over. */
static inline bool tni_budget_take(tn_task *task)
{
    return --task->budget != 0;
}

/* Fiber: yields; afterwards the budget is whole. Returns what a cancellation point does, and then notes which deadlines are over
 * for the next one. `waiting`: what the fiber is about to wait in, or has in flight; abandoned with it; NULL: nothing. */
int tni_budget_over(tn_task *task, tn_future *waiting);

/* The same for an operation that has kept the worker for so long. Nothing happens outside of fibers. */
void tni_budget_spend_time(uint64_t ns);

#endif
