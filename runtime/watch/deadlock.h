/* SPDX-License-Identifier: MIT */
/* Deadlock reports: tasks that wait for each other for ever. See deadlock.c. */
#ifndef TNI_DEADLOCK_H
#define TNI_DEADLOCK_H

#include <tn/runtime.h>

/* Called by the monitor when all workers are parked. Reports a deadlock if there is one and a report is wanted. */
void tni_deadlock_check(tn_runtime *runtime);

/* Called by the reporter: calls on_deadlock, or logs the report. */
void tni_deadlock_report(tn_runtime *runtime);

#endif
