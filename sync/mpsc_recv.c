/* SPDX-License-Identifier: MIT */
/* The receiver's side of tn_mpsc: receiving and closing. The protocols are described in mpsc.c. */
#include "mpsc.h"

/* Copies up to `count` elements out; returns how many. */
__attribute__((always_inline)) static inline size_t take_elements(tn_mpsc *channel, void *elements, size_t count)
{
    uint64_t head = tni_a64_load(&channel->head, TNI_RELAXED); /* relaxed: written by the receiver itself */
    unsigned char *to = elements;
    size_t taken = 0;

    while (taken < count) {
        const void *element = tni_mpsc_peek(channel, head + taken);
        if (element == NULL)
            break;
        tni_channel_copy_element(to, element, channel->element_size);
        to += channel->element_size;
        taken++;
    }
    /* Publishes the end of the reads: the slots may be written again; partner: has_slot_locked (mpsc_send.c). */
    if (taken > 0)
        tni_a64_store(&channel->head, head + taken, TNI_RELEASE);
    return taken;
}

/* No sender waits: clears `contended`, so the next sender that waits sets it again. Not before half of the slots
 * are free, because setting it is expensive. */
__attribute__((always_inline)) static inline void decongest_locked(tn_mpsc *channel)
{
    tni_short_lock_assert_held(&channel->waiting.lock);
    /* Relaxed, all: written under the lock, or by the receiver itself, which also is the only reader of `contended` without
     * it. */
    uint64_t head = tni_a64_load(&channel->head, TNI_RELAXED);
    uint64_t used = tni_a64_load(&channel->tail, TNI_RELAXED) - head;

    if (used + channel->reserved <= channel->capacity / 2)
        tni_a32_store(&channel->contended, 0, TNI_RELAXED); /* relaxed: as above */
}

static void grant_or_decongest(tn_mpsc *channel)
{
    tni_short_lock_acquire(&channel->waiting.lock);
    if (!tni_waiters_is_empty(&channel->waiting)) {
        tni_mpsc_complete_senders_locked(channel);
        return;
    }
    /* Relaxed: the next waiter takes the lock after this. It may still be set if the last waiter has left. */
    tni_a32_store(&channel->has_waiters, 0, TNI_RELAXED);
    decongest_locked(channel);
    tni_short_lock_release(&channel->waiting.lock);
}

/* Are so many slots free that `contended` may be cleared? Loads `tail` again only if the last value suggests so. */
static bool is_decongested(tn_mpsc *channel)
{
    uint64_t head = tni_a64_load(&channel->head, TNI_RELAXED); /* relaxed: written by the receiver itself */

    if (channel->tail_seen - head <= channel->capacity / 2)
        channel->tail_seen = tni_a64_load(&channel->tail, TNI_ACQUIRE); /* as in tni_mpsc_peek */
    tni_order_acquire();
    return channel->tail_seen - head <= channel->capacity / 2;
}

/* Called when senders wait, or did recently. Most of the time none is in the queue, and this leaves the lock to the senders. */
static void slots_freed_contended(tn_mpsc *channel)
{
    /* Orders the new head before the load of has_waiters; partner: the full fence in queue_up_locked (mpsc_send.c). */
    tni_fence_full();
    if (tni_a32_load(&channel->has_waiters, TNI_RELAXED) == 0 && !is_decongested(channel)) /* relaxed: after the fence */
        return;
    grant_or_decongest(channel);
}

/* Called when elements were taken: wakes senders that wait for a slot. */
static inline void slots_freed(tn_mpsc *channel)
{
    if (channel->capacity == TN_UNBOUNDED)
        return;
    /* Orders the new head before the load of `contended`; partner: the heavy fence in queue_up_locked (mpsc_send.c). */
    tni_fence_light(channel->asymmetric);
    if (tni_unlikely(tni_a32_load(&channel->contended, TNI_RELAXED) != 0)) /* relaxed: after the fence */
        slots_freed_contended(channel);
}

__attribute__((always_inline)) static inline size_t receive(tn_mpsc *channel, void *elements, size_t count)
{
    size_t taken = take_elements(channel, elements, count);

    if (taken > 0)
        slots_freed(channel);
    return taken;
}

