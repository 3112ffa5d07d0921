/* SPDX-License-Identifier: MIT */
/* Pinned tasks: choosing a core for one that begins, and its start queue. */
#include "sched/pinned.h"

#include "sched/runtime.h"

tni_core *tni_pinned_next_core(tn_runtime *runtime)
{
    /* Relaxed: any choice is right. */
    return runtime->cores[tni_a32_fetch_add(&runtime->next_start, 1, TNI_RELAXED) % tni_idle_limit(&runtime->idle)];
}

void tni_pinned_push(tni_core *core, tn_task *task)
{
    tni_injector_push(&core->starts, task, task, 1);
}

void tni_pinned_wake(tni_core *core)
{
    /* Orders the push before the check of the mark; partner: the fence in park (worker.c). */
    tni_fence_full();
    tni_worker_wake_if_parked(core);
}

tn_task *tni_pinned_take_start(tni_core *core)
{
    tn_task *task = NULL;

    tni_core_assert_holder(core);
    (void)tni_injector_take(&core->starts, &task, 1);
    return task;
}
