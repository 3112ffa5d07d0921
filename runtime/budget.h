/* How many operations of a task may be ready at once before it has to let others run. */
#ifndef TNI_BUDGET_H
#define TNI_BUDGET_H

#include "task.h"

/* What each suspending call begins with: counts against the task's budget (which may yield, and then looks at the clock for the
 * scopes), then as tni_checkpoint. */
int tni_operation_enter(void);

/* In a poll that is about to answer: false when the task's budget is used up. Then the task has been woken already, and the poll
 * answers TN_PENDING without having done anything. */
bool tni_poll_may_answer(tn_waker *waker);

/* In a poll: is less left of the task's budget than so many answers (far less than a whole one), so that one of the polls below
 * may answer, or has answered, TN_PENDING though it was ready? Then the task has been woken, and polls with a new budget will
 * tell. */
bool tni_poll_is_short(tn_waker *waker, unsigned answers);

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