/* TN_EAGAIN: the channel is empty; TN_EPIPE: empty and ended; 0: there is an element, try again. */
__attribute__((always_inline)) static inline int check_end_locked(const tn_mpsc *channel)
{
    tni_short_lock_assert_held(&channel->waiting.lock);
    /* First the senders, then the elements. Acquire: observes all that they have sent; partner: tn_mpsc_release_sender
     * (mpsc.c). */
    bool ended = tni_a32_load(&channel->senders, TNI_ACQUIRE) == 0 || channel->closed;

    tni_order_acquire();
    /* Relaxed, both: `head` is the receiver's own, `tail` is written under the lock. */
    uint64_t head = tni_a64_load(&channel->head, TNI_RELAXED);

    if (tni_a64_load(&channel->tail, TNI_RELAXED) != head)
        return 0;
    return ended && channel->reserved == 0 ? TN_EPIPE : TN_EAGAIN;
}

int tn_mpsc_try_recv(tn_mpsc *channel, void *element)
{
    int rc = 0;

    while (rc == 0) {
        if (receive(channel, element, 1) > 0)
            return 0;
        tni_short_lock_acquire(&channel->waiting.lock);
        rc = check_end_locked(channel);
        tni_short_lock_release(&channel->waiting.lock);
    }
    return rc;
}

/* Removes the future's waker, if it is still stored. It may have been taken for a wake, and another receiver's may
 * have been stored since. */
__attribute__((always_inline)) static inline tn_waker *take_own_waker_locked(tn_mpsc_recv_future *future)
{
    tn_waker *waker = future->channel->receiver == future ? future->channel->receiver_waker : NULL;

    tni_short_lock_assert_held(&future->channel->waiting.lock);
    future->waiting = false;
    if (waker == NULL)
        return NULL;
    future->channel->receiver_waker = NULL;
    return future->channel->receiver_borrowed ? NULL : waker;
}

/* Called when the channel is empty: stores the waker. Returns TN_PENDING, TN_EPIPE or TN_EBUSY; 0: there is an element after
 * all. Inline: in the first poll, and in the later ones. */
__attribute__((always_inline)) static inline int wait_for_element(tn_mpsc_recv_future *future, tn_waker *waker)
{
    tn_mpsc *channel = future->channel;
    tn_waker *old = NULL;
    int rc;

    tni_short_lock_acquire(&channel->waiting.lock);
    rc = check_end_locked(channel);
    if (rc == TN_EAGAIN && channel->receiver_waker != NULL && channel->receiver != future)
        rc = TN_EBUSY;
    else
        old = take_own_waker_locked(future);
    if (rc == TN_EAGAIN) {
        rc = TN_PENDING;
        if (tni_waiters_is_empty(&channel->waiting))
            decongest_locked(channel);
        future->waiting = true;
        channel->receiver_waker = future->in_frame ? waker : tn_waker_retain(waker);
        channel->receiver = future;
        channel->receiver_borrowed = future->in_frame;
    }
    tni_short_lock_release(&channel->waiting.lock);
    if (old != NULL)
        tn_waker_release(old);
    return rc;
}

/* Called when an element was received. Its sender has taken the waker under the lock, or is about to: waits until the lock is
 * released. */
static void stop_waiting(tn_mpsc_recv_future *future)
{
    if (!future->waiting)
        return;
    future->waiting = false;
    tni_short_lock_wait_released(&future->channel->waiting.lock);
}

/* Out of line: most receives ask for one element. */
__attribute__((noinline)) static size_t receive_batch(tn_mpsc_recv_future *future)
{
    return receive(future->channel, future->elements, future->count);
}

/* Receives, or waits if the channel is empty. */
static int receive_or_wait(tn_mpsc_recv_future *future, tn_waker *waker)
{
    int rc = 0;

    while (rc == 0) {
        size_t taken = future->count == 0 ? receive(future->channel, future->elements, 1) : receive_batch(future);
        if (taken > 0) {
            stop_waiting(future);
            return tni_budget_poll_leave(waker, future->count == 0 ? 0 : (int)taken);
        }
        rc = wait_for_element(future, waker);
    }
    return tni_budget_poll_leave(waker, rc);
}

