/* The monitor: a thread that looks after cores whose worker is inside one task for long. See monitor.c. */
#ifndef TNI_MONITOR_H
#define TNI_MONITOR_H

#include "prim.h"
#include "tn_task.h"

typedef struct {
    tni_thread thread;
    bool started;
    tni_cache_aligned tni_a32 resting; /* 1: it sleeps for good; whoever starts to work wakes it */
    tni_a32 stop;
} tni_monitor;

/* Before any worker runs. */
void tni_monitor_init(tni_monitor *monitor);

/* 0 or a negative errno value. */
int tni_monitor_start(tn_runtime *runtime);
/* Stops and joins it; nothing happens if it was not started. */
void tni_monitor_stop(tn_runtime *runtime);

/* A worker leaves its park: if the monitor rests, it is woken. */
void tni_monitor_notice(tn_runtime *runtime);

#endif
