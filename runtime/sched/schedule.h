/* SPDX-License-Identifier: MIT */
/* Queueing runnable tasks, and choosing the next task of a worker. README.md ("Queues") has the order and the reasons. */
#ifndef TNI_SCHEDULE_H
#define TNI_SCHEDULE_H

#include "sched/runtime.h"
#include "task/task.h"
#include "task/task_upcalls.h"

/* For tni_schedule_push, within a batch or if the LIFO slot is not empty. */
void tni_schedule_push_to_queue(tni_core *core, tn_task *task);

/* Holder: queues a new or woken task on the core: in the LIFO slot, or at the end of the run queue within a batch. Inline,
 * because a call costs more than the path through an empty slot. */
static inline void tni_schedule_push(tni_core *core, tn_task *task)
{
    tni_core_assert_holder(core);
    tni_meter_queued(&core->meter, &core->sampler, task);
    /* Relaxed: only the holder fills the slot, so an empty slot stays empty. */
    if (tni_likely(!core->batching && tni_aptr_load(&core->lifo_slot, TNI_RELAXED) == NULL))
        /* Release: publishes the task to a thief; partner: steal_lifo_slot. */
        tni_aptr_store(&core->lifo_slot, task, TNI_RELEASE);
    else
        tni_schedule_push_to_queue(core, task);
}

/* The rest of tni_schedule_elsewhere. It also notes the time for a task that is accounted. */
bool tni_schedule_specially(tn_task *task);

/* Queues a task that no queue of a core may hold: a thread's, a member of a set, a pinned one. False: a queue of a core may. */
static inline bool tni_schedule_elsewhere(tn_task *task)
{
    return tni_unlikely(task->kind >= TNI_TASK_THREAD || task->pinned_worker != NULL || task->runtime->special_wakes) &&
           tni_schedule_specially(task);
}

/* Holder: tni_schedule_ready for a task of this runtime. */
static inline void tni_schedule_ready_on(tni_core *core, tn_task *task)
{
    if (!tni_schedule_elsewhere(task))
        tni_schedule_push(core, task);
}

/* Queues a task again that yielded (`to_the_end`), or was woken while it ran. `core`: the core on which it ran, or NULL. */
void tni_schedule_requeue(tni_core *core, tn_task *task, bool to_the_end);

/* Any thread: queues `count` tasks, linked from `first` to `last`, in the injector, and wakes a worker if one is needed. */
void tni_schedule_inject(tn_runtime *runtime, tn_task *first, tn_task *last, unsigned count);

/* For tni_schedule_next, if the LIFO slot is empty or its task has to wait: that goes to the end of the run queue. */
tn_task *tni_schedule_next_from_queues(tni_core *core);

/* Holder: the number of tasks in the run queue. */
static inline unsigned tni_schedule_backlog(const tni_core *core)
{
    tni_core_assert_holder(core);
    /* Relaxed: written by the holder, which is the caller. */
    return tni_deque_length(&core->queues[tni_a32_load(&core->serving, TNI_RELAXED)]);
}

/* Whether the task of the LIFO slot comes before the run queue. A task in the queue waits for at most TNI_LIFO_STREAK_MAX runs
 * out of the slot before a run takes from the queue, because this does not reset the streak while the queue has a task. */
static inline bool tni_schedule_is_lifo_first(tni_core *core)
{
    if (core->lifo_streak < TNI_LIFO_STREAK_MAX)
        return true;
    if (tni_schedule_backlog(core) > 0)
        return false;
    core->lifo_streak = 0; /* no task has waited; the length is not computed again before the next limit */
    return true;
}

/* Holder: empties the LIFO slot. Returns its task, or NULL if a thief was faster. */
static inline tn_task *tni_schedule_take_lifo_slot(tni_core *core)
{
    /* Acquire: observes the task, which an earlier holder of this core may have put there; partner: tni_schedule_push. */
    return tni_aptr_exchange(&core->lifo_slot, NULL, TNI_ACQUIRE);
}

/* Holder: takes the next task without a search: from the LIFO slot, the run queue, the injector, or the queue of tasks that
 * yielded. NULL: none. Inline, because most tasks of a busy core come from the LIFO slot. */
static inline tn_task *tni_schedule_next(tni_core *core)
{
    tn_task *task;

    tni_core_assert_holder(core);
    /* Relaxed: only the holder fills the slot; a thief may empty it, and the exchange decides. */
    if (tni_likely(tni_aptr_load(&core->lifo_slot, TNI_RELAXED) != NULL) && tni_schedule_is_lifo_first(core)) {
        task = tni_schedule_take_lifo_slot(core);
        if (tni_likely(task != NULL)) {
            core->lifo_streak++;
            return task;
        }
    }
    return tni_schedule_next_from_queues(core);
}

/* Holder, once per period: appends the tasks that yielded to the run queue. Otherwise a queue that is never empty, or a LIFO
 * slot that is always filled, could starve them. */
void tni_schedule_requeue_yielded(tni_core *core);

/* Holder, once per period: appends a share of the injector, at most `max` tasks, to the run queue. If the queue has no capacity
 * for twice the share, its tasks that are newer than the last share go to the injector first. */
void tni_schedule_append_injected(tni_core *core, unsigned max);

/* Holder: takes a share of the injector, at most `max` tasks. Returns the oldest of them, or NULL, and queues the others. */
tn_task *tni_schedule_take_injected(tni_core *core, unsigned max);

/* Holder, searching: takes tasks from other cores. Returns one, or NULL, and queues the others. */
tn_task *tni_schedule_steal(tni_core *core);

/* Any thread: moves the tasks that are queued on a core to the injector, because its worker does not run them. Wakes no
 * worker. */
void tni_schedule_evacuate(tni_core *core);

/* Whether any queue from which a thief takes has a task. Call it after a full fence. */
bool tni_schedule_any_work(const tn_runtime *runtime);

/* Called after a submit: makes a full fence, and wakes a worker if one is needed. */
void tni_schedule_wake_one(tn_runtime *runtime);

/* Holder: between begin and end, queueing a task wakes no worker. The end makes one wake decision for all of them. */
void tni_schedule_batch_begin(tni_core *core);
void tni_schedule_batch_end(tni_core *core);

#endif
