/* SPDX-License-Identifier: MIT */
/* Timers of tasks: one wheel per core, behind a short lock of its own.
 *
 * A task has one timer node. A poll records in task->deadline_ns the earliest time at which it must be polled again. When the
 * run ends suspended, the node is armed once, in the wheel of the core on which the task ran. A node that is armed for an
 * earlier or the same time stays where it is: it fires early, the task is polled, and the deadline is armed again. So a
 * deadline that is not reached, and one whose operation never suspends, cost no wheel operation.
 *
 * States: task->armed_in names the timers whose wheel holds the node; NULL: no wheel holds it. Only the task's own run sets
 * it. The thread that removes the node clears it, under that wheel's lock. So a run that reads NULL may arm without that
 * lock, and a run that reads another value takes that lock and reads again. Lifetime: an armed node belongs to a task that
 * has not ended, because the end disarms it under the lock. Firing removes the node and takes a reference to the task under
 * the lock, then wakes the task without the lock.
 *
 * The lock is held for O(1) work, or for TNI_TIMER_BATCH nodes when timers fire. It is never held while the loop sleeps:
 * arming and cancelling from another core do not wait for the loop. */
#ifndef TNI_TIMER_H
#define TNI_TIMER_H

#include "base/atomic.h"
#include "base/thread.h"
#include "task/task.h"
#include "time/wheel.h"

typedef struct {
    tni_cache_aligned tni_os_mutex lock;
    tni_wheel wheel;            /* lock */
    uint64_t sleeping_until_ns; /* lock: the core's worker sleeps until then; 0: it does not sleep */
    tni_a64 next_ns;            /* written under the lock: no timer fires before then; 0: the wheel must be advanced */
} tni_timers;

void tni_timers_init(tni_timers *timers);
void tni_timers_fini(tni_timers *timers);

/* Called by the scheduler after a run that suspended and before tni_task_rest: arms the task's node for task->deadline_ns in
 * `timers`, unless it fires in time where it is. True: the worker that sleeps until the next of these timers now sleeps too
 * long; the caller wakes it. */
bool tni_timer_arm(tni_timers *timers, tn_task *task);

/* For the task's own run: whether its node is in a wheel. False: it was never armed, or has fired. */
static inline bool tni_timer_is_armed(const tn_task *task)
{
    /* Relaxed: a hint; the next run sees a node that fires at this moment. */
    return tni_aptr_load(&task->armed_in, TNI_RELAXED) != NULL;
}

/* Called by the scheduler when the task ends: removes its node from the wheel that it was in. */
void tni_timer_disarm_from(tni_timers *timers, tn_task *task);

/* The same, if it is in one. */
static inline void tni_timer_disarm(tn_task *task)
{
    /* Observes that the node was removed and that the remover has finished with it; partner: remove_node_locked. */
    tni_timers *armed = tni_aptr_load(&task->armed_in, TNI_ACQUIRE);

    if (tni_unlikely(armed != NULL))
        tni_timer_disarm_from(armed, task);
}

/* Wakes the tasks whose deadline has passed; returns how many. Called by each thread that polls the core's loop. *late_ns: if any
 * was woken, how late the earliest of them was; may be NULL. */
unsigned tni_timers_fire(tni_timers *timers, uint64_t now_ns, uint64_t *late_ns);

/* Called when the core's worker is about to sleep: returns the end of the sleep (TNI_FOREVER: no timer). A thread that arms an
 * earlier timer wakes it. The end may be the start of a slot in which no timer is due yet. So after the sleep tni_timers_awake
 * must be called in any case, and then tni_timers_fire. */
uint64_t tni_timers_sleep(tni_timers *timers);
/* Whether the core's worker sleeps, has not begun to fire timers since, and has no timer armed. */
bool tni_timers_sleep_for_good(tni_timers *timers);
/* Called when the worker has stopped sleeping: makes the next tni_timers_fire advance the wheel to the present, even if no
 * timer is due. */
void tni_timers_awake(tni_timers *timers);

#endif
