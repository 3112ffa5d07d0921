/* SPDX-License-Identifier: MIT */
/* What the code of task headers calls of the folders above it: defined in schedule.c, core.c, runtime.c, runtime_reference.c and
 * runtime_shutdown.c. */
#ifndef TNI_TASK_UPCALLS_H
#define TNI_TASK_UPCALLS_H

#include <tn/runtime.h>

/* Queues a task that has just become ACTIVE by a wake, from any thread. */
void tni_schedule_ready(tn_task *task);

/* The header of a task that has ended goes back to the slab that it came from. */
void tni_core_free_task(tn_task *task);

/* Is the calling thread one of the runtime's workers? They keep it from being retired. */
bool tni_runtime_owns_caller(const tn_runtime *runtime);

/* Anyone else, who is kept by a waker or handle until it gives that back: retiring waits for the guests that are inside. */
void tni_runtime_external_begin(tn_runtime *runtime);
void tni_runtime_external_end(tn_runtime *runtime);

/* A header that outlived destroy has been given back. */
void tni_runtime_unpin(tn_runtime *runtime);

/* What the runtime allocates with. */
const tn_allocator *tni_runtime_allocator(const tn_runtime *runtime);

#endif
