/* SPDX-License-Identifier: MIT */
/* tn_runtime_hold and tn_runtime_unhold: the caller declares that something outside the runtime will wake a task. Until the
 * unhold no deadlock is reported. */
#include "sched/runtime.h"
#include "sched/worker.h"

void tn_runtime_hold(tn_runtime *runtime)
{
    /* Relaxed: it only delays reports. The caller's task runs, or the caller is outside and calls this beforehand. */
    (void)tni_a32_fetch_add(&runtime->holds, 1, TNI_RELAXED);
}

void tni_runtime_unhold_quietly(tn_runtime *runtime)
{
    /* Release: as in tn_runtime_unhold. */
    (void)tni_a32_fetch_sub(&runtime->holds, 1, TNI_RELEASE);
}

void tn_runtime_unhold(tn_runtime *runtime)
{
    /* Release: the wakes made meanwhile come before; partner: expects_nothing (deadlock.c). */
    uint32_t old = tni_a32_fetch_sub(&runtime->holds, 1, TNI_RELEASE);

    tni_assert(old > 0, "tn_runtime_unhold without a hold");
    if (old == 1)
        tni_monitor_notice(runtime); /* the monitor may have checked before, and rest now */
    if (old == 1 && runtime->options.flavor == TN_CURRENT_THREAD)
        tni_worker_unpark(runtime->workers); /* it may sleep without a limit because of the hold: sleep_until_ns (worker.c) */
}
