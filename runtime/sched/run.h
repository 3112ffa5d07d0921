/* SPDX-License-Identifier: MIT */
/* One run of a task: from the run queue to where it suspends, yields or ends. The context switch itself is in the worker's
 * loop (worker.c). */
#ifndef TNI_RUN_H
#define TNI_RUN_H

#include "base/order.h"
#include "base/tls.h"
#include "fiber/exceptions.h"
#include "sched/runtime.h"
#include "sched/schedule.h"
#include "sched/worker.h"

/* Binds a stack to a fiber that has none yet. False: the fiber must not run now, and the caller no longer owns it. `core`:
 * the worker's, or NULL. */
bool tni_run_first(tni_core *core, tn_task *task);

/* The same, inline for a stack of the core's cache. */
static inline bool tni_run_bind_stack(tni_core *core, tn_task *task)
{
    if (tni_unlikely(core == NULL || task->stack_log2 != 0 || task->body.fiber.stack != NULL))
        return tni_run_first(core, task);
    task->body.fiber.stack = tni_stack_get_cached(&task->runtime->stacks, &core->stacks);
    return tni_likely(task->body.fiber.stack != NULL) || tni_run_first(core, task);
}

/* The first function on the stack of a fiber. `task`: its tn_task. */
_Noreturn void tni_run_fiber_main(void *task);

/* Polls a stackless task once. */
void tni_run_future(tn_task *task);

/* Holder: tni_task_free of a task of this runtime without hooks. */
static inline void tni_run_free_header(tni_core *core, tn_task *task)
{
    tni_core_assert_holder(core);
    tni_task_set_free(task);
    tni_slab_free(&core->slabs, task);
}

/* For the following: the stack must be measured, or cannot simply be put into the core's cache. */
void tni_run_release_stack_slowly(tni_core *core, tn_task *task);

/* Inline, as all that follows: most tasks are short, so their end is on the path of each run. */
static inline void tni_run_release_stack(tni_core *core, tn_task *task)
{
    tn_runtime *runtime = task->runtime;

    tni_context_fini(&task->body.fiber.context);
    if (tni_unlikely(core == NULL || runtime->options.measure_stacks ||
                     !tni_stack_put_cached(&runtime->stacks, &core->stacks, task->body.fiber.stack)))
        tni_run_release_stack_slowly(core, task);
}

/* tni_task_free for a caller that may hold the core. */
__attribute__((always_inline)) static inline void tni_run_free_last(tni_core *core, tn_task *task)
{
    if (tni_unlikely(core == NULL || task->hooks != NULL))
        tni_task_free(task);
    else
        tni_run_free_header(core, task);
}

/* tn_waker_wake for a caller that may hold the core. */
__attribute__((always_inline)) static inline void tni_run_wake_joiner(tni_core *core, tn_waker *joiner)
{
    tn_task *task = tni_task_of(joiner);

    if (tni_unlikely(core == NULL || task->runtime != core->runtime)) {
        tn_waker_wake(joiner);
        return;
    }
    tni_order_release();
    if (tni_task_spend_waker(task))
        tni_schedule_ready_on(core, task);
}

/* Publishes the end of the task: wakes the joiner, and gives back the scheduler's reference. */
__attribute__((always_inline)) static inline void tni_run_publish_end(tni_core *core, tn_task *task)
{
    tn_waker *joiner = NULL;

    /* A thread that joins, or checks whether the task has ended, holds a reference. Acquire: if the scheduler's is the only
     * one, all uses of the other references are over, and none can begin: a walk's reference never joins. */
    if (tni_a64_load(&task->state, TNI_ACQUIRE) / TNI_TASK_REF > 1)
        joiner = tni_wait_end(&task->join);
    if (tni_task_complete(task, TNI_TASK_REF) / TNI_TASK_REF == 1)
        tni_run_free_last(core, task);
    if (joiner != NULL)
        tni_run_wake_joiner(core, joiner);
}

/* Inline: with and without a core it is different code. */
__attribute__((always_inline)) static inline void tni_run_finish(tni_core *core, tn_task *task)
{
    tn_runtime *runtime = task->runtime;

    if (task->kind == TNI_TASK_FIBER && task->body.fiber.stack != NULL)
        tni_run_release_stack(core, task);
    tni_timer_disarm(task);
    if (core != NULL)
        tni_count(&core->counts.finished, 1);
    else
        tni_count_shared(&runtime->external.finished, 1);
    tni_run_publish_end(core, task);
    tni_runtime_task_ended(runtime);
}

/* For tni_run_complete: the last run of a task is over, on a thread that has no core. */
void tni_run_finish_without_core(tn_task *task);

/* For tni_run_complete: a run that suspended. */
__attribute__((always_inline)) static inline void tni_run_suspended(tni_core *core, tn_task *task)
{
    if (tni_unlikely(task->deadline_ns != TNI_FOREVER))
        tni_core_arm_timer(core, task);
    task->since_ns = core != NULL ? tni_a64_load(&core->clock_read_ns, TNI_RELAXED) : tni_clock_ns(); /* relaxed: own word */
    if (tni_unlikely(!tni_task_rest(task)))
        tni_schedule_requeue(core, task, false);
}

/* Called on the worker's own stack, after the task has left its stack: carries out task->run_result. `core`: the worker's core
 * after the run, or NULL. Inline: a run that suspends is the path of every wake. */
__attribute__((always_inline)) static inline void tni_run_complete(tni_core *core, tn_task *task)
{
    switch ((tni_run_result)task->run_result) {
    case TNI_RUN_SUSPENDED:
        tni_run_suspended(core, task);
        break;
    case TNI_RUN_ENDED:
        if (tni_likely(core != NULL))
            tni_run_finish(core, task);
        else
            tni_run_finish_without_core(task);
        break;
    case TNI_RUN_YIELDED:
    case TNI_RUN_YIELDED_IN_WAIT:
        tni_schedule_requeue(core, task, true);
        break;
    }
}

/* For tni_run_leave: takes the thread's record of C++ exceptions along. A function of its own, so that its frame costs other
 * fibers nothing. */
void tni_run_leave_with_exceptions(tn_task *task);

/* Called by a fiber: leaves its worker. The fiber continues when it is run again, possibly on another thread. Inline, because
 * each return on the way back after a switch is mispredicted. */
__attribute__((always_inline)) static inline void tni_run_leave(tn_task *task, tni_run_result result)
{
    task->run_result = (uint8_t)result;
    if (tni_exceptions_possible() && tni_exceptions_in_use())
        tni_run_leave_with_exceptions(task);
    else
        tni_context_switch(&task->body.fiber.context, &tni_tls_get()->worker->home.context);
}

#endif
