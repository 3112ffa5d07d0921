/* SPDX-License-Identifier: MIT */
/* tournant: telling waiting tasks that something has changed. */
#ifndef TN_NOTIFY_H
#define TN_NOTIFY_H

#include <tn/waiter.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A place to wait for a notification. One that finds nobody waiting is kept, once, for the next who does. Opaque; in the
 * caller's memory. */
typedef struct tn_notify {
    union {
        uint64_t word_;
        unsigned char bytes_[64];
    } opaque;
} tn_notify;

/* clang-format off */
#define TN_NOTIFY_INIT {{0}}
/* clang-format on */

/* Suspends: no. Callable from: anywhere. Ownership: the caller's memory. Cancellation: no checkpoint. */
TN_API void tn_notify_init(tn_notify *notify);

/* The end of one that nobody waits for (asserted). Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API void tn_notify_fini(tn_notify *notify);

/* Waits for a notification; the first to wait is the first to get one.
 * Suspends: unless one was kept. Callable from: a fiber, a plain thread. Errors: none but the cancellation.
 * Cancellation: checkpoint; a tn_notify_one that had come for the cancelled call goes to the next. */
TN_API int tn_notify_wait(tn_notify *notify);

/* Takes a notification that was kept: 0, or TN_EAGAIN. Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API int tn_notify_try_wait(tn_notify *notify);

/* Ends the wait of the one that has waited longest; if nobody waits, the next wait is over at once.
 * Suspends: no. Callable from: anywhere. Errors: none. Cancellation: no checkpoint. */
TN_API void tn_notify_one(tn_notify *notify);

/* Ends the wait of everyone who waits now, futures that have been prepared and not polled yet among them. Nothing is kept.
 * Suspends: no. Callable from: anywhere. Errors: none. Cancellation: no checkpoint. */
TN_API void tn_notify_all(tn_notify *notify);

/* A future that is ready, with 0, when it has been notified. It waits from tn_notify_wait_init on as far as tn_notify_all goes,
 * so that a condition can be looked at between that and the first poll; its place in the queue it gets when first polled. */
typedef struct tn_notify_future {
    tn_future base;
    tn_notify *notify;
    tn_waiter waiter;
} tn_notify_future;

/* Suspends: no. Callable from: anywhere. Ownership: the caller's memory. Cancellation: no checkpoint. */
TN_API void tn_notify_wait_init(tn_notify_future *future, tn_notify *notify);

#ifdef __cplusplus
}
#endif

#endif
