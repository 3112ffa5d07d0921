/* SPDX-License-Identifier: MIT */
/* For the tests of waits for descriptors of other libraries. */
#ifndef FD_SUPPORT_H
#define FD_SUPPORT_H

#include <sys/socket.h>
#include <unistd.h>

#include <tn.h>

#include "support/runtime.h"
#include "task/task.h"

static inline void fd_pair(int fds[2])
{
    tt_check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
}

static inline void fd_close_pair(const int fds[2])
{
    tt_check_eq(close(fds[0]), 0);
    tt_check_eq(close(fds[1]), 0);
}

/* In a fiber: until `task` has suspended for the first time, or has ended. */
static inline void fd_await_rest(const tn_task *task)
{
    while ((tni_a64_load(&task->state, TNI_ACQUIRE) & (TNI_TASK_ACTIVE | TNI_TASK_COMPLETE)) == TNI_TASK_ACTIVE)
        tt_check_eq(tn_sleep(TN_MS), 0);
}

#endif
