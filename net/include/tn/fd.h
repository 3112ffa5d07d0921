/* SPDX-License-Identifier: MIT */
/* tournant: waiting for descriptors of other libraries: database clients, HTTP clients, pipes, timers, notifications. */
#ifndef TN_FD_H
#define TN_FD_H

#include <tn/future.h>
#include <tn/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A library that does its own reads and writes, such as libpq, libcurl or hiredis, says which descriptor it waits for. The
 * calls below wait for it in its place:
 *
 *     while ((status = PQconnectPoll(connection)) == PGRES_POLLING_READING)
 *         rc = tn_fd_wait(PQsocket(connection), TN_FD_READABLE);
 *
 * A descriptor is borrowed. It is never read, written, changed or closed. It may be a socket, a pipe, a terminal, an
 * eventfd, a timerfd, a pidfd, an inotify, netlink or epoll descriptor, in blocking mode or not. It may not be that of a
 * tn_stream that is closed during the wait.
 *
 * A wait has the meaning of poll(2): it returns when the descriptor is ready, whatever has been read or written in between.
 * Nothing is remembered from one wait to the next. So a library may close a descriptor between two waits, and open another
 * one with the same number, without a word. Pass the number anew to each wait.
 *
 * A descriptor may be closed while a task waits for it only after tn_fd_forget. Otherwise the wait goes on until the
 * deadline of its scope, or for ever, because the kernel reports nothing about it any more. Another file with the number
 * does not end it.
 *
 * Several tasks may wait for one descriptor, for the same or different events. */

/* Events, with the values of poll(2): POLLIN, POLLPRI, POLLOUT, POLLERR, POLLHUP. */
enum {
    TN_FD_READABLE = 1, /* a read does not wait: data, the end, or a connection to accept */
    TN_FD_PRIORITY = 2, /* urgent data of a socket, or what else POLLPRI stands for */
    TN_FD_WRITABLE = 4, /* a write of some bytes does not wait; a connect has ended */
    TN_FD_ERROR = 8,    /* an error, or the read end of a pipe is closed; always waited for */
    TN_FD_HANGUP = 16,  /* the other end is gone; always waited for */
};

/* A future that is ready when the descriptor is. Its result is the events that are ready: those asked for, and TN_FD_ERROR and
 * TN_FD_HANGUP. Its errors are those of tn_fd_wait, and TN_ECANCELED only by tn_fd_forget. */
typedef struct tn_fd_future {
    tn_future base;
    tn_runtime *runtime; /* that waits */
    int fd;
    unsigned events;
    uint64_t opaque[6]; /* private */
} tn_fd_future;

/* Prepares `future` to wait until `fd` is ready for one of `events`: TN_FD_READABLE, TN_FD_PRIORITY, TN_FD_WRITABLE, added
 * up; 0: only for an error or a hang-up. Nothing happens until it is polled. `runtime`: NULL for that of the task that polls
 * it; required if a plain thread awaits it.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the memory is the caller's. The descriptor is borrowed until the future is ready or dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_fd_init(tn_fd_future *future, tn_runtime *runtime, int fd, unsigned events);

/* Waits until `fd` is ready for one of `events`, as in tn_fd_init. Returns the events that are ready: those asked for, and
 * TN_FD_ERROR and TN_FD_HANGUP.
 *
 * A plain thread waits in poll(2). tn_fd_forget does not end that, and if a scope is cancelled by another thread, the call
 * returns up to 20 ms later. A plain thread that needs either awaits a tn_fd_future.
 *
 * Suspends: until it is ready; each 128th time in any case, so that other tasks run. A plain thread is blocked.
 * Callable from: a fiber, a plain thread.
 * Ownership: `fd` is borrowed for the call.
 * Errors: TN_ENOTSUP: a regular file, a folder or a block device, which the kernel reports as ready at any time; tn/fs.h
 * reads and writes those without stalling a worker. TN_EBADF: `fd` is not open. TN_EINVAL: other events. TN_ENOMEM, and
 * other errors of the kernel such as -ENOSPC: too many descriptors are waited for. TN_ECANCELED, which is also the result
 * after tn_fd_forget (tn_checkpoint tells them apart), TN_ETIMEDOUT.
 * Cancellation: yes; nothing is left behind. */
TN_API int tn_fd_wait(int fd, unsigned events);

/* Ends all waits for `fd` of tasks of `runtime` with TN_ECANCELED, so that it can be closed. Call it before the close, when
 * no task begins another wait for it. `runtime`: NULL for that of the calling task; required on a plain thread.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `fd` stays open, and the caller's.
 * Errors: TN_EINVAL: there is no runtime; the log says so.
 * Cancellation: no. */
TN_API int tn_fd_forget(tn_runtime *runtime, int fd);

#ifdef __cplusplus
}
#endif

#endif
