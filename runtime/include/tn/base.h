/* SPDX-License-Identifier: MIT */
/* tournant: version, export mark, error codes, time. */
#ifndef TN_BASE_H
#define TN_BASE_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TN_VERSION_MAJOR 0
#define TN_VERSION_MINOR 1
#define TN_VERSION_PATCH 0

#define TN_API __attribute__((visibility("default")))

/* Errors are negative errno values, the same numbers that libuv uses. No call reports through errno: a task may go on
 * on another thread, whose errno is another one. */
enum {
    TN_EADDRINUSE = -EADDRINUSE,     /* the address or port is taken */
    TN_EAGAIN = -EAGAIN,             /* nothing there now (try_ calls); the system has no thread left */
    TN_EBADF = -EBADF,               /* the stream or listener is closed */
    TN_EBUSY = -EBUSY,               /* somebody else is doing that already: one reader, one writer, one joiner */
    TN_ECANCELED = -ECANCELED,       /* this task was cancelled, or what it waited for was closed */
    TN_ECONNREFUSED = -ECONNREFUSED, /* nobody listens there */
    TN_ECONNRESET = -ECONNRESET,     /* the peer reset the connection */
    TN_EDEADLK = -EDEADLK,           /* every thread that could end this wait waits itself */
    TN_EINVAL = -EINVAL,             /* an argument is out of its range */
    TN_EMFILE = -EMFILE,             /* this process may open no more files */
    TN_ENODATA = -ENODATA,           /* the job was cancelled before it started, and has no result */
    TN_ENOMEM = -ENOMEM,             /* no memory, or no stack, can be had */
    TN_ENOTCONN = -ENOTCONN,         /* the stream is not connected */
    TN_EOVERFLOW = -EOVERFLOW,       /* elements were missed: the reader was too slow */
    TN_EPIPE = -EPIPE,               /* the peer reads no more; the other side of a channel is gone or has closed */
    TN_ESHUTDOWN = -ESHUTDOWN,       /* the runtime is being destroyed */
    TN_ETIMEDOUT = -ETIMEDOUT,       /* the time was up */
};

/* What a poll answers that is not ready yet. No result and no error has this value. */
#define TN_PENDING INT_MIN

/* A message for an error code: static text, never NULL.
 * Suspends: no. Callable from: anywhere. Ownership: static. Errors: none. Cancellation: no checkpoint. */
TN_API const char *tn_strerror(int error);

/* The monotonic clock in nanoseconds: what deadlines are written in.
 * Suspends: no. Callable from: anywhere. Errors: none. Cancellation: no checkpoint. */
TN_API uint64_t tn_now(void);

#define TN_US UINT64_C(1000)
#define TN_MS UINT64_C(1000000)
#define TN_S UINT64_C(1000000000)

#ifdef __cplusplus
}
#endif

#endif
