/* SPDX-License-Identifier: MIT */
/* The OS layer for SIGPIPE, on Linux, where sigprocmask is about the calling thread. */
#include "os/os_pipe_signal.h"

#include <errno.h>

static sigset_t only_pipe(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGPIPE);
    return set;
}

void tni_os_pipe_signal_block(tni_os_pipe_signal *self)
{
    sigset_t set = only_pipe();
    sigset_t pending;

    (void)sigprocmask(SIG_BLOCK, &set, &self->mask);
    /* A thread that did not block the signal has none pending. */
    self->was_pending = sigismember(&self->mask, SIGPIPE) == 1 && sigpending(&pending) == 0 &&
                        sigismember(&pending, SIGPIPE) == 1;
}

void tni_os_pipe_signal_restore(const tni_os_pipe_signal *self, bool cut)
{
    static const struct timespec at_once = {0, 0};
    sigset_t set = only_pipe();

    if (cut && !self->was_pending) {
        while (sigtimedwait(&set, NULL, &at_once) < 0 && errno == EINTR)
            ;
    }
    (void)sigprocmask(SIG_SETMASK, &self->mask, NULL);
}
