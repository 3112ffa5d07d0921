/* SPDX-License-Identifier: MIT */
/* On which processors workers run, with tn_options.worker_cpus. A thread that was started for a core runs on the core's
 * processor. Once it has lost the core, it runs on all of them, as a replacement thread does: the replacement and the thread
 * that is stuck in its task would otherwise share one processor while others are free. */
#ifndef TNI_WORKER_CPUS_H
#define TNI_WORKER_CPUS_H

#include "sched/runtime.h"

/* Checks the option and copies the list into the runtime. Returns 0, TN_EINVAL (logged) or TN_ENOMEM. */
int tni_worker_cpus_init(tn_runtime *runtime, const tn_options *options);
void tni_worker_cpus_fini(tn_runtime *runtime);

/* The calling thread is that of `worker`: binds it, when it begins and when it waits for a core. */
void tni_worker_bind(tni_worker *worker);
void tni_worker_roam(tni_worker *worker);

#endif
