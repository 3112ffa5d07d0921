/* SPDX-License-Identifier: MIT */
/* Workers that are inside one task for long: their loop is polled for them, and then their core is given to a replacement
 * thread. See stuck.c. */
#ifndef TNI_STUCK_H
#define TNI_STUCK_H

#include "sched/monitor_state.h"

/* Monitor: looks at a core. `ready`: its loop has something for its worker, if that sleeps there. True: a replacement thread is
 * wanted for it, now or at the next look. *due_ns is lowered to the moment at which the core is to be looked at again. */
bool tni_stuck_observe(tni_core *core, uint64_t now_ns, bool ready, uint64_t *due_ns);

/* stuck_report.c, of the monitor: looks at all workers, and puts into the log which tasks keep their threads. True: it wants to
 * look again, though all cores may be parked. */
bool tni_stuck_report(tn_runtime *runtime, uint64_t now_ns);
/* The last look. */
void tni_stuck_report_end(tn_runtime *runtime);

/* As above: tasks keep their threads, and there may be no more threads. */
void tni_stuck_no_replacement(tn_runtime *runtime, uint64_t now_ns);

#endif
