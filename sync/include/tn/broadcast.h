/* SPDX-License-Identifier: MIT */
/* tournant: a channel on which every receiver gets every element. */
#ifndef TN_BROADCAST_H
#define TN_BROADCAST_H

#include <tn/channel.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The last `capacity` elements are kept; senders never wait. A receiver that is further behind misses the older ones, and is told
 * how many. Both sides are counted, and the channel goes with the last of them. Elements are plain bytes: each receiver gets a
 * copy, and nobody is told when one is overwritten (options.discard is not used). */
typedef struct tn_broadcast tn_broadcast;

/* A receiver's end: its place in the channel. In the caller's memory; one task at a time uses it. */
typedef struct tn_broadcast_receiver {
    tn_broadcast *channel;
    uint64_t next; /* the number of the element that comes next */
} tn_broadcast_receiver;

/* Suspends: no. Callable from: anywhere. Ownership: one sender's end is the caller's. Errors: TN_ENOMEM, TN_EINVAL (a capacity of
 * 0). Cancellation: no checkpoint. */
TN_API int tn_broadcast_create(tn_broadcast **out, size_t element_size, size_t capacity, const tn_channel_options *options);

/* One more sender's end; and one less: with the last one receivers get TN_EPIPE once they have got what is there.
 * Suspends: no. Callable from: anywhere (who retains holds one already). Cancellation: no checkpoint. */
TN_API void tn_broadcast_retain_sender(tn_broadcast *channel);
TN_API void tn_broadcast_release_sender(tn_broadcast *channel);

/* Sends a copy of the element to all who have subscribed. Answers to how many.
 * Suspends: no. Callable from: anywhere. Errors: none. Cancellation: no checkpoint. */
TN_API int tn_broadcast_send(tn_broadcast *channel, const void *element);

/* A receiver's end that begins with the next element to be sent.
 * Suspends: no. Callable from: anywhere, by who holds an end of the channel. Ownership: to be ended with
 * tn_broadcast_unsubscribe. Cancellation: no checkpoint. */
TN_API void tn_broadcast_subscribe(tn_broadcast *channel, tn_broadcast_receiver *receiver);

/* Suspends: no. Callable from: anywhere. Ownership: the receiver's end is given up. Cancellation: no checkpoint. */
TN_API void tn_broadcast_unsubscribe(tn_broadcast_receiver *receiver);

/* Waits for the next element.
 * Suspends: unless it is there, or when the task's budget is used up. Callable from: a fiber, a plain thread.
 * Errors: TN_EOVERFLOW: elements were missed, *missed (may be NULL) of them; the next call gets the oldest that is still there.
 * TN_EPIPE: no sender is left, and all has been received. Cancellation: checkpoint; nothing is lost. */
TN_API int tn_broadcast_recv(tn_broadcast_receiver *receiver, void *element, uint64_t *missed);

/* As tn_broadcast_recv; TN_EAGAIN when there is nothing now. Suspends: no. Callable from: anywhere. */
TN_API int tn_broadcast_try_recv(tn_broadcast_receiver *receiver, void *element, uint64_t *missed);

/* A future that answers as tn_broadcast_recv does. */
typedef struct tn_broadcast_future {
    tn_future base;
    tn_broadcast_receiver *receiver;
    void *element;
    uint64_t *missed;
    tn_waiter waiter;
} tn_broadcast_future;

/* Suspends: no. Callable from: anywhere. Ownership: the caller's memory. Cancellation: no checkpoint. */
TN_API void tn_broadcast_recv_init(tn_broadcast_future *future, tn_broadcast_receiver *receiver, void *element, uint64_t *missed);

#ifdef __cplusplus
}
#endif

#endif
