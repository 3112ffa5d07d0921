/* SPDX-License-Identifier: MIT */
/* What is attached to a runtime (the blocking pool) has it do what its own threads cannot. */
#include "sched/runtime.h"

bool tni_runtime_maintain(tn_runtime *runtime, uint64_t now_ns)
{
    /* Acquire: the attachment as it was made. It stays until the workers and the monitor have ended. */
    tni_attachment *attachment = tni_aptr_load(&runtime->attachment, TNI_ACQUIRE);

    return attachment != NULL && attachment->tend(attachment, now_ns);
}

void tni_runtime_request_maintenance(tn_runtime *runtime)
{
    tni_monitor_notice(runtime); /* with a full fence before it looks whether the monitor rests */
    if (runtime->options.flavor == TN_CURRENT_THREAD)
        tni_worker_wake_if_parked(runtime->cores[0]);
}
