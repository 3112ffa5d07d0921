/* SPDX-License-Identifier: MIT */
/* One run of a task, and what follows when the task has left its stack.
 *
 * A fiber's registers must be saved before another thread learns that it may run again. So a fiber only sets task->run_result
 * and switches to the worker's own stack. The action that the result names (rest, requeue, end) happens there, in
 * tni_run_complete. The same applies to the stack of a fiber that has ended. Stackless tasks take the same path, without the
 * switch. */
#include "sched/run.h"

#include "base/order.h"
#include "base/tls.h"
#include "sched/runtime.h"
#include "sched/schedule.h"
#include "scope/scope.h"
#include "task/task_hooks.h"

#define RETURNS_IN_CHILD "a task returns in a child of fork: end the child by _exit or exec"

void tni_run_fiber_main(void *arg)
{
    tn_task *task = arg;
    tni_worker *worker;

    task->result = task->body.fiber.entry(task->result);
    if (tni_unlikely(task->body.fiber.scope != NULL))
        tni_scope_left_open(task);
    if (tni_unlikely(task->hooks != NULL))
        tni_task_hooks_at_exit(task);
    task->run_result = TNI_RUN_ENDED;
    worker = tni_tls_get()->worker;
    tni_assert(worker != NULL, RETURNS_IN_CHILD);
    tni_context_exit_to(&task->body.fiber.context, &worker->home.context);
}

static tni_stack_cache *stack_cache(tni_core *core)
{
    return core == NULL ? NULL : &core->stacks;
}

/* Called after an attempt to get a stack that has returned `rc`. Returns as bind_stack. */
__attribute__((noinline)) static int bind_in_need(tni_core *core, tn_task *task, int rc)
{
    tn_runtime *runtime = task->runtime;
    tni_stack_pool *pool = &runtime->stacks;

    while (tni_stack_is_short(rc)) {
        int before = rc;
        tni_runtime_stacks_trim(runtime, true); /* idle stacks of other sizes may have the address space */
        rc = tni_stack_get(pool, stack_cache(core), tni_task_stack_size(task), &task->body.fiber.stack);
        if (rc != TN_ENOMEM || before == TN_ENOMEM)
            break; /* otherwise all stacks have come back after the trim, so another trim finds them */
    }
    if (!tni_stack_comes_back(rc))
        return rc;
    if (tni_stack_is_short(rc))
        tni_stack_log_shortage(pool);
    tni_runtime_wait_for_stack(runtime, task);
    return 1;
}

/* Binds a stack at the first run, unless the task got one while it waited. Returns 0; 1: there is none now, and the caller no
 * longer owns the task; TN_ENOMEM: there will never be one. */
static int bind_stack(tni_core *core, tn_task *task)
{
    tn_runtime *runtime = task->runtime;
    int rc = 0;

    if (task->body.fiber.stack == NULL) {
        rc = tni_stack_get(&runtime->stacks, stack_cache(core), tni_task_stack_size(task), &task->body.fiber.stack);
        if (tni_unlikely(rc != 0))
            rc = bind_in_need(core, task, rc);
    }
    return rc;
}

void tni_run_release_stack_slowly(tni_core *core, tn_task *task)
{
    tn_runtime *runtime = task->runtime;
    tni_stack *stack = task->body.fiber.stack;

    if (runtime->options.measure_stacks) {
        uint64_t used = tni_stack_used(stack);
        tni_counts *counts = core != NULL ? &core->counts : &runtime->external;
        /* Relaxed: only the worker writes the counts of its core. Without a core there are several writers, and a lost maximum
         * is acceptable. */
        if (used > tni_a64_load(&counts->stack_used_max_bytes, TNI_RELAXED))
            tni_a64_store(&counts->stack_used_max_bytes, used, TNI_RELAXED);
    }
    tni_stack_put(&runtime->stacks, stack_cache(core), stack);
    if (tni_unlikely(tni_stack_waited_for(&runtime->stacks)))
        tni_runtime_stacks_came_back(runtime, 1);
}

void tni_run_leave_with_exceptions(tn_task *task)
{
    tni_os_exceptions exceptions;
    bool taken = tni_exceptions_take(&exceptions);

    tni_context_switch(&task->body.fiber.context, &tni_tls_get()->worker->home.context);
    if (taken)
        tni_exceptions_put(&exceptions);
}

void tni_run_future(tn_task *task)
{
    tn_future *future = task->body.future;
    int rc = TN_ECANCELED;

    tni_order_acquire(); /* a switch to a fiber does this (fiber/announce.c), and the next */
    if (!tni_task_is_cancelled(task))
        rc = future->ops->poll(future, tni_task_waker(task));
    tni_assert(!tni_runtime_is_inherited(task->runtime), RETURNS_IN_CHILD);
    if (rc == TN_PENDING) {
        task->run_result = TNI_RUN_SUSPENDED;
        return;
    }
    task->result = (void *)(intptr_t)rc;
    future->ops->drop(future);
    tni_order_release();
    if (tni_unlikely(task->hooks != NULL))
        tni_task_hooks_at_exit(task);
    task->run_result = TNI_RUN_ENDED;
}

__attribute__((noinline)) static void finish_unrun(tni_core *core, tn_task *task, int error)
{
    tn_runtime *runtime = task->runtime;
    /* Relaxed: it only decides which of them are logged. */
    uint32_t count = 1 + tni_a32_fetch_add(&runtime->unrun, 1, TNI_RELAXED);

    if ((count & (count - 1)) == 0) /* the 1st, 2nd, 4th, 8th, … */
        tni_log_write(&runtime->log, TN_LOG_ERROR,
                      "task \"%s\" never ran: no stack is available; lower stack_size_bytes or raise the limit on memory or "
                      "mappings (%u tasks so far)",
                      task->name, count);
    task->error = (int16_t)error;
    task->result = NULL;
    if (task->hooks != NULL)
        tni_task_hooks_at_exit(task);
    tni_run_finish(core, task);
    /* While this task tried, its stack counted towards stacks_max, and another fiber may wait because of that. */
    if (tni_unlikely(tni_stack_waited_for(&runtime->stacks)))
        tni_runtime_stacks_came_back(runtime, 1);
}

void tni_run_finish_without_core(tn_task *task)
{
    tni_run_finish(NULL, task);
}

bool tni_run_first(tni_core *core, tn_task *task)
{
    int rc = bind_stack(core, task);

    if (tni_unlikely(rc < 0))
        finish_unrun(core, task, rc);
    return rc == 0;
}
