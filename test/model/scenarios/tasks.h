/* SPDX-License-Identifier: MIT */
/* Replaces the rest of the runtime where only tasks and their runs matter. There is no queue: a thread that queues a task
 * runs it at once. So nothing but the state word hands the task over, and all may be over and freed when the call returns.
 * Headers are freed for good instead of going back to a slab. Defines functions of the library, so it is for one source of a
 * program. */
#ifndef TN_MODEL_TASKS_H
#define TN_MODEL_TASKS_H

#include "model.h"
#include "sched/run.h"
#include "sched/runtime.h"
#include "sched/runtime_upcalls.h"
#include "sched/schedule.h"
#include "task/future_set.h"

/* Called for a task that is queued; the scenario defines it. */
static void desk_run(tn_task *task);

/* Returns a task that is queued for its first run. */
static inline tn_task *desk_task(tn_runtime *runtime, tni_task_kind kind, unsigned references)
{
    tn_task *task = model_alloc(sizeof *task, _Alignof(tn_task));

    task->runtime = runtime;
    task->kind = (uint8_t)kind;
    tni_wait_init(&task->join);
    tni_task_publish(task, references);
    model_name(&task->state, 8, "task.state");
    model_name(&task->join, 8, "task.join");
    model_name(&runtime->external.finished, 8, "finished");
    return task;
}

/* Returns a fiber that is queued for its first run, which calls `entry(arg)`. */
static inline tn_task *desk_fiber(tn_runtime *runtime, unsigned references, tn_entry_fn entry, void *arg)
{
    tni_stack_config config = {.stack_size_bytes = 16 * 1024, .guard = TNI_GUARD_NONE};
    tn_task *task = desk_task(runtime, TNI_TASK_FIBER, references);

    (void)tni_stack_pool_init(&runtime->stacks, &config);
    task->body.fiber.entry = entry;
    task->result = arg; /* until the first run */
    model_check(tni_stack_get(&runtime->stacks, NULL, 0, &task->body.fiber.stack) == 0);
    model_name(&task->body.fiber.context.sp, 8, "fiber.sp");
    return task;
}

/* Allows the calling thread to run fibers, as `worker`. */
static inline void desk_enter(tni_worker *worker, tn_runtime *runtime)
{
    worker->runtime = runtime;
    tni_context_init_home(&worker->home);
    tni_tls_get()->worker = worker;
    tni_tls_get()->runtime = runtime;
}

/* --- Runs, like those of run_task in worker.c ------------------------------------------------------------------------------- */

static inline void desk_begin(tn_task *task)
{
    tni_task_begin_run(task);
    task->budget = TNI_BUDGET;
    task->deadline_ns = TNI_FOREVER;
}

static inline void desk_run_future(tn_task *task)
{
    desk_begin(task);
    tni_run_future(task);
    tni_run_complete(NULL, task);
}

/* On a thread that has called desk_enter. */
static inline void desk_run_fiber(tn_task *task)
{
    tni_tls *local = tni_tls_get();
    void *volatile *saved = &task->body.fiber.context.sp;

    desk_begin(task);
    if (task->body.fiber.context.sp == NULL) {
        if (!tni_run_first(NULL, task))
            return;
        tni_context_make(&task->body.fiber.context, task->body.fiber.stack, tni_run_fiber_main, task);
    }
    local->task = task;
    tni_context_enter(&local->worker->home, &task->body.fiber.context);
    local->task = NULL;
    *saved = *saved; /* the switch wrote it, where the checker does not see it */
    tni_run_complete(NULL, task);
}

/* --- What tasks use of the rest of the runtime ------------------------------------------------------------------------------ */

void tni_schedule_ready(tn_task *task)
{
    if (task->kind == TNI_TASK_THREAD)
        (void)tni_parker_notify(&task->body.parker);
    else
        desk_run(task);
}

void tni_schedule_requeue(tni_core *core, tn_task *task, bool to_the_end)
{
    (void)core;
    (void)to_the_end;
    tni_schedule_ready(task);
}

bool tni_schedule_specially(tn_task *task)
{
    (void)task;
    model_check(false); /* the desk holds no core */
    return false;
}

void tni_schedule_push_to_queue(tni_core *core, tn_task *task)
{
    (void)core, (void)task;
    model_check(false); /* as above */
}

void tni_runtime_task_ended_closing(tn_runtime *runtime)
{
    (void)runtime;
}

void tni_runtime_external_begin(tn_runtime *runtime)
{
    (void)runtime;
}
void tni_runtime_external_end(tn_runtime *runtime)
{
    (void)runtime;
}
void tni_runtime_unpin(tn_runtime *runtime)
{
    (void)runtime;
}
void tni_runtime_keep_frames(tn_runtime *runtime, uint32_t count)
{
    (void)runtime, (void)count;
}
void tni_runtime_release_frames(tn_runtime *runtime)
{
    (void)runtime;
}

const tn_allocator *tni_runtime_allocator(const tn_runtime *runtime)
{
    return &runtime->allocator;
}

void tni_core_free_task(const tni_tls *local, tn_task *task)
{
    (void)local;
    model_free(task);
}

void tni_future_set_free(tn_task *task)
{
    (void)task;
    model_check(false); /* no future sets here */
}

void tni_core_arm_timer(tni_core *core, tn_task *task)
{
    (void)core;
    (void)task;
}

void tni_timer_disarm_from(tni_timers *timers, tn_task *task)
{
    (void)timers, (void)task;
}

void tni_runtime_wait_for_stack(tn_runtime *runtime, tn_task *task)
{
    (void)runtime;
    (void)task;
    model_check(false); /* there are always stacks */
}

void tni_runtime_stacks_trim(tn_runtime *runtime, bool all)
{
    (void)runtime, (void)all;
    model_check(false); /* there are always stacks */
}

void tni_runtime_stacks_came_back(tn_runtime *runtime, unsigned count)
{
    (void)runtime;
    (void)count;
}

int tn_yield(void)
{
    return 0;
}

#endif
