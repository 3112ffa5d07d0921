/* SPDX-License-Identifier: MIT */
/* How many workers should be awake at most: as many as the CPU quota of the process allows. README.md ("Fewer processors") has
 * the protocol. The starter reads the quota, because that reads files and allocates. The monitor sets the limit. */
#ifndef TNI_WORKER_LIMIT_H
#define TNI_WORKER_LIMIT_H

#include "base/atomic.h"
#include "sched/worker.h"

typedef struct {
    bool follows;     /* constant: the quota is read again */
    uint64_t read_ns; /* the monitor's: when it was last asked for */
    tni_a32 quota;    /* in processors, rounded up; 0: none. Written by the starter, read by the monitor */
} tni_worker_limit;

/* The quota is followed if `follows`. It was read when the cores were counted. */
void tni_worker_limit_init(tn_runtime *runtime, bool follows);

/* The monitor: makes the starter read the quota, if it is time to. */
void tni_worker_limit_request(tn_runtime *runtime, uint64_t now_ns);

/* The starter: reads the quota. */
void tni_worker_limit_read(tn_runtime *runtime);

/* The monitor: sets the limit. `stuck`: cores below it whose worker a task keeps from others, and no replacement thread will
 * soon have the core. */
void tni_worker_limit_set(tn_runtime *runtime, unsigned stuck);

/* After a full fence: if a queue has work, wakes a worker as a submit does. */
void tni_worker_limit_pass_on(tn_runtime *runtime);

/* Holder, surplus: moves what is queued on the core to the injector, for others. Returns a task that only this worker may run, or
 * NULL. */
tn_task *tni_worker_limit_find(tni_worker *worker, tni_core *core);

#endif
