/* The budget of a fiber: when it is used up the fiber yields. */
#ifndef TNI_BUDGET_FIBER_H
#define TNI_BUDGET_FIBER_H

#include "budget.h"

/* What each suspending call begins with: counts against the task's budget (which may yield, and then looks at the clock for the
 * scopes), then as tni_checkpoint. */
int tni_operation_enter(void);

/* Fiber: its budget is used up; yields. */
void tni_budget_over(tn_task *task);

/* Fiber: an operation may be ready at once; after TNI_BUDGET of them in one run the fiber yields. */
static inline void tni_budget_spend_in(tn_task *task)
{
    if (tni_unlikely(--task->budget == 0))
        tni_budget_over(task);
}

/* The same for an operation that has kept the worker for so long. Nothing happens outside of fibers. */
void tni_budget_spend_time(uint64_t ns);

#endif
