/* SPDX-License-Identifier: MIT */
/* A call on the worker's own stack, out of a fiber: for functions that may want more stack than that has. */
#ifndef TNI_NATIVE_H
#define TNI_NATIVE_H

#include "sched/worker.h"

typedef struct {
    tn_entry_fn fn;
    void *arg;
    void *pool_thread; /* what tni_tls.pool_thread is meanwhile */
    void *result;      /* when it has returned */
} tni_native_call;

/* The calling fiber, on a worker, makes the call, as it would itself: it is running meanwhile, does not migrate, and may have
 * lost its core when this returns. For the function the thread is a plain one, of no runtime: calls that suspend block it. It is
 * not asked for its stack, and not reported as stuck. */
void tni_native_call_make(tni_native_call *call);

/* The worker, when a fiber has come back to it that has not left: makes the call, and goes on there. */
void tni_native_run(tni_worker *worker, tn_task *task);

#endif
