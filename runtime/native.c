/* The fiber leaves its call with the worker and switches to it, as it does to suspend; the worker makes the call where it stands
 * and switches back. Nobody but these two, one thread, knows of it: task and worker look as they do inside of any run. */
#include "native.h"

#include "local.h"
#include "scope.h"

void tni_native_call_make(tni_native_call *call)
{
    tni_local *local = tni_local_get();
    tni_worker *worker = local->worker;

    tn_block_begin(TN_BLOCK_LAZY);
    worker->native = call;
    tni_context_switch(&local->task->body.fiber.context, &worker->context);
    tn_block_end();
}

/* Out of line: it must not make the way of the runs longer. */
__attribute__((noinline)) void tni_native_serve(tni_worker *worker, tn_task *task)
{
    tni_local *local = tni_local_get();
    tni_native_call *call = worker->native;

    worker->native = NULL;
    local->worker = NULL;
    local->task = NULL;
    local->pool_thread = call->pool_thread;
    call->result = call->fn(call->arg);
    if (tni_unlikely(local->scope != NULL))
        tni_scope_left_open(NULL);
    local->worker = worker;
    local->task = task;
    local->pool_thread = NULL;
    tni_context_switch(&worker->context, &task->body.fiber.context);
}
