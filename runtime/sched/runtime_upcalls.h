/* SPDX-License-Identifier: MIT */
/* What a runtime's threads, and the tasks of its groups, call of the code that stops it. runtime_shutdown.c defines it. */
#ifndef TNI_RUNTIME_UPCALLS_H
#define TNI_RUNTIME_UPCALLS_H

#include <tn/runtime.h>

/* No worker is left: frees the runtime, now or when the last handle and waker have been given back. */
void tni_runtime_retire(tn_runtime *runtime);

/* While the waits of abandoned tasks are dropped, or the frames are kept already: they stay until tni_runtime_release_frames has
 * been called `count` times more. After such a call the runtime may be gone. */
void tni_runtime_keep_frames(tn_runtime *runtime, uint32_t count);
void tni_runtime_release_frames(tn_runtime *runtime);

#endif
