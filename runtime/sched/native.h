/* SPDX-License-Identifier: MIT */
/* Calls a function on the worker's own stack from a fiber: for functions that may need more stack than a fiber has. */
#ifndef TNI_NATIVE_H
#define TNI_NATIVE_H

#include "sched/worker.h"

typedef struct {
    tn_entry_fn fn;
    void *arg;
    void *pool_thread; /* value of tni_tls.pool_thread during the call */
    void *result;      /* the function's result, once it has returned */
} tni_native_call;

/* Makes the call for the calling fiber, on its worker, as the fiber itself would: it is running meanwhile, does not migrate,
 * and may have lost its core when this returns. For the function the thread is a plain one, of no runtime: calls that suspend
 * block the thread. Meanwhile the task's stack is not sampled, and the task is not reported as stuck. */
void tni_native_call_make(tni_native_call *call);

/* The worker, when a fiber has switched to it without leaving: makes the call, and switches back to the fiber. */
void tni_native_run(tni_worker *worker, tn_task *task);

#endif
