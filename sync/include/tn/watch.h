/* SPDX-License-Identifier: MIT */
/* tournant: a value that changes, and receivers that wait for changes. */
#ifndef TN_WATCH_H
#define TN_WATCH_H

#include <tn/channel.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The latest value of something. A receiver learns that the value has changed since it last saw it, but not how often.
 *
 * Senders and receivers are counted; the watch is freed with the last of them. Values are plain bytes; options.discard is not
 * used. */
typedef struct tn_watch tn_watch;

/* A receiver. It is in the caller's memory, and one task at a time uses it. */
typedef struct tn_watch_receiver {
    tn_watch *watch;
    uint64_t seen; /* version of the value that the receiver saw last; private */
} tn_watch_receiver;

/* Creates a watch for values of `size` bytes; the first one is a copy of `*value`. `options`: NULL for the defaults.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: on success the caller owns one sender.
 * Errors: TN_ENOMEM; TN_EINVAL: an option is refused (tn/base.h).
 * Cancellation: no. */
TN_API int tn_watch_create(tn_watch **out, size_t size, const void *value, const tn_channel_options *options);

/* Adds a sender.
 *
 * Suspends: no.
 * Callable from: anywhere; the caller already holds a sender.
 * Ownership: the caller owns one more sender.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_watch_retain_sender(tn_watch *watch);

/* Gives up a sender. After the last one receivers get TN_EPIPE as soon as they have seen the last change.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: consumes a sender.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_watch_release_sender(tn_watch *watch);

/* Sets the value to a copy of `*value` and notifies all receivers.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `value` is borrowed for the call.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_watch_send(tn_watch *watch, const void *value);

/* Calls modify(value, arg), which may change the value in place. Returns what `modify` returns: whether to notify the
 * receivers.
 *
 * While `modify` runs, all other users of the watch wait without suspending. So it must be short, must not suspend, and must
 * not use the watch.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `arg` is borrowed for the call.
 * Errors: none.
 * Cancellation: no. */
TN_API bool tn_watch_send_if_modified(tn_watch *watch, bool (*modify)(void *value, void *arg), void *arg);

/* Subscribes a receiver; the present value counts as seen.
 *
 * Suspends: no.
 * Callable from: anywhere; the caller holds a sender or a receiver of the watch.
 * Ownership: `receiver` is in the caller's memory; end it with tn_watch_unsubscribe.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_watch_subscribe(tn_watch *watch, tn_watch_receiver *receiver);

/* Gives up a receiver.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: consumes the receiver; its memory is the caller's again.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_watch_unsubscribe(tn_watch_receiver *receiver);

/* Copies the present value to `*value`; it counts as seen.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `value` is borrowed for the call.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_watch_get(tn_watch_receiver *receiver, void *value);

/* Returns a pointer to the present value, valid until tn_watch_return; the value counts as seen.
 *
 * Until then all other users of the watch wait without suspending. So the caller must neither suspend nor take long between the
 * two calls.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the value is borrowed until tn_watch_return.
 * Errors: none.
 * Cancellation: no. */
TN_API const void *tn_watch_borrow(tn_watch_receiver *receiver);

/* Ends a tn_watch_borrow.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the borrowed value is given back.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_watch_return(tn_watch_receiver *receiver);

/* Waits until the value has changed since the receiver last saw it; the new value counts as seen.
 *
 * Suspends: unless the value has changed; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: none.
 * Errors: TN_EPIPE: no sender is left and there is no change; TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; the change is not lost: the next call returns it. */
TN_API int tn_watch_changed(tn_watch_receiver *receiver);

/* Returns 0 if the value has changed since the receiver last saw it; the new value counts as seen.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: none.
 * Errors: TN_EAGAIN: there is no change; TN_EPIPE: no sender is left and there is no change.
 * Cancellation: no. */
TN_API int tn_watch_try_changed(tn_watch_receiver *receiver);

/* A future that returns what tn_watch_changed returns. */
typedef struct tn_watch_future {
    tn_future base;
    tn_watch_receiver *receiver;
    tn_waiter waiter; /* private */
} tn_watch_future;

/* Prepares `future` to wait for a change. Nothing happens until it is polled.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `future` is in the caller's memory; it borrows `receiver` until it is ready or dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_watch_changed_init(tn_watch_future *future, tn_watch_receiver *receiver);

#ifdef __cplusplus
}
#endif

#endif
