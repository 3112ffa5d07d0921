/* SPDX-License-Identifier: MIT */
/* Periodic maintenance of the attachment of a runtime (the blocking pool): work that its own threads cannot do. */
#include "sched/runtime.h"

static tni_attachment *attachment_of(const tn_runtime *runtime)
{
    /* Acquire: observes the attachment as its creator initialized it. It stays until the workers, the monitor and the starter
     * have ended. */
    return tni_aptr_load(&runtime->attachment, TNI_ACQUIRE);
}

bool tni_runtime_maintain_attachment(tn_runtime *runtime, uint64_t now_ns)
{
    tni_attachment *attachment = attachment_of(runtime);

    return attachment != NULL && attachment->maintain(attachment, now_ns);
}

bool tni_runtime_maintain(tn_runtime *runtime, uint64_t now_ns)
{
    tni_runtime_trim_if_due(runtime, now_ns);
    return tni_runtime_maintain_attachment(runtime, now_ns);
}

bool tni_runtime_request_starter(tn_runtime *runtime, uint64_t now_ns)
{
    const tni_attachment *attachment = attachment_of(runtime);

    tni_runtime_trim_if_due(runtime, now_ns);
    if (attachment == NULL || !attachment->wants_maintenance(attachment))
        return false;
    tni_starter_request(runtime, TNI_STARTER_MAINTAIN);
    return true;
}

void tni_runtime_request_maintenance(tn_runtime *runtime)
{
    tni_monitor_notice(runtime); /* makes a full fence before it checks whether the monitor rests */
    if (runtime->options.flavor == TN_CURRENT_THREAD)
        tni_worker_wake_if_parked(runtime->cores[0]);
}
