/* SPDX-License-Identifier: MIT */
/* tournant: a channel for one element. */
#ifndef TN_ONESHOT_H
#define TN_ONESHOT_H

#include <tn/channel.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One element from one sender to one receiver. It has two ends, each with one owner: the sender's is given up by tn_oneshot_send
 * or tn_oneshot_abandon, the receiver's by tn_oneshot_release. It goes with the second of them. */
typedef struct tn_oneshot tn_oneshot;

/* Suspends: no. Callable from: anywhere. Ownership: both ends are the caller's. Errors: TN_ENOMEM.
 * Cancellation: no checkpoint. */
TN_API int tn_oneshot_create(tn_oneshot **out, size_t element_size, const tn_channel_options *options);

/* Sends the element, which is copied.
 * Suspends: no. Callable from: anywhere. Ownership: gives up the sender's end in every case.
 * Errors: TN_EPIPE: the receiver has closed, and the element is still the caller's. Cancellation: no checkpoint. */
TN_API int tn_oneshot_send(tn_oneshot *oneshot, const void *element);

/* Gives up the sender's end without sending: the receiver gets TN_EPIPE.
 * Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API void tn_oneshot_abandon(tn_oneshot *oneshot);

/* Waits for the element.
 * Suspends: unless it is there. Callable from: a fiber, a plain thread; one at a time. Ownership: the end stays the caller's.
 * Errors: TN_EPIPE: none will come (any more).
 * Cancellation: checkpoint; the element is not lost, a later call gets it. */
TN_API int tn_oneshot_recv(tn_oneshot *oneshot, void *element);

/* As tn_oneshot_recv; TN_EAGAIN when it is not there yet. Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API int tn_oneshot_try_recv(tn_oneshot *oneshot, void *element);

/* Receiver: from now on a send answers TN_EPIPE, and so does a receive that waits. An element that was sent before can still be
 * received.
 * Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API void tn_oneshot_close(tn_oneshot *oneshot);

/* Gives up the receiver's end, closing it first; an element that is there is discarded.
 * Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API void tn_oneshot_release(tn_oneshot *oneshot);

/* Sender: has the receiver closed? Suspends: no. Callable from: anywhere. */
TN_API bool tn_oneshot_is_closed(const tn_oneshot *oneshot);

/* A future that is ready, with 0, when the element has been copied to `element`; else as tn_oneshot_recv. */
typedef struct tn_oneshot_future {
    tn_future base;
    tn_oneshot *oneshot; /* NULL: it has answered */
    void *element;
} tn_oneshot_future;

/* Suspends: no. Callable from: anywhere. Ownership: the caller's memory. Cancellation: no checkpoint. */
TN_API void tn_oneshot_recv_init(tn_oneshot_future *future, tn_oneshot *oneshot, void *element);

#ifdef __cplusplus
}
#endif

#endif
