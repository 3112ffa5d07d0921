/* SPDX-License-Identifier: MIT */
/* Preparing the wake of a task under a lock, and doing it after the release. */
#include "wake.h"

#include "base/order.h"
#include "base/tls.h"
#include "task/task_upcalls.h"

#define TO_QUEUE ((tni_wake)1)

tni_wake tni_wake_prepare(tn_waker *waker, bool borrowed)
{
    tn_task *task = tni_task_of(waker);

    if (!borrowed)
        return (tni_wake)waker;
    /* If the caller is not a worker of the task's runtime, only a reference to the task keeps that runtime alive until the wake
     * is done. Such a caller also releases it from outside the runtime. */
    if (task->runtime == NULL || !tni_tls_is_worker_of(task->runtime))
        return (tni_wake)tn_waker_retain(waker);
    tni_order_release();
    return tni_task_notify(task) ? (tni_wake)task | TO_QUEUE : 0;
}

void tni_wake_do_prepared(tni_wake wake)
{
    if (wake & TO_QUEUE)
        tni_schedule_ready((tn_task *)(wake & ~TO_QUEUE));
    else
        tn_waker_wake((tn_waker *)wake);
}

void tni_wake_batch_wake(tni_wake_batch *batch)
{
    for (unsigned i = 0; i < batch->count; i++)
        tni_wake_do(batch->wakes[i]);
    batch->count = 0;
}
