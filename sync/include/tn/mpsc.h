/* SPDX-License-Identifier: MIT */
/* tournant: a channel with many senders and one receiver. */
#ifndef TN_MPSC_H
#define TN_MPSC_H

#include <tn/channel.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Elements in the order in which they were sent. Senders are counted (tn_mpsc_create makes the first); there is one receiver. A
 * sender's end may be used by any number of tasks at once, the receiver's by one at a time. The channel goes when both sides
 * have let go of it. */
typedef struct tn_mpsc tn_mpsc;

/* A capacity: sends never wait, and memory is the limit. */
#define TN_UNBOUNDED SIZE_MAX

/* A channel for elements of `element_size` bytes that holds at most `capacity` of them.
 * Suspends: no. Callable from: anywhere. Ownership: a sender's and the receiver's end are the caller's.
 * Errors: TN_ENOMEM, TN_EINVAL (a capacity of 0). Cancellation: no checkpoint. */
TN_API int tn_mpsc_create(tn_mpsc **out, size_t element_size, size_t capacity, const tn_channel_options *options);

/* --- Senders ---------------------------------------------------------------------------------------------------------------- */

/* One more sender's end; and one less: with the last one the receiver gets TN_EPIPE once it has taken what is there.
 * Suspends: no. Callable from: anywhere (who retains holds one already). Cancellation: no checkpoint. */
TN_API void tn_mpsc_retain_sender(tn_mpsc *channel);
TN_API void tn_mpsc_release_sender(tn_mpsc *channel);

/* Sends a copy of the element. Places are given first come, first served; the element is in the channel when the sender has run,
 * so one that is sent meanwhile, by a try_send for instance, may come before it.
 * Suspends: while the channel is full, or the task's budget is used up. Callable from: a fiber, a plain thread.
 * Ownership: what the element stands for is the receiver's on success. Errors: TN_EPIPE: the receiver has closed; TN_ENOMEM
 * (unbounded alone). Cancellation: checkpoint; TN_ECANCELED: it was not sent. */
TN_API int tn_mpsc_send(tn_mpsc *channel, const void *element);

/* As tn_mpsc_send; TN_EAGAIN when there is no room now, or others wait for it.
 * Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API int tn_mpsc_try_send(tn_mpsc *channel, const void *element);

/* Waits for room and keeps it for the caller, who then sends without waiting, or gives it back.
 * Suspends, callable from, errors: as tn_mpsc_send. Ownership: the place is used up by one of the next two, while the sender's
 * end is still held. Cancellation: checkpoint; TN_ECANCELED: no place is kept. */
TN_API int tn_mpsc_reserve(tn_mpsc *channel);

/* As tn_mpsc_reserve; TN_EAGAIN when there is no room now. Suspends: no. Callable from: anywhere. */
TN_API int tn_mpsc_try_reserve(tn_mpsc *channel);

/* Sends into a place that was reserved, also when the receiver has closed meanwhile.
 * Suspends: no. Callable from: anywhere. Ownership: the place is used up in every case. Errors: TN_EPIPE: the receiver is gone;
 * TN_ENOMEM (unbounded alone). Cancellation: no checkpoint. */
TN_API int tn_mpsc_send_reserved(tn_mpsc *channel, const void *element);

/* Gives a reserved place back. Suspends: no. Callable from: anywhere. Errors: none. Cancellation: no checkpoint. */
TN_API void tn_mpsc_unreserve(tn_mpsc *channel);

/* Has the receiver closed? Suspends: no. Callable from: anywhere. */
TN_API bool tn_mpsc_is_closed(tn_mpsc *channel);

/* --- The receiver ----------------------------------------------------------------------------------------------------------- */

/* Waits for the next element.
 * Suspends: while there is none, or the task's budget is used up. Callable from: a fiber, a plain thread.
 * Ownership: what the element stands for is the caller's. Errors: TN_EPIPE: the channel is closed, or the last sender gone, and
 * all has been received; TN_EBUSY: somebody else waits for an element. That is found out only while the other one is asleep: two
 * that receive at the same time are a mistake of the caller's, and anything may happen.
 * Cancellation: checkpoint; nothing is lost. */
TN_API int tn_mpsc_recv(tn_mpsc *channel, void *element);

/* As tn_mpsc_recv; TN_EAGAIN when there is nothing now. Suspends: no. Callable from: anywhere. */
TN_API int tn_mpsc_try_recv(tn_mpsc *channel, void *element);

/* Waits for one element at least and takes up to `count` (1 to INT_MAX) of those that are there, into the array `elements`.
 * Answers how many. Otherwise as tn_mpsc_recv. */
TN_API int tn_mpsc_recv_many(tn_mpsc *channel, void *elements, size_t count);

/* From now on sends answer TN_EPIPE, also those that wait. What has been sent, or still comes into reserved places, can be
 * received.
 * Suspends: no. Callable from: anywhere. Errors: none. Cancellation: no checkpoint. */
TN_API void tn_mpsc_close(tn_mpsc *channel);

/* Gives up the receiver's end, closing it first. What was not received is discarded when the channel goes.
 * Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API void tn_mpsc_release_receiver(tn_mpsc *channel);

/* Elements that are there now: at most the capacity. Suspends: no. Callable from: anywhere. */
TN_API size_t tn_mpsc_length(const tn_mpsc *channel);

/* --- Futures ---------------------------------------------------------------------------------------------------------------- */

/* Ready when there is room: a send future has then sent `element` (which has to stay there until then), a reserve future holds
 * a place. Answers as tn_mpsc_send. Dropped before that has been answered, it did neither. */
typedef struct tn_mpsc_send_future {
    tn_future base;
    tn_mpsc *channel;
    const void *element; /* NULL: reserve */
    tn_waiter waiter;
} tn_mpsc_send_future;

/* Suspends: no. Callable from: anywhere. Ownership: the caller's memory. Cancellation: no checkpoint. */
TN_API void tn_mpsc_send_init(tn_mpsc_send_future *future, tn_mpsc *channel, const void *element);
TN_API void tn_mpsc_reserve_init(tn_mpsc_send_future *future, tn_mpsc *channel);

/* Ready when elements have been copied to `elements`; answers how many (tn_mpsc_recv_init: 0), else as tn_mpsc_recv. */
typedef struct tn_mpsc_recv_future {
    tn_future base;
    tn_mpsc *channel;
    void *elements;
    size_t count;  /* 0: a single one, and the answer is 0 */
    bool waiting;  /* the channel has this future's waker, unless it was taken to be woken */
    bool in_frame; /* of a call that ends later */
} tn_mpsc_recv_future;

/* Suspends: no. Callable from: anywhere. Ownership: the caller's memory. Cancellation: no checkpoint. */
TN_API void tn_mpsc_recv_init(tn_mpsc_recv_future *future, tn_mpsc *channel, void *element);
TN_API void tn_mpsc_recv_many_init(tn_mpsc_recv_future *future, tn_mpsc *channel, void *elements, size_t count);

#ifdef __cplusplus
}
#endif

#endif
