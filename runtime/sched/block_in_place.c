/* SPDX-License-Identifier: MIT */
/* tn_block_begin, tn_block_end and tn_block_in_place: a task declares that it will block its thread. The declaration is a count
 * in the worker. While it is not 0, the monitor (stuck.c) may take the worker's core at once. */
#include "base/tls.h"
#include "sched/runtime.h"

void tn_block_begin(tn_blocking how)
{
    tni_worker *worker = tni_tls_get()->worker;

    if (worker == NULL)
        return;
    /* Relaxed: a hint for the monitor, which claims the core in any case. Only this thread writes it. */
    tni_a32_store(&worker->blocking, tni_a32_load(&worker->blocking, TNI_RELAXED) + 1, TNI_RELAXED);
    if (how == TN_BLOCK_EAGER && worker->owns_thread && !tni_worker_replace(worker))
        (void)tni_worker_provide_replacements(worker->runtime, 1); /* the monitor gives it the core */
}

void tn_block_end(void)
{
    tni_worker *worker = tni_tls_get()->worker;
    uint32_t depth;

    if (worker == NULL)
        return;
    depth = tni_a32_load(&worker->blocking, TNI_RELAXED); /* relaxed: own word */
    tni_assert(depth > 0, "tn_block_end without tn_block_begin");
    /* Relaxed: own word. The monitor observes it by the fence in tni_monitor_notice. */
    tni_a32_store(&worker->blocking, depth - 1, TNI_RELAXED);
    /* From now on the task may have to be reported as stuck again. The monitor may rest: this worker may have lost its core,
     * and all the others may be parked. */
    if (depth == 1 && worker->runtime->sampler != NULL)
        tni_monitor_notice(worker->runtime);
}

void *tn_block_in_place(tn_blocking how, tn_entry_fn fn, void *arg)
{
    void *result;

    tn_block_begin(how);
    result = fn(arg);
    tn_block_end();
    return result;
}
