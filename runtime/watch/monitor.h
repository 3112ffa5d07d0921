/* SPDX-License-Identifier: MIT */
/* The monitor: a thread that looks after cores whose worker is inside one task for long. See monitor.c. */
#ifndef TNI_MONITOR_H
#define TNI_MONITOR_H

#include "sched/monitor_state.h"

/* Before any worker runs. */
void tni_monitor_init(tni_monitor *monitor);

/* 0 or a negative errno value. */
int tni_monitor_start(tn_runtime *runtime);
/* Stops and joins it; nothing happens if it was not started. */
void tni_monitor_stop(tn_runtime *runtime);
/* When no thread of the runtime is left: until then one may be about to wake the monitor. */
void tni_monitor_fini(tni_monitor *monitor);

#endif
