/* A call on the worker's own stack, out of a fiber: for functions that are not the fiber's, and may want more stack than it has. */
#ifndef TNI_NATIVE_H
#define TNI_NATIVE_H

#include "worker.h"

struct tni_native_call {
    tn_entry_fn fn;
    void *arg;
    void *pool_thread; /* what tni_local.pool_thread is meanwhile */
    void *result;      /* when it has returned */
};

/* The calling fiber, on a worker, makes the call, as it would itself: it is running meanwhile, and does not migrate. For the
 * function the thread is a plain one, of no runtime: calls that suspend block it. So the core is declared as blocked
 * (tn_block_begin), and may be gone when this returns. */
void tni_native_call_make(tni_native_call *call);

/* The worker, when a fiber has come back to it that has not left: makes the call, and goes on there. */
void tni_native_serve(tni_worker *worker, tn_task *task);

#endif
