/* SPDX-License-Identifier: MIT */
/* The end of a runtime: functions of a higher folder that the runtime's threads and the tasks of its groups call. They are
 * defined in runtime_shutdown.c. */
#ifndef TNI_RUNTIME_UPCALLS_H
#define TNI_RUNTIME_UPCALLS_H

#include <tn/runtime.h>

/* Called when no worker is left: frees the runtime, now or when the last handle and waker have been given back. */
void tni_runtime_retire(tn_runtime *runtime);

/* Keeps the frames of abandoned tasks until tni_runtime_release_frames has been called `count` more times. Allowed while the
 * waits of abandoned tasks are dropped, or while the frames are kept already. After a call of tni_runtime_release_frames the
 * runtime may be gone. */
void tni_runtime_keep_frames(tn_runtime *runtime, uint32_t count);
void tni_runtime_release_frames(tn_runtime *runtime);

#endif
