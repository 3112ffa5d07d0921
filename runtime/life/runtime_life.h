/* SPDX-License-Identifier: MIT */
/* Stopping the threads of a runtime: shared by the creation, when it fails, and by the shutdown. */
#ifndef TNI_RUNTIME_LIFE_H
#define TNI_RUNTIME_LIFE_H

#include "sched/runtime.h"
#include "sched/runtime_upcalls.h"

/* Stops the monitor and all workers. `all`: waits until every worker thread has ended. Otherwise those that stay inside a task
 * are detached; the last one frees the runtime. */
void tni_runtime_stop(tn_runtime *runtime, bool all);

#endif
