/* SPDX-License-Identifier: MIT */
/* A blocking call on behalf of a fiber that waits for it: the job lies in the fiber's frame, and nothing is allocated. */
#ifndef TNI_POOL_CALL_H
#define TNI_POOL_CALL_H

#include "pool/done.h"
#include "pool/pool.h"

typedef struct {
    tni_work base;
    tni_done done;
    int error; /* when done: 0: it has run */
} tni_pool_call;

/* What the ops of such a job are; `run`: as in tni_work_ops. */
void tni_pool_call_done(tni_work *job, int error);
/* clang-format off */
#define TNI_POOL_CALL_OPS(run) {(run), tni_pool_call_done}
/* clang-format on */

/* Runs the job and returns when it is done; the caller's frame may be part of it. In a fiber: on a thread of the pool; on a plain
 * thread, and where no thread can be had, in the call. 0: it has run, to its end, or to that of a part if the wait was cut short.
 * TN_ECANCELED, TN_ETIMEDOUT, TN_ESHUTDOWN: it never ran, or, in several parts, not to its end. Suspends. */
int tni_pool_call_run(tni_pool_call *lent, const tni_work_ops *ops, tni_pool_class kind);

/* The same, always on a thread of a pool: in a job on its own, else on one of the pool of `runtime`. TN_EAGAIN: no thread can be
 * had. */
int tni_pool_call_run_on(tn_runtime *runtime, tni_pool_call *lent, const tni_work_ops *ops, tni_pool_class kind);

#endif
