/* SPDX-License-Identifier: MIT */
/* tournant: a channel with many senders and one receiver. */
#ifndef TN_MPSC_H
#define TN_MPSC_H

#include <tn/channel.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A queue of elements, which are received in the order in which they were sent. Senders are counted, and tn_mpsc_create makes
 * the first; there is one receiver. Any number of tasks may use a sender at once, but only one task at a time the receiver. The
 * channel is freed when both sides have been given up. */
typedef struct tn_mpsc tn_mpsc;

/* A capacity: sends never wait, and memory is the only limit. */
#define TN_UNBOUNDED SIZE_MAX

/* Creates a channel for elements of `element_size` bytes that holds at most `capacity` of them. `options`: NULL for the
 * defaults. A pointer to an element is never NULL in the calls below, also if elements have no bytes.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: on success the caller owns a sender and the receiver.
 * Errors: TN_ENOMEM; TN_EINVAL: `capacity` is 0, or an option is refused (tn/base.h).
 * Cancellation: no. */
TN_API int tn_mpsc_create(tn_mpsc **out, size_t element_size, size_t capacity, const tn_channel_options *options);

/* --- Senders ---------------------------------------------------------------------------------------------------------------- */

/* Adds a sender.
 *
 * Suspends: no.
 * Callable from: anywhere; the caller already holds a sender.
 * Ownership: the caller owns one more sender.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_mpsc_retain_sender(tn_mpsc *channel);

/* Gives up a sender. After the last one the receiver gets TN_EPIPE as soon as it has received the elements that remain.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: consumes a sender.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_mpsc_release_sender(tn_mpsc *channel);

/* Sends a copy of the element.
 *
 * Slots are granted in the order in which they were asked for. A sender that has waited for its slot puts the element into the
 * channel when it runs again. An element that is sent in the meantime, by tn_mpsc_try_send for instance, may come before it.
 *
 * Suspends: while the channel is full, or when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: on success what the element refers to is the receiver's.
 * Errors: TN_EPIPE: the receiver has closed the channel; TN_ENOMEM: only if the channel is unbounded; TN_ECANCELED,
 * TN_ETIMEDOUT: the element was not sent.
 * Cancellation: yes; the element was not sent. */
TN_API int tn_mpsc_send(tn_mpsc *channel, const void *element);

/* Sends a copy of the element if that needs no waiting.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: on success what the element refers to is the receiver's.
 * Errors: TN_EAGAIN: the channel is full, or senders wait for a slot; TN_EPIPE: the receiver has closed the channel; TN_ENOMEM:
 * only if the channel is unbounded.
 * Cancellation: no. */
TN_API int tn_mpsc_try_send(tn_mpsc *channel, const void *element);

/* Reserves a slot. The caller can then send without waiting, or give the slot back. A slot of an unbounded channel is no memory:
 * the send may still find none.
 *
 * Suspends: while the channel is full, or when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: on success the caller holds a slot. tn_mpsc_send_reserved or tn_mpsc_unreserve uses it up, while the caller still
 * holds its sender.
 * Errors: TN_EPIPE: the receiver has closed the channel; TN_ECANCELED, TN_ETIMEDOUT: no slot is held.
 * Cancellation: yes; no slot is held. */
TN_API int tn_mpsc_reserve(tn_mpsc *channel);

/* Reserves a slot if that needs no waiting.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: on success the caller holds a slot, as after tn_mpsc_reserve.
 * Errors: TN_EAGAIN: the channel is full, or senders wait for a slot; TN_EPIPE: the receiver has closed the channel.
 * Cancellation: no. */
TN_API int tn_mpsc_try_reserve(tn_mpsc *channel);

/* Sends a copy of the element into a reserved slot, even if the receiver has closed the channel since. It asserts that a slot
 * is reserved.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: uses up the slot in every case; on success what the element refers to is the receiver's.
 * Errors: TN_EPIPE: the receiver has been given up; TN_ENOMEM: only if the channel is unbounded.
 * Cancellation: no. */
TN_API int tn_mpsc_send_reserved(tn_mpsc *channel, const void *element);

/* Gives a reserved slot back. It asserts that a slot is reserved.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: uses up the slot.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_mpsc_unreserve(tn_mpsc *channel);

/* Returns whether the receiver has closed the channel.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: none.
 * Errors: none.
 * Cancellation: no. */
