/* SPDX-License-Identifier: MIT */
/* A blocking call on behalf of a fiber that waits for it: the job is in the fiber's frame, and nothing is allocated. */
#ifndef TNI_POOL_CALL_H
#define TNI_POOL_CALL_H

#include "pool/done.h"
#include "pool/pool.h"

typedef struct {
    tni_work base;
    tni_done done;
    int error; /* valid when done; 0: the job has run */
} tni_pool_call;

/* The operations of such a job; `run`: as in tni_work_ops. */
void tni_pool_call_done(tni_work *job, int error);
/* clang-format off */
#define TNI_POOL_CALL_OPS(run) {(run), tni_pool_call_done}
/* clang-format on */

/* Runs the job and returns when it is done; the job may be in the caller's frame. In a fiber it runs on a thread of the pool.
 * On a plain thread and in a job the caller runs it; if no thread can be started, the fiber's worker does, on its own stack. 0:
 * the job has run to its end, or to the end of a part if the wait was cut short. TN_ECANCELED, TN_ETIMEDOUT, TN_ESHUTDOWN: the
 * job never ran, or only some of its parts did. TN_ENOMEM, for TNI_POOL_JOBS: it never ran. Suspends. */
int tni_pool_call_run(tni_pool_call *call, const tni_work_ops *ops, tni_pool_class kind);

/* As tni_pool_call_run, but always on a pool thread: in a job on its own thread, else on one of the pool of `runtime`. Also
 * TN_EAGAIN: no thread can be started. */
int tni_pool_call_run_on(tn_runtime *runtime, tni_pool_call *call, const tni_work_ops *ops, tni_pool_class kind);

#endif
