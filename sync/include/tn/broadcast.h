/* SPDX-License-Identifier: MIT */
/* tournant: a channel on which every receiver gets every element. */
#ifndef TN_BROADCAST_H
#define TN_BROADCAST_H

#include <tn/channel.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A channel that keeps the last `capacity` elements; senders never wait. A receiver that is further behind misses the older
 * elements, and the next receive reports how many.
 *
 * Senders and receivers are counted; the channel is freed with the last of them. Elements are plain bytes, and each receiver
 * gets a copy.
 *
 * Elements that own something, such as a reference, need both options.retain and options.discard. The channel owns what was sent:
 * it calls `discard` for each element that is overwritten, and for those that are left when it is freed. Each receiver owns its
 * copy, for which the channel has called `retain`. With neither of the two options, elements are overwritten without a call. */
typedef struct tn_broadcast tn_broadcast;

/* A receiver: its position in the channel. It is in the caller's memory, and one task at a time uses it. */
typedef struct tn_broadcast_receiver {
    tn_broadcast *channel;
    uint64_t next; /* number of the next element to receive; private */
} tn_broadcast_receiver;

/* Creates a channel for elements of `element_size` bytes that keeps the last `capacity` of them. `options`: NULL for the
 * defaults.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: on success the caller owns one sender.
 * Errors: TN_ENOMEM; TN_EINVAL: `capacity` is 0, or an option is refused (tn/base.h): `retain` or `discard` without the other, or
 * with elements of more than 256 bytes.
 * Cancellation: no. */
TN_API int tn_broadcast_create(tn_broadcast **out, size_t element_size, size_t capacity, const tn_channel_options *options);

/* Adds a sender.
 *
 * Suspends: no.
 * Callable from: anywhere; the caller already holds a sender.
 * Ownership: the caller owns one more sender.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_broadcast_retain_sender(tn_broadcast *channel);

/* Gives up a sender. After the last one receivers get TN_EPIPE as soon as they have received the elements that remain.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: consumes a sender.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_broadcast_release_sender(tn_broadcast *channel);

/* Sends a copy of the element to all subscribers. Returns their number. Calls options.discard for the element that this one
 * overwrites, if there is one.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `element` is borrowed for the call. With options.discard, what it owns goes to the channel.
 * Errors: none.
 * Cancellation: no. */
TN_API int tn_broadcast_send(tn_broadcast *channel, const void *element);

/* Subscribes a receiver. Its first element is the next one that is sent.
 *
 * Suspends: no.
 * Callable from: anywhere; the caller holds a sender or a receiver of the channel.
 * Ownership: `receiver` is in the caller's memory; end it with tn_broadcast_unsubscribe.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_broadcast_subscribe(tn_broadcast *channel, tn_broadcast_receiver *receiver);

/* Gives up a receiver.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: consumes the receiver; its memory is the caller's again.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_broadcast_unsubscribe(tn_broadcast_receiver *receiver);

/* Receives the next element: copies it to `element`.
 *
 * Suspends: until an element is there; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: `element` and `missed` are borrowed for the call.
 * Errors: TN_EOVERFLOW: elements were missed, and `*missed` is their number (`missed` may be NULL); the next call returns the
 * oldest element that is still there. TN_EPIPE: no sender is left and all elements have been received. TN_ECANCELED,
 * TN_ETIMEDOUT.
 * Cancellation: yes; no element is lost. */
TN_API int tn_broadcast_recv(tn_broadcast_receiver *receiver, void *element, uint64_t *missed);

/* Receives the next element if it is there.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `element` and `missed` are borrowed for the call.
 * Errors: TN_EAGAIN: no element is there now; TN_EOVERFLOW, TN_EPIPE: see tn_broadcast_recv.
 * Cancellation: no. */
TN_API int tn_broadcast_try_recv(tn_broadcast_receiver *receiver, void *element, uint64_t *missed);

/* A future that returns what tn_broadcast_recv returns. If it is dropped before that, no element is lost. */
typedef struct tn_broadcast_future {
    tn_future base;
    tn_broadcast_receiver *receiver;
    void *element;
    uint64_t *missed;
    tn_waiter waiter; /* private */
} tn_broadcast_future;

/* Prepares `future` to receive an element. Nothing happens until it is polled.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `future` is in the caller's memory; it borrows the other arguments until it is ready or dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_broadcast_recv_init(tn_broadcast_future *future, tn_broadcast_receiver *receiver, void *element, uint64_t *missed);

#ifdef __cplusplus
}
#endif

#endif