TN_API bool tn_mpsc_is_closed(tn_mpsc *channel);

/* --- The receiver ----------------------------------------------------------------------------------------------------------- */

/* Receives the next element: waits for it and copies it to `element`.
 *
 * Two tasks must not receive at the same time: the behavior is undefined. It is reported, as TN_EBUSY, only while the other one
 * waits.
 *
 * Suspends: while there is no element, or when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: what the element refers to is the caller's.
 * Errors: TN_EPIPE: the channel is closed or the last sender is gone, and all elements have been received; TN_EBUSY: another
 * task waits for an element; TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; no element is lost. */
TN_API int tn_mpsc_recv(tn_mpsc *channel, void *element);

/* Receives the next element if it is there.
 *
 * Suspends: no.
 * Callable from: anywhere; not beside another receive.
 * Ownership: what the element refers to is the caller's.
 * Errors: TN_EAGAIN: there is no element now; TN_EPIPE: see tn_mpsc_recv.
 * Cancellation: no. */
TN_API int tn_mpsc_try_recv(tn_mpsc *channel, void *element);

/* Waits for at least one element and moves up to `count` of those that are there into the array `elements`. Returns how many.
 * `count`: 1 to INT_MAX (asserted).
 *
 * Suspends: while there is no element, or when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: what the elements refer to is the caller's.
 * Errors: TN_EPIPE, TN_EBUSY: see tn_mpsc_recv; TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; no element is lost. */
TN_API int tn_mpsc_recv_many(tn_mpsc *channel, void *elements, size_t count);

/* Closes the channel on the receiver's side: from now on sends return TN_EPIPE, also those that wait. Elements that have been
 * sent, or that still enter reserved slots, can be received.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the receiver stays the caller's.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_mpsc_close(tn_mpsc *channel);

/* Closes the channel and gives up the receiver. Elements that were not received are discarded when the channel is freed.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: consumes the receiver.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_mpsc_release_receiver(tn_mpsc *channel);

/* Returns the number of elements that are in the channel now, at most the capacity.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: none.
 * Errors: none.
 * Cancellation: no. */
TN_API size_t tn_mpsc_length(const tn_mpsc *channel);

/* --- Futures ---------------------------------------------------------------------------------------------------------------- */

/* A future that sends an element or reserves a slot. It returns what tn_mpsc_send or tn_mpsc_reserve returns. If it is dropped
 * before a poll has returned 0, it has done neither. */
typedef struct tn_mpsc_send_future {
    tn_future base;
    tn_mpsc *channel;
    const void *element; /* NULL: reserve a slot */
    tn_waiter waiter;    /* private */
} tn_mpsc_send_future;

/* Prepares `future` to send a copy of the element. Nothing happens until it is polled.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `future` is in the caller's memory; it borrows `element`, and a sender, until it is ready or dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_mpsc_send_init(tn_mpsc_send_future *future, tn_mpsc *channel, const void *element);

/* Prepares `future` to reserve a slot. Nothing happens until it is polled.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `future` is in the caller's memory; it borrows a sender until it is ready or dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_mpsc_reserve_init(tn_mpsc_send_future *future, tn_mpsc *channel);

/* A future that receives elements. It returns what tn_mpsc_recv or tn_mpsc_recv_many returns. */
typedef struct tn_mpsc_recv_future {
    tn_future base;
    tn_mpsc *channel;
    void *elements;
    size_t count;  /* 0: a single element, and the result is 0 */
    bool waiting;  /* private: the channel has this future's waker, unless it was taken to be woken */
    bool in_frame; /* private: the future is in the frame of a call that ends after it */
} tn_mpsc_recv_future;

/* Prepares `future` to receive one element; it is ready with 0 when the element has been copied to `element`. Nothing happens
 * until it is polled.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `future` is in the caller's memory; it borrows `element`, and the receiver, until it is ready or dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_mpsc_recv_init(tn_mpsc_recv_future *future, tn_mpsc *channel, void *element);

/* Prepares `future` to receive up to `count` elements, 1 to INT_MAX (asserted); it is ready with their number. Nothing happens
 * until it is polled.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `future` is in the caller's memory; it borrows `elements`, and the receiver, until it is ready or dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_mpsc_recv_many_init(tn_mpsc_recv_future *future, tn_mpsc *channel, void *elements, size_t count);

#ifdef __cplusplus
}
#endif

#endif
