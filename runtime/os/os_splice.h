/* SPDX-License-Identifier: MIT */
/* The OS layer for moving bytes between sockets inside the kernel, through a pipe. Errors are negative errno values. */
#ifndef TNI_OS_SPLICE_H
#define TNI_OS_SPLICE_H

#include <sys/types.h>

#include "base/defs.h"

/* Makes a pipe that holds `size` bytes: bytes go into ends[1] and come out of ends[0]. -ENOTSUP: the kernel grants only a smaller
 * one. */
int tni_os_splice_pipe(int ends[2], size_t size);

/* Moves at most `size` bytes from one to the other, one of which is a pipe. It does not wait for the pipe, nor for a socket in
 * non-blocking mode. Returns how many; 0: `from` has ended; -EAGAIN: there is no byte, or no space. If `to` is a socket, it may
 * raise SIGPIPE (os_pipe_signal.h). */
ssize_t tni_os_splice(int from, int to, size_t size);

#endif
