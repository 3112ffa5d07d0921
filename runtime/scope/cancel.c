/* SPDX-License-Identifier: MIT */
/* tn_cancel: cancels a task. scope.c has the checks that the task then fails. */
#include "base/order.h"
#include "task/task.h"

void tn_cancel(tn_task *task)
{
    tni_order_release();
    tni_task_set_cancelled(task);
    tni_task_wake(task);
}
