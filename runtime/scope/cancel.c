/* SPDX-License-Identifier: MIT */
/* Cancelling a task. What its code then meets stands in scope.c. */
#include "task/task.h"

void tn_cancel(tn_task *task)
{
    tni_task_set_cancelled(task);
    tni_task_wake(task);
}
