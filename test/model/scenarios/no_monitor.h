/* SPDX-License-Identifier: MIT */
/* In place of monitor.c: a runtime without a monitor. The scenario makes the checks itself, or leaves them out. */
#ifndef NO_MONITOR_H
#define NO_MONITOR_H

#include "watch/monitor.h"

void tni_monitor_init(tni_monitor *monitor)
{
    (void)monitor;
}

int tni_monitor_start(tn_runtime *runtime)
{
    (void)runtime;
    return 0;
}

void tni_monitor_stop(tn_runtime *runtime)
{
    (void)runtime;
}

void tni_monitor_fini(tni_monitor *monitor)
{
    (void)monitor;
}

void tni_monitor_notice(tn_runtime *runtime)
{
    (void)runtime;
}

#endif
