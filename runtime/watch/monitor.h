/* SPDX-License-Identifier: MIT */
/* The monitor: a thread that checks for cores whose worker is inside one task for long. See monitor.c. */
#ifndef TNI_MONITOR_H
#define TNI_MONITOR_H

#include "sched/monitor_state.h"

/* Call it before any worker runs. */
void tni_monitor_init(tni_monitor *monitor);

/* Starts the thread. Returns 0 or a negative errno value. */
int tni_monitor_start(tn_runtime *runtime);
/* Stops and joins the thread. Does nothing if it was not started. */
void tni_monitor_stop(tn_runtime *runtime);
/* Call it when no thread of the runtime is left: until then one may be about to wake the monitor. */
void tni_monitor_fini(tni_monitor *monitor);

#endif
