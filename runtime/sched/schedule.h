/* SPDX-License-Identifier: MIT */
/* Where runnable tasks go, and where a worker gets the next one from. README.md ("Queues") says in which order and why. */
#ifndef TNI_SCHEDULE_H
#define TNI_SCHEDULE_H

#include "sched/core.h"
#include "task/task_upcalls.h"

/* Holder: queues a new or woken task on the core: into the LIFO slot, or behind the queue while a batch is handed out. */
void tni_schedule_push(tni_core *core, tn_task *task);

/* Queues a task again that yielded (`to_the_end`), or was woken while it ran. `core`: the one it ran on, or NULL. */
void tni_schedule_requeue(tni_core *core, tn_task *task, bool to_the_end);

/* Queues tasks from outside any core: `count` of them, linked from `first` to `last`. */
void tni_schedule_inject(tn_runtime *runtime, tn_task *first, tn_task *last, unsigned count);

/* Holder: the next task of this core's own: LIFO slot, queue, injector, those that yielded. NULL: none. */
tn_task *tni_schedule_next(tni_core *core);

/* Holder: tasks that wait in the queue that is being served. */
static inline unsigned tni_schedule_backlog(const tni_core *core)
{
    /* Relaxed: written by the holder, that is us. */
    return tni_deque_length(&core->queues[tni_a32_load(&core->serving, TNI_RELAXED)]);
}

/* Holder, once a period: the tasks that yielded go behind the queue, so that neither a queue that never runs empty nor a LIFO
 * slot that is always filled can starve them. */
void tni_schedule_requeue_yielded(tni_core *core);

/* Holder, once a period: appends a share of the injector, at most `max` tasks, to the queue. A queue without room for them, and
 * as many again, first sends those of its tasks to the injector that are newer than the last share. */
void tni_schedule_append_injected(tni_core *core, unsigned max);

/* Holder: takes a share of the injector, at most `max` tasks, into the queue. Returns the oldest of them, or NULL. */
tn_task *tni_schedule_take_injected(tni_core *core, unsigned max);

/* Holder, searching: takes tasks from other cores. NULL: none found. */
tn_task *tni_schedule_steal(tni_core *core);

/* Anyone: moves what waits on a core to the injector, for its worker does not come to it. Wakes nobody. */
void tni_schedule_evacuate(tni_core *core);

/* Is anything to be had anywhere but in a LIFO slot? Behind a full fence. */
bool tni_schedule_any_work(const tn_runtime *runtime);

/* After a submit: wakes a worker if one is needed. */
void tni_schedule_wake_one(tn_runtime *runtime);

/* Holder: between begin and end tasks are queued without a wake each; the end makes one decision for all. */
void tni_schedule_batch_begin(tni_core *core);
void tni_schedule_batch_end(tni_core *core);

#endif
