/* SPDX-License-Identifier: MIT */
/* tournant: version, export macro, error codes, clock. */
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

/* The version of these headers. */
#define TN_VERSION_MAJOR 0
#define TN_VERSION_MINOR 1
#define TN_VERSION_PATCH 0

/* Marks the functions that the library exports. */
#define TN_API __attribute__((visibility("default")))

/* Error codes: negative errno values, the same numbers as libuv's. No call reports an error through errno. A task may continue
 * on another thread, and errno is per thread. */
enum {
    TN_EACCES = -EACCES,             /* not allowed: the option that allows it is not set */
    TN_EADDRINUSE = -EADDRINUSE,     /* the address or port is in use */
    TN_EAGAIN = -EAGAIN,             /* nothing is available now (try_ calls); the kernel cannot start another thread */
    TN_EBADF = -EBADF,               /* the stream or listener is closed, perhaps during the call */
    TN_EBADMSG = -EBADMSG,           /* the stream ended inside a line, a frame, or the bytes that were asked for */
    TN_EBUSY = -EBUSY,               /* another task or thread is doing this already: one reader, one writer, one joiner */
    TN_ECANCELED = -ECANCELED,       /* the caller was cancelled */
    TN_ECONNREFUSED = -ECONNREFUSED, /* no socket listens at the address */
    TN_ECONNRESET = -ECONNRESET,     /* the peer reset the connection */
    TN_EDEADLK = -EDEADLK,           /* every thread that could end this wait is waiting itself */
    TN_EINVAL = -EINVAL,             /* an argument is out of its range */
    TN_EIO = -EIO,                   /* a device has failed; a stream took no byte of a write, and gave no reason */
    TN_EMFILE = -EMFILE,             /* this process may open no more files */
    TN_EMSGSIZE = -EMSGSIZE,         /* a line or frame is longer than the limit of the call */
    TN_ENOBUFS = -ENOBUFS,           /* a queue of jobs is full; the kernel has no memory for a socket */
    TN_ENODATA = -ENODATA,           /* the job was cancelled before it started, and has no result */
    TN_ENOMEM = -ENOMEM,             /* no memory, or no stack, is available */
    TN_ENOTCONN = -ENOTCONN,         /* the stream is not connected */
    TN_ENOTSUP = -ENOTSUP,           /* the kernel does not have what an option asks for */
    TN_EOVERFLOW = -EOVERFLOW,       /* elements were missed: the reader was too slow */
    TN_EPIPE = -EPIPE,               /* the peer reads no more; the other side of a channel is gone or has closed it */
    TN_EPROTO = -EPROTO,             /* the peer violates the protocol, or one side refuses the other */
    TN_ESHUTDOWN = -ESHUTDOWN,       /* the runtime is being destroyed */
    TN_ETIME = -ETIME,               /* the kernel has given up on a peer or server that does not reply */
    TN_ETIMEDOUT = -ETIMEDOUT,       /* a deadline of the caller has passed; for an error of the kernel see TN_ETIME */
};

/* Option structs. Each begins with `size`, the size in bytes that its headers gave it; the function _default() of the struct
 * sets it. A program may use another version of the library than that of its headers. All calls treat the struct alike:
 *
 * - NULL stands for the defaults.
 * - No byte behind `size` is read. In a shorter struct, of older headers, the missing options have their defaults.
 * - A longer struct, of newer headers, is accepted if all bytes that this library does not know are zero.
 * - These are refused: other bytes there, a size below that of the struct's first version or above 4096, and an option that is
 *   out of its range.
 *
 * A call that refuses returns TN_EINVAL, and has done nothing else than to log one line. The line names the option and says
 * what to do. It goes to the log of the call's runtime, or to stderr if there is none. A call that returns no error, such as
 * tn_group_enter, aborts the process after it. */

/* What a poll returns that is not ready yet. No result and no error has this value. */
#define TN_PENDING INT_MIN

/* Returns a message for an error code, never NULL.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the text is static.
 * Errors: none.
 * Cancellation: no. */
TN_API const char *tn_strerror(int error);

/* Returns the time of the monotonic clock in nanoseconds. Deadlines are times of this clock. In the tasks of a current-thread
 * runtime whose time is paused it is the time of that runtime (tn/time.h).
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: none.
 * Errors: none.
 * Cancellation: no. */
TN_API uint64_t tn_now(void);

/* A microsecond, a millisecond and a second, in nanoseconds. */
#define TN_US UINT64_C(1000)
#define TN_MS UINT64_C(1000000)
#define TN_S UINT64_C(1000000000)

#ifdef __cplusplus
}
#endif

#endif
