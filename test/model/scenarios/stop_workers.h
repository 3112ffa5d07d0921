/* SPDX-License-Identifier: MIT */
/* For scenarios whose last task stops the workers, so that destroy finds them ended. */
#ifndef TN_MODEL_STOP_WORKERS_H
#define TN_MODEL_STOP_WORKERS_H

#include "sched/runtime.h"
#include "sched/worker.h"

/* Like stop_threads in runtime_shutdown.c. */
static inline void stop_workers(tn_runtime *runtime)
{
    tni_os_mutex_lock(&runtime->lock);
    tni_a32_store(&runtime->stopping, 1, TNI_RELEASE);
    for (tni_worker *worker = runtime->workers; worker != NULL; worker = worker->next_worker)
        tni_worker_unpark(worker);
    tni_os_mutex_unlock(&runtime->lock);
}

#endif
