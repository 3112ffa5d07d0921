/* SPDX-License-Identifier: MIT */
/* Calls a function on the worker's own stack from a fiber. The fiber stores the call in the worker and switches to the worker's
 * stack, as if it suspended. The worker makes the call at that point of its loop and switches back. Only this one thread takes
 * part: to other threads the task and the worker look as in any other run. */
#include "sched/native.h"

#include "base/tls.h"
#include "sched/runtime.h"
#include "scope/scope.h"
#include "scope/why.h"

void tni_native_call_make(tni_native_call *call)
{
    tni_tls *local = tni_tls_get();

    /* Relaxed: own word; a hint for other threads. */
    tni_aptr_store(&local->worker->native, call, TNI_RELAXED);
    tni_context_switch(&local->task->body.fiber.context, &local->worker->home.context);
    if (local->worker->runtime->sampler != NULL)
        tni_monitor_notice(local->worker->runtime); /* as in tn_block_end */
}

void *tn_call_native(tn_entry_fn fn, void *arg)
{
    const tn_task *task = tni_tls_get()->task;
    tni_native_call call = {.fn = fn, .arg = arg};

    if (task == NULL || task->kind != TNI_TASK_FIBER)
        return fn(arg);
    tni_native_call_make(&call);
    return call.result;
}

/* Out of line: it must not lengthen the path of each run. */
__attribute__((noinline)) void tni_native_run(tni_worker *worker, tn_task *task)
{
    tni_tls *local = tni_tls_get();
    tni_native_call *call = tni_aptr_load(&worker->native, TNI_RELAXED); /* relaxed: own word */

    local->native_worker = worker;
    local->worker = NULL;
    local->runtime = NULL;
    local->task = NULL;
    local->pool_thread = call->pool_thread;
    tni_why_clear(local);
    call->result = call->fn(call->arg);
    tni_fiber_control(&worker->home.control); /* the modes that it has set for its thread stay */
    tni_assert(!tni_runtime_is_inherited(worker->runtime), "a call on the thread's own stack returns in a child of fork: end the "
                                                           "child by _exit or exec");
    if (tni_unlikely(local->scope != NULL))
        tni_scope_left_open(NULL);
    local->pool_thread = NULL;
    local->task = task;
    local->worker = worker;
    local->runtime = worker->runtime;
    local->native_worker = NULL;
    tni_aptr_store(&worker->native, NULL, TNI_RELAXED); /* relaxed: as above */
    tni_context_enter(&worker->home, &task->body.fiber.context);
}
