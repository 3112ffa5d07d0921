/* SPDX-License-Identifier: MIT */
/* Workers that are inside one task for long: the monitor polls their loop for them, and then gives their core to a replacement
 * thread. See stuck.c. */
#ifndef TNI_STUCK_H
#define TNI_STUCK_H

#include "sched/monitor_state.h"

/* Called by the monitor: checks a core. `ready`: its worker is parked, and its loop has something for it. True: a replacement
 * thread is wanted for the core, now or at the next check. Lowers *due_ns to the time at which the core must be checked
 * again. */
bool tni_stuck_observe(tni_core *core, uint64_t now_ns, bool ready, uint64_t *due_ns);

/* Called by the monitor, in stuck_report.c: checks all workers, and logs the tasks that keep their threads. True: it must be
 * called again, even if all cores are parked. */
bool tni_stuck_report(tn_runtime *runtime, uint64_t now_ns);
/* Called when the monitor ends: gives up the report in progress. */
void tni_stuck_report_end(tn_runtime *runtime);
/* Called by the reporter: logs what the monitor has found. `task` is borrowed. */
void tni_stuck_report_print(tn_runtime *runtime, const tn_task *task, tni_stuck_details stuck);

/* Called by the monitor: logs that tasks keep their threads, and that no more replacement threads may be started. */
void tni_stuck_no_replacement(tn_runtime *runtime, uint64_t now_ns);

#endif
