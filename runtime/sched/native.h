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

/* Makes the call for the calling fiber, on its worker, as if the fiber made it. The fiber counts as running meanwhile and does
 * not migrate; its worker may have lost its core when this returns. For the function, the thread is a plain thread of no
 * runtime, so calls that suspend block the thread. Meanwhile the task's stack is not sampled, and the task is not reported as
 * stuck. */
void tni_native_call_make(tni_native_call *call);

/* Called by the worker when a fiber has switched to it to make a call, not to suspend: makes the call, and switches back to the
 * fiber. */
void tni_native_run(tni_worker *worker, tn_task *task);

#endif
