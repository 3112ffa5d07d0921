/* SPDX-License-Identifier: MIT */
/* How many operations of a task may be ready at once before it has to let others run: what polls ask of it. README.md ("Budget")
 * has the argument. */
#ifndef TNI_BUDGET_H
#define TNI_BUDGET_H

#include "task/task.h"

/* In the poll of each future of the library, before it does anything that could complete it. False: the task's budget is used up.
 * Then the task has been woken, and the poll returns TN_PENDING. */
static inline bool tni_budget_poll_enter(tn_waker *waker)
{
    if (tni_likely(tni_task_of(waker)->budget > 1))
        return true;
    tn_waker_wake_by_ref(waker);
    return false;
}

/* After it: returns `rc`, and spends one unit unless that is TN_PENDING. The last one is left for tni_budget_take. */
static inline int tni_budget_poll_leave(tn_waker *waker, int rc)
{
    tn_task *task = tni_task_of(waker);

    if (rc != TN_PENDING && task->budget > 1)
        task->budget--;
    return rc;
}

#endif
