/* SPDX-License-Identifier: MIT */
/* Timers of tasks: a wheel a core behind a short lock of its own.
 *
 * A task has one timer node. Polls leave the earliest moment they want to be polled again in task->deadline_ns; when the run
 * ends suspended, the node is armed once, in the wheel of the core it ran on. A node that is armed for an earlier or the same
 * moment stays as it is: it goes off early, the task is polled, and the deadline is armed anew. So a deadline that is not
 * reached, and one that never suspends, cost no wheel operation at all.
 *
 * Words: task->armed_in says whose wheel holds the node. The task's own run sets it (nobody else arms it); whoever takes the
 * node out of the wheel clears it, under that wheel's lock. So the run that reads NULL may arm freely, and the run that reads a
 * core takes that core's lock and looks again. Lifetime: an armed node belongs to a task that has not ended: the end disarms it
 * under the lock. Going off takes the node out and a reference to the task under the lock, then wakes without it.
 *
 * The lock is held for O(1) work, or for TNI_TIMER_BATCH nodes when timers go off, and never over a loop's sleep: arming and
 * cancelling from another core do not wait for the loop.
 */
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
    tni_a64 next_ns;            /* written under the lock: no timer goes off before; 0: the wheel is to be moved on */
} tni_timers;

void tni_timers_init(tni_timers *timers);
void tni_timers_fini(tni_timers *timers);

/* Scheduler, after a run that suspended and before tni_task_rest: arms the task's node for task->deadline_ns, in `timers`, unless
 * it goes off in time where it is. True: the worker that sleeps until the next of these timers sleeps too long now; the caller
 * wakes it. */
bool tni_timer_arm(tni_timers *timers, tn_task *task);

/* For the task's own run: is its node in a wheel? False: it was never armed, or has gone off. */
static inline bool tni_timer_is_armed(const tn_task *task)
{
    /* Relaxed: a hint; one that goes off just now is seen by the next run. */
    return tni_aptr_load(&task->armed_in, TNI_RELAXED) != NULL;
}

/* Scheduler, when the task ends: its node is in no wheel afterwards. */
void tni_timer_disarm(tn_task *task);

/* Wakes the tasks whose time has come; answers how many. Whoever polls the core's loop calls it. */
unsigned tni_timers_fire(tni_timers *timers, uint64_t now_ns);

/* The core's worker is about to sleep: returns until when it may (TNI_FOREVER: no timer). Whoever arms an earlier one wakes it.
 * That may be the start of a slot, when no timer goes off: tni_timers_awake follows in any case, then tni_timers_fire. */
uint64_t tni_timers_sleep(tni_timers *timers);
/* Does the core's worker sleep (nor has begun to fire timers since), and is no timer set? */
bool tni_timers_sleep_for_good(tni_timers *timers);
/* It does not sleep any more. The next tni_timers_fire moves the wheel on to its time, whether a timer is due or not. */
void tni_timers_awake(tni_timers *timers);

#endif
