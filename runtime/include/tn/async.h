/* SPDX-License-Identifier: MIT */
/* tournant: waking a task from a signal handler. */
#ifndef TN_ASYNC_H
#define TN_ASYNC_H

#include <tn/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One bit that a task waits for, and that a signal handler may set. It costs a file descriptor. */
typedef struct tn_async tn_async;

/* `runtime`: whose loop watches it; NULL: that of the calling task.
 * Suspends: no. Callable from: anywhere. Ownership: to be closed, before its runtime.
 * Errors: TN_EMFILE, TN_ENOMEM, TN_EINVAL (no runtime). Cancellation: no checkpoint. */
TN_API int tn_async_open(tn_async **out, tn_runtime *runtime);

/* Ends the wait of whoever waits, or the next wait: posts since the last wait count as one.
 * Suspends: no. Callable from: anywhere; the one call that a signal handler may make. Ownership: borrows it; nobody may post once
 * it is being closed. Errors: none (errno stays as it is). Cancellation: no checkpoint. */
TN_API void tn_async_send(tn_async *signal);

/* Waits until it has been posted since the last wait that answered 0.
 * Suspends: unless it has. Callable from: a fiber, a plain thread.
 * Errors: TN_EBUSY (somebody waits already), or why the loop cannot watch it. Cancellation: checkpoint; no post is lost. */
TN_API int tn_async_wait(tn_async *signal);

/* Answers as tn_async_wait. */
typedef struct tn_async_future {
    tn_future base;
    tn_async *signal;
    bool waiting; /* it is the one waiter */
} tn_async_future;

/* Suspends: no. Callable from: anywhere. Ownership: borrows `signal` until it is dropped. */
TN_API void tn_async_wait_init(tn_async_future *future, tn_async *signal);

/* Nobody waits for it or posts any more. NULL is allowed.
 * Suspends: no. Callable from: anywhere. Ownership: consumes it. Errors: none. Cancellation: no checkpoint. */
TN_API void tn_async_close(tn_async *signal);

#ifdef __cplusplus
}
#endif

#endif
