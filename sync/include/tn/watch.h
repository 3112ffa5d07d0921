/* SPDX-License-Identifier: MIT */
/* tournant: a value that changes, and tasks that want to know. */
#ifndef TN_WATCH_H
#define TN_WATCH_H

#include <tn/channel.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The latest value of something. Receivers see that it has changed since they last looked, not how often. Both sides are
 * counted, and the watch goes with the last of them. Values are plain bytes (options.discard is not used). */
typedef struct tn_watch tn_watch;

/* A receiver's end. In the caller's memory; one task at a time uses it. */
typedef struct tn_watch_receiver {
    tn_watch *watch;
    uint64_t seen; /* the version that was last looked at */
} tn_watch_receiver;

/* A watch on values of `size` bytes that begins with `*value`.
 * Suspends: no. Callable from: anywhere. Ownership: one sender's end is the caller's. Errors: TN_ENOMEM. Cancellation: no
 * checkpoint. */
TN_API int tn_watch_create(tn_watch **out, size_t size, const void *value, const tn_channel_options *options);

/* One more sender's end; and one less: with the last one receivers get TN_EPIPE once they have seen the last change.
 * Suspends: no. Callable from: anywhere (who retains holds one already). Cancellation: no checkpoint. */
TN_API void tn_watch_retain_sender(tn_watch *watch);
TN_API void tn_watch_release_sender(tn_watch *watch);

/* Makes it a copy of `*value`, and tells all receivers. Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API void tn_watch_send(tn_watch *watch, const void *value);

/* Lets modify(value, arg) change the value in place; answers what that answers: whether receivers are told. Meanwhile everyone
 * else who uses the watch waits without suspending: it must be short, must not suspend, and must not use the watch.
 * Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API bool tn_watch_send_if_modified(tn_watch *watch, bool (*modify)(void *value, void *arg), void *arg);

/* A receiver's end that has seen the present value.
 * Suspends: no. Callable from: anywhere, by who holds an end. Ownership: to be ended with tn_watch_unsubscribe. Cancellation: no
 * checkpoint. */
TN_API void tn_watch_subscribe(tn_watch *watch, tn_watch_receiver *receiver);

/* Suspends: no. Callable from: anywhere. Ownership: the receiver's end is given up. Cancellation: no checkpoint. */
TN_API void tn_watch_unsubscribe(tn_watch_receiver *receiver);

/* Copies the present value out, and has seen it. Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API void tn_watch_get(tn_watch_receiver *receiver, void *value);

/* The present value where it lies, until tn_watch_return; it counts as seen. Meanwhile everyone else who uses the watch waits
 * without suspending: between the two calls nothing may suspend or take long.
 * Suspends: no. Callable from: anywhere. Ownership: borrowed. Cancellation: no checkpoint. */
TN_API const void *tn_watch_borrow(tn_watch_receiver *receiver);
TN_API void tn_watch_return(tn_watch_receiver *receiver);

/* Waits until the value is another one than was last seen; then that counts as seen.
 * Suspends: unless it is. Callable from: a fiber, a plain thread. Errors: TN_EPIPE: no sender is left, and nothing is new.
 * Cancellation: checkpoint; the change is not lost, the next call sees it. */
TN_API int tn_watch_changed(tn_watch_receiver *receiver);

/* As tn_watch_changed; TN_EAGAIN when nothing is new. Suspends: no. Callable from: anywhere. */
TN_API int tn_watch_try_changed(tn_watch_receiver *receiver);

/* A future that answers as tn_watch_changed does. */
typedef struct tn_watch_future {
    tn_future base;
    tn_watch_receiver *receiver;
    tn_waiter waiter;
} tn_watch_future;

/* Suspends: no. Callable from: anywhere. Ownership: the caller's memory. Cancellation: no checkpoint. */
TN_API void tn_watch_changed_init(tn_watch_future *future, tn_watch_receiver *receiver);

#ifdef __cplusplus
}
#endif

#endif