/* The first poll of a call, which has already tried. */
static int wait_first(tn_mpsc_recv_future *future, tn_waker *waker)
{
    int rc = wait_for_element(future, waker);

    return rc == 0 ? receive_or_wait(future, waker) : tni_budget_poll_leave(waker, rc);
}

/* Each way ends with a call, so a poll saves registers once. */
static int recv_poll(tn_future *self, tn_waker *waker)
{
    tn_mpsc_recv_future *future = tni_container_of(self, tn_mpsc_recv_future, base);

    if (!tni_budget_poll_enter(waker))
        return TN_PENDING;
    return future->in_frame && !future->waiting ? wait_first(future, waker) : receive_or_wait(future, waker);
}

static void recv_drop(tn_future *self)
{
    tn_mpsc_recv_future *future = tni_container_of(self, tn_mpsc_recv_future, base);
    tn_waker *waker;

    if (!future->waiting)
        return;
    tni_short_lock_acquire(&future->channel->waiting.lock);
    waker = take_own_waker_locked(future);
    tni_short_lock_release(&future->channel->waiting.lock);
    if (waker != NULL)
        tn_waker_release(waker);
}

static void recv_future_init(tn_mpsc_recv_future *future, tn_mpsc *channel, void *elements, size_t count)
{
    static const tn_future_ops ops = {recv_poll, recv_drop, "mpsc: an element"};

    future->base.ops = &ops;
    future->channel = channel;
    future->elements = elements;
    future->count = count;
    future->waiting = false;
    future->in_frame = false;
}

void tn_mpsc_recv_init(tn_mpsc_recv_future *future, tn_mpsc *channel, void *element)
{
    recv_future_init(future, channel, element, 0);
}

static void check_count(size_t count)
{
    tni_assert(count > 0 && count <= INT_MAX, "tn_mpsc_recv_many: the count is out of range");
}

void tn_mpsc_recv_many_init(tn_mpsc_recv_future *future, tn_mpsc *channel, void *elements, size_t count)
{
    check_count(count);
    recv_future_init(future, channel, elements, count);
}

/* The wait of a receive that has found no element. Out of line: one that finds an element needs no space for the future. */
__attribute__((noinline)) static int await_elements(tn_mpsc *channel, void *elements, size_t count)
{
    tn_mpsc_recv_future future;

    recv_future_init(&future, channel, elements, count);
    future.in_frame = true;
    return tn_await(&future.base);
}

int tn_mpsc_recv(tn_mpsc *channel, void *element)
{
    int rc = tni_budget_enter_inline();

    if (rc != 0 || receive(channel, element, 1) > 0)
        return rc;
    return await_elements(channel, element, 0);
}

int tn_mpsc_recv_many(tn_mpsc *channel, void *elements, size_t count)
{
    int rc = tni_budget_enter_inline();
    size_t taken;

    if (rc != 0)
        return rc;
    check_count(count);
    taken = receive(channel, elements, count);
    return taken > 0 ? (int)taken : await_elements(channel, elements, count);
}

void tn_mpsc_close(tn_mpsc *channel)
{
    tni_wake receiver;

    tni_short_lock_acquire(&channel->waiting.lock);
    channel->closed = true;
    receiver = tni_mpsc_take_receiver_locked(channel); /* another task than the receiver may close */
    tni_waiters_complete_all_locked(&channel->waiting, TNI_WAITER_CLOSED);
    tni_wake_do(receiver);
}

void tn_mpsc_release_receiver(tn_mpsc *channel)
{
    tni_short_lock_acquire(&channel->waiting.lock);
    tni_assert(!channel->receiver_gone, "tn_mpsc_release_receiver: called twice");
    channel->receiver_gone = true;
    channel->closed = true;
    tni_waiters_complete_all_locked(&channel->waiting, TNI_WAITER_CLOSED);
    tni_mpsc_leave(channel);
}
