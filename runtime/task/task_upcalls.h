/* SPDX-License-Identifier: MIT */
/* Functions of higher folders that the code for task headers calls. They are defined in schedule.c, core.c, runtime.c,
 * runtime_reference.c and runtime_shutdown.c. */
#ifndef TNI_TASK_UPCALLS_H
#define TNI_TASK_UPCALLS_H

#include <tn/runtime.h>

struct tni_tls;

/* Queues a task that a wake has just made ACTIVE. Any thread. */
void tni_schedule_ready(tn_task *task);

/* Returns the header of a task that has ended to the slab that it came from. `local`: of the calling thread. */
void tni_core_free_task(const struct tni_tls *local, tn_task *task);

/* Called around each use of the runtime by a thread that is no worker of it (tni_tls_is_worker_of), because that thread gives up
 * the waker or handle that keeps the runtime. Retiring waits until each begin has been followed by its end. */
void tni_runtime_external_begin(tn_runtime *runtime);
void tni_runtime_external_end(tn_runtime *runtime);

/* Called when the last reference to a header that outlived tn_runtime_destroy has been released. */
void tni_runtime_unpin(tn_runtime *runtime);

/* The allocator of the runtime. */
const tn_allocator *tni_runtime_allocator(const tn_runtime *runtime);

#endif
