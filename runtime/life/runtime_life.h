/* SPDX-License-Identifier: MIT */
/* Stopping the threads of a runtime: shared by the creation, when it fails, and by the shutdown. */
#ifndef TNI_RUNTIME_LIFE_H
#define TNI_RUNTIME_LIFE_H

#include "sched/runtime.h"
#include "sched/runtime_upcalls.h"

/* Stops the monitor and all workers, and waits at most `timeout_ns` for workers that are inside a task. */
void tni_runtime_stop(tn_runtime *runtime, uint64_t timeout_ns);

#endif
