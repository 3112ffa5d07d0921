/* SPDX-License-Identifier: MIT */
/* Periodic maintenance of the attachment of a runtime (the blocking pool): work that its own threads cannot do. */
#include "sched/runtime.h"

bool tni_runtime_maintain(tn_runtime *runtime, uint64_t now_ns)
{
    /* Acquire: observes the attachment as its creator initialized it. It stays until the workers and the monitor have ended. */
    tni_attachment *attachment = tni_aptr_load(&runtime->attachment, TNI_ACQUIRE);

    tni_runtime_trim_if_due(runtime, now_ns);
    return attachment != NULL && attachment->maintain(attachment, now_ns);
}

void tni_runtime_request_maintenance(tn_runtime *runtime)
{
    tni_monitor_notice(runtime); /* makes a full fence before it checks whether the monitor rests */
    if (runtime->options.flavor == TN_CURRENT_THREAD)
        tni_worker_wake_if_parked(runtime->cores[0]);
}
