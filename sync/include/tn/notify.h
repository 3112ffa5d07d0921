/* SPDX-License-Identifier: MIT */
/* tournant: notifications: a task waits until another one says that something has changed. */
#ifndef TN_NOTIFY_H
#define TN_NOTIFY_H

#include <tn/waiter.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A queue of tasks that wait for a notification. If tn_notify_one finds no waiter, one notification is stored for the next
 * wait; no more than one is stored. Opaque; in the caller's memory. */
typedef struct tn_notify {
    union {
        uint64_t word_;
        unsigned char bytes_[64];
    } opaque;
} tn_notify;

/* Initializes a notify statically: no notification is stored. */
/* clang-format off */
#define TN_NOTIFY_INIT {{0}}
/* clang-format on */

/* Initializes a notify; no notification is stored.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `notify` is in the caller's memory.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_notify_init(tn_notify *notify);

/* Ends the use of a notify. It asserts that no call waits for it.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the memory is the caller's again.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_notify_fini(tn_notify *notify);

/* Waits for a notification. Waiters are notified in the order in which they began to wait.
 *
 * Suspends: unless a notification is stored; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: none.
 * Errors: TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; if tn_notify_one had already notified the call, the notification passes to the next waiter. */
TN_API int tn_notify_wait(tn_notify *notify);

/* Takes a stored notification.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: none.
 * Errors: TN_EAGAIN: no notification is stored.
 * Cancellation: no. */
TN_API int tn_notify_try_wait(tn_notify *notify);

/* Notifies the waiter that has waited longest. If there is none, it stores the notification, and the next wait returns at once.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: none.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_notify_one(tn_notify *notify);

/* Notifies all tasks that wait now, including futures that have been prepared and not polled yet. Nothing is stored.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: none.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_notify_all(tn_notify *notify);

/* A future that is ready, with 0, when it has been notified.
 *
 * For tn_notify_all it waits from tn_notify_wait_init on, so a condition can be checked between that call and the first poll.
 * It gets its place in the queue at the first poll. */
typedef struct tn_notify_future {
    tn_future base;
    tn_notify *notify;
    tn_waiter waiter; /* private */
} tn_notify_future;

/* Prepares `future` to wait for a notification. From this call on tn_notify_all notifies it.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `future` is in the caller's memory; it borrows `notify` until it is ready or dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_notify_wait_init(tn_notify_future *future, tn_notify *notify);

#ifdef __cplusplus
}
#endif

#endif
