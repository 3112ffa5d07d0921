/* The budget of a fiber: when it is used up the fiber yields. */
#ifndef TNI_BUDGET_FIBER_H
#define TNI_BUDGET_FIBER_H

#include "budget.h"

/* What each suspending call begins with: counts against the task's budget (which may yield, and then looks at the clock for the
 * scopes), then as tni_checkpoint. */
int tni_operation_enter(void);

/* The same between two parts of an operation. `in_flight`: what the operation holds meanwhile; abandoned if the task is abandoned
 * here, and never polled. */
int tni_operation_go_on(tn_future *in_flight);

/* Fiber: its budget is used up; yields. `waiting`: what the fiber is about to wait in, or has in flight; abandoned with it;
 * NULL: nothing. */
void tni_budget_over(tn_task *task, tn_future *waiting);

/* Fiber: an operation may be ready at once; after TNI_BUDGET of them in one run the fiber yields. */
static inline void tni_budget_spend_in(tn_task *task, tn_future *waiting)
{
    if (tni_unlikely(--task->budget == 0))
        tni_budget_over(task, waiting);
}

/* The same for an operation that has kept the worker for so long. Nothing happens outside of fibers. */
void tni_budget_spend_time(uint64_t ns);

#endif
