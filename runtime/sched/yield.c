/* SPDX-License-Identifier: MIT */
/* tn_yield: lets other tasks run. */
#include "base/tls.h"
#include "sched/run.h"
#include "scope/scope.h"

int tn_yield(void)
{
    tni_tls *local = tni_tls_get();
    tn_task *task = local->task;

    if (task == NULL) {
        tni_assert(local->worker == NULL, "tn_yield in a hook of the runtime");
        tni_thread_yield();
        return tn_checkpoint();
    }
    tni_assert(task->kind == TNI_TASK_FIBER, "tn_yield in a poll function: wake the waker and return TN_PENDING instead");
    tni_run_leave(task, TNI_RUN_YIELDED);
    if (tni_likely(task->body.fiber.scope == NULL))
        return tni_task_is_cancelled(task) ? TN_ECANCELED : 0;
    return tni_scope_check_clock(task->body.fiber.scope, tni_task_is_cancelled(task));
}
