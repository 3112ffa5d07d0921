/* SPDX-License-Identifier: MIT */
/* The OS layer for SIGPIPE: a write to a pipe or socket without a reader, on a thread that does not block the signal. Where the
 * kernel has a flag against it (MSG_NOSIGNAL) that is used instead. */
#ifndef TNI_OS_PIPE_SIGNAL_H
#define TNI_OS_PIPE_SIGNAL_H

#include <signal.h>

#include "base/defs.h"

typedef struct {
    sigset_t mask; /* of the thread, at the begin */
    bool was_pending;
} tni_os_pipe_signal;

/* Between the two, SIGPIPE is not delivered to the calling thread. `cut`: a write in between has failed, or written less than it
 * was given: the kernel sends the signal also if the reader left after a part. Then it is taken back, and one that was pending
 * before stays pending. The kernel sends it to the thread that writes, so no other thread can receive it. */
void tni_os_pipe_signal_block(tni_os_pipe_signal *self);
void tni_os_pipe_signal_restore(const tni_os_pipe_signal *self, bool cut);

#endif
