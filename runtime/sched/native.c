/* SPDX-License-Identifier: MIT */
/* The fiber leaves its call with the worker and switches to it, as it does to suspend; the worker makes the call where it stands
 * and switches back. Nobody but these two, one thread, knows of it: task and worker look as they do inside of any run. */
#include "sched/native.h"

#include "base/tls.h"
#include "sched/runtime.h"
#include "scope/scope.h"

void tni_native_call_make(tni_native_call *call)
{
    tni_tls *local = tni_tls_get();

    /* Relaxed: own word; for who looks from outside a hint. */
    tni_aptr_store(&local->worker->native, call, TNI_RELAXED);
    tni_context_switch(&local->task->body.fiber.context, &local->worker->context);
    if (local->worker->runtime->sampler != NULL)
        tni_monitor_notice(local->worker->runtime); /* as tn_block_end does */
}

/* Out of line: it must not make the way of the runs longer. */
__attribute__((noinline)) void tni_native_run(tni_worker *worker, tn_task *task)
{
    tni_tls *local = tni_tls_get();
    tni_native_call *call = tni_aptr_load(&worker->native, TNI_RELAXED); /* relaxed: own word */

    local->native_worker = worker;
    local->worker = NULL;
    local->task = NULL;
    local->pool_thread = call->pool_thread;
    call->result = call->fn(call->arg);
    if (tni_unlikely(local->scope != NULL))
        tni_scope_left_open(NULL);
    local->pool_thread = NULL;
    local->task = task;
    local->worker = worker;
    local->native_worker = NULL;
    tni_aptr_store(&worker->native, NULL, TNI_RELAXED); /* relaxed: as above */
    tni_context_switch(&worker->context, &task->body.fiber.context);
}
