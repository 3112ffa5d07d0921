/* SPDX-License-Identifier: MIT */
/* tournant: a channel for one element. */
#ifndef TN_ONESHOT_H
#define TN_ONESHOT_H

#include <tn/channel.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A channel for one element from one sender to one receiver. Each end has one owner. tn_oneshot_send or tn_oneshot_abandon
 * gives up the sender's end, tn_oneshot_release the receiver's. The channel is freed with the second end. */
typedef struct tn_oneshot tn_oneshot;

/* Creates a channel for one element of `element_size` bytes. `options`: NULL for the defaults.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: on success the caller owns both ends.
 * Errors: TN_ENOMEM; TN_EINVAL: an option is refused (tn/base.h).
 * Cancellation: no. */
TN_API int tn_oneshot_create(tn_oneshot **out, size_t element_size, const tn_channel_options *options);

/* Sends a copy of the element.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: consumes the sender's end in every case; on success what the element refers to is the receiver's.
 * Errors: TN_EPIPE: the receiver has closed the channel; what the element refers to is still the caller's.
 * Cancellation: no. */
TN_API int tn_oneshot_send(tn_oneshot *oneshot, const void *element);

/* Gives up the sender's end without sending: the receiver gets TN_EPIPE.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: consumes the sender's end.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_oneshot_abandon(tn_oneshot *oneshot);

/* Receives the element: waits for it and copies it to `element`.
 *
 * Suspends: until the element is there or the channel ends; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread; one at a time.
 * Ownership: the receiver's end stays the caller's.
 * Errors: TN_EPIPE: no element will come (any more); TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; the element is not lost: a later call receives it. */
TN_API int tn_oneshot_recv(tn_oneshot *oneshot, void *element);

/* Receives the element if it is there.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the receiver's end stays the caller's.
 * Errors: TN_EAGAIN: the element is not there yet; TN_EPIPE: no element will come (any more).
 * Cancellation: no. */
TN_API int tn_oneshot_try_recv(tn_oneshot *oneshot, void *element);

/* Closes the channel on the receiver's side: from now on a send returns TN_EPIPE, and so does a receive that waits. An element
 * that was sent before can still be received.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the receiver's end stays the caller's.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_oneshot_close(tn_oneshot *oneshot);

/* Closes the channel and gives up the receiver's end. An element that was not received is discarded.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: consumes the receiver's end.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_oneshot_release(tn_oneshot *oneshot);

/* Returns, on the sender's side, whether the receiver has closed the channel.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the sender's end stays the caller's.
 * Errors: none.
 * Cancellation: no. */
TN_API bool tn_oneshot_is_closed(const tn_oneshot *oneshot);

/* A future that returns what tn_oneshot_recv returns: 0 when the element has been copied to `element`. */
typedef struct tn_oneshot_future {
    tn_future base;
    tn_oneshot *oneshot; /* NULL: a poll has returned the result */
    void *element;
} tn_oneshot_future;

/* Prepares `future` to receive the element. Nothing happens until it is polled.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `future` is in the caller's memory; it borrows `oneshot` and `element` until it is ready or dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_oneshot_recv_init(tn_oneshot_future *future, tn_oneshot *oneshot, void *element);

#ifdef __cplusplus
}
#endif

#endif
