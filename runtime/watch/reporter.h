/* SPDX-License-Identifier: MIT */
/* The reporter: a thread that calls the program's functions for reports, tn_options.log and tn_options.on_deadlock, in place of
 * the monitor and of the starter. These functions may block for as long as they want: on a full pipe, or on a lock of stdio that
 * a task holds.
 *
 * The lines of the two threads go into a queue of TNI_REPORTER_LINES. A line that finds it full is dropped and counted, and the
 * count is logged. Deadlocks are counted too, and each is reported. Stuck tasks are reported here whole, because the names of
 * functions are read from files, which may block. There is a slot for one task with a reference, and the monitor chooses no task
 * to report while the slot is taken. The reporter releases the reference: it may be the last one, and then its release may call a
 * function of the program. For the same reason a walk over the tasks gives it those whose last reference is the walk's.
 *
 *   monitor, starter: 1. write the report, under the lock; 2. set a bit of `news` (release); if it was 0: wake the thread
 *   reporter:         1. exchange `news` for 0 (acquire); 2. report what is there; 3. if it was 0, sleep while it is 0; repeat
 *
 * The check for cycles of waits (wait_graph.h) is made here too, because it takes long if there are many tasks. It has a bit of
 * `news` of its own.
 *
 * *No report is lost.* The thread exchanges `news` before it reads the reports, and sleeps only while `news` is 0, which the
 * sleep compares. So a report that is written after it has read them ends the sleep.
 *
 * *At the end* the monitor and the starter have been joined. The stop bit ends the thread at an exchange that finds 0, so when
 * all is reported, and it is joined. So no function of the program is called for a report after tn_runtime_destroy. A task that
 * is stuck inside a walk may give the thread a reference after that. Its worker holds a reference to the runtime, so it has done
 * so before the runtime is retired, and tni_reporter_fini, a step of that, releases what was given late. */
#ifndef TNI_REPORTER_H
#define TNI_REPORTER_H

#include "sched/monitor_state.h"

void tni_reporter_init(tni_reporter *reporter);
/* Called by the thread that retires the runtime: also releases the tasks that were given to the thread after its end. */
void tni_reporter_fini(tn_runtime *runtime);

/* Starts the thread. Returns 0 or a negative errno value. */
int tni_reporter_start(tn_runtime *runtime);
/* Makes the reports that are left, and joins the thread. Does nothing if it was not started. */
void tni_reporter_stop(tn_runtime *runtime);

/* The monitor: makes the reporter report a deadlock. */
void tni_reporter_deadlock(tn_runtime *runtime);

/* The monitor: makes the reporter check for cycles of waits. */
void tni_reporter_check_waits(tn_runtime *runtime);

/* The monitor: whether the slot for a task is free; and gives the reporter a task, while it is: to report it, and to release the
 * reference to it. */
bool tni_reporter_can_take(const tn_runtime *runtime);
void tni_reporter_give(tn_runtime *runtime, tn_task *task, tni_stuck_details stuck);

/* Any thread that keeps the runtime: whether there is a reporter (a current-thread runtime has none); and gives it the last
 * reference to a task. */
bool tni_reporter_takes_last(const tn_runtime *runtime);
void tni_reporter_give_last(tn_runtime *runtime, tn_task *task);

#endif
