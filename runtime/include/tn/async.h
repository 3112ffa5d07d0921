/* SPDX-License-Identifier: MIT */
/* tournant: waking a task from a signal handler. */
#ifndef TN_ASYNC_H
#define TN_ASYNC_H

#include <tn/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An event that a signal handler sends and a task waits for. It is one bit, and uses one file descriptor. */
typedef struct tn_async tn_async;

/* Opens an event. `runtime`: the runtime whose loop watches it; NULL: that of the calling task.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: on success the caller owns the event, and must close it before its runtime is destroyed.
 * Errors: TN_EMFILE, TN_ENOMEM. TN_EINVAL: there is no runtime.
 * Cancellation: no. */
TN_API int tn_async_open(tn_async **out, tn_runtime *runtime);

/* Sends the event: ends the wait of the waiter, or the next wait if there is no waiter. All sends since the last wait count as
 * one.
 *
 * Suspends: no.
 * Callable from: anywhere, a signal handler. No other function of the library may be called in a signal handler.
 * Ownership: borrows the event; it must not be called once the event is being closed.
 * Errors: none; errno is unchanged.
 * Cancellation: no. */
TN_API void tn_async_send(tn_async *signal);

/* Waits until the event has been sent since the last wait that returned 0.
 *
 * Suspends: unless the event has been sent.
 * Callable from: a fiber, a plain thread.
 * Ownership: borrows the event.
 * Errors: TN_EBUSY: another task or thread waits already. TN_ECANCELED, TN_ETIMEDOUT. TN_ESHUTDOWN: this process is a child of
 * fork, and the event is the parent's, which keeps it. Otherwise, why the loop cannot watch it.
 * Cancellation: yes; no send is lost. */
TN_API int tn_async_wait(tn_async *signal);

/* A future that is ready when the event has been sent. Its result is the one that tn_async_wait returns. */
typedef struct tn_async_future {
    tn_future base;
    tn_async *signal; /* the event */
    bool waiting;     /* private: this future is the one waiter */
} tn_async_future;

/* Prepares `future` to wait for the event.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the event is borrowed until the future is dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_async_wait_init(tn_async_future *future, tn_async *signal);

/* Closes the event. No task or thread may wait for it or send it any more. NULL is allowed.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: consumes the event.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_async_close(tn_async *signal);

#ifdef __cplusplus
}
#endif

#endif
