/* SPDX-License-Identifier: MIT */
/* The budget of a task as polls use it: how many operations may complete at once before the task yields. README.md ("Budget")
 * has the argument. */
#ifndef TNI_BUDGET_H
#define TNI_BUDGET_H

#include "task/task.h"

/* Each poll of a library future calls this before anything that could complete the future. False: the task's budget is used up.
 * Then the task has been woken, and the poll returns TN_PENDING. */
static inline bool tni_budget_poll_enter(tn_waker *waker)
{
    if (tni_likely(tni_task_of(waker)->budget > 1))
        return true;
    tn_waker_wake_by_ref(waker);
    return false;
}

/* The end of such a poll: returns `rc`, and spends one unit unless rc is TN_PENDING. The last unit is left for
 * tni_budget_take. */
static inline int tni_budget_poll_leave(tn_waker *waker, int rc)
{
    tn_task *task = tni_task_of(waker);

    if (rc != TN_PENDING && task->budget > 1)
        task->budget--;
    return rc;
}

#endif
