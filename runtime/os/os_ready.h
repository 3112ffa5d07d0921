/* SPDX-License-Identifier: MIT */
/* The OS layer for files whose reads and writes may wait for another party: pipes, FIFOs, terminals and the like. Errors are
 * negative errno values. Fault injection and the simulator replace the functions of this header and nothing else. */
#ifndef TNI_OS_READY_H
#define TNI_OS_READY_H

#include <sys/types.h>
#include <sys/uio.h>

#include "base/defs.h"

/* Returns a new descriptor that is readable while a read (`writes`: a write) of `fd` need not wait. It changes nothing about
 * `fd`, not even its mode. -EPERM: the kernel cannot watch this file, because it is always ready. */
int tni_os_watch(int fd, bool writes);

/* Waits until a read (`writes`: a write) of `fd` need not wait, or would fail. For a thread that may block. */
int tni_os_wait_ready(int fd, bool writes);

/* As tni_os_readv and tni_os_writev, but -EAGAIN where those would wait for another party. A write may be short. There is one
 * exception, for a descriptor in blocking mode of a kind for which the kernel has no calls that do not wait. If another reader
 * takes the data between the check and the read, the read waits. */
ssize_t tni_os_readv_now(int fd, const struct iovec *iov, int count);
ssize_t tni_os_writev_now(int fd, const struct iovec *iov, int count);
ssize_t tni_os_preadv_now(int fd, const struct iovec *iov, int count, int64_t offset);
ssize_t tni_os_pwritev_now(int fd, const struct iovec *iov, int count, int64_t offset);

/* Whether a process has the FIFO `fd`, which was opened for reading in non-blocking mode, open for writing, or had it since. If
 * the kernel does not report that, only data and hang-ups count. */
bool tni_os_fifo_has_writer(int fd);

bool tni_os_is_terminal(int fd);

/* Sets or clears the non-blocking mode. Of a descriptor without that mode nothing changes. */
void tni_os_set_nonblocking_mode(int fd, bool on);

#endif
