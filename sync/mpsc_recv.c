/* SPDX-License-Identifier: MIT */
/* Receiving, and closing from that side. The protocols stand in mpsc.c. */
#include "mpsc.h"

/* Receiver: copies up to `count` elements out; answers how many. */
__attribute__((always_inline)) static inline size_t take(tn_mpsc *channel, void *elements, size_t count)
{
    uint64_t head = tni_a64_load(&channel->head, TNI_RELAXED); /* our own */
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
    /* Release: our reads are over, the places may be written again; partner: has_room. */
    if (taken > 0)
        tni_a64_store(&channel->head, head + taken, TNI_RELEASE);
    return taken;
}

/* Lock held, and no sender waits: the next one that does says so again. Not before half of the room is free, because saying so is
 * dear. */
static void calm(tn_mpsc *channel)
{
    /* Relaxed, all: written under the lock that we hold, or our own. The mark: our own look reads it. */
    uint64_t used = tni_a64_load(&channel->tail, TNI_RELAXED) - tni_a64_load(&channel->head, TNI_RELAXED);

    if (used + channel->reserved <= channel->capacity / 2)
        tni_a32_store(&channel->crowded, 0, TNI_RELAXED);
}

static void serve_crowd(tn_mpsc *channel)
{
    tni_short_lock_acquire(&channel->waiting.lock);
    if (channel->waiting.first != NULL) {
        tni_mpsc_complete_senders(channel);
        return;
    }
    /* Relaxed: who queues up next holds the lock after us. It may still be set if the last one has left. */
    tni_a32_store(&channel->in_line, 0, TNI_RELAXED);
    calm(channel);
    tni_short_lock_release(&channel->waiting.lock);
}

/* Is so much free that the mark may go? By what we know of `tail`, looked at anew when that is little. */
static bool is_calm(tn_mpsc *channel)
{
    uint64_t head = tni_a64_load(&channel->head, TNI_RELAXED); /* our own */

    if (channel->tail_seen - head <= channel->capacity / 2)
        channel->tail_seen = tni_a64_load(&channel->tail, TNI_ACQUIRE); /* as in tni_mpsc_peek */
    return channel->tail_seen - head <= channel->capacity / 2;
}

/* Senders wait, or did lately. Most of the time none is in line, and the lock is left to those that send. */
static void relieve_crowd(tn_mpsc *channel)
{
    /* Orders the new head before the look at the line; partner: the full fence in queue_up. */
    tni_fence_full();
    if (tni_a32_load(&channel->in_line, TNI_RELAXED) == 0 && !is_calm(channel)) /* relaxed: behind the fence */
        return;
    serve_crowd(channel);
}

/* Elements were taken: whoever waits for room may have it now. */
static inline void relieve(tn_mpsc *channel)
{
    if (channel->capacity == TN_UNBOUNDED)
        return;
    /* Orders the new head before the look at the mark; partner: the heavy fence in queue_up. */
    tni_fence_light(channel->asymmetric);
    if (tni_unlikely(tni_a32_load(&channel->crowded, TNI_RELAXED) != 0)) /* relaxed: behind the fence */
        relieve_crowd(channel);
}

__attribute__((always_inline)) static inline size_t receive(tn_mpsc *channel, void *elements, size_t count)
{
    size_t taken = take(channel, elements, count);

    if (taken > 0)
        relieve(channel);
    return taken;
}

/* Lock held. TN_EAGAIN: nothing is there; TN_EPIPE: and nothing will come; 0: look again. */
static int is_over(const tn_mpsc *channel)
{
    /* First the senders (acquire: all they have sent), then what is there. */
    bool ended = tni_a32_load(&channel->senders, TNI_ACQUIRE) == 0 || channel->closed;

    /* Relaxed, both: our own, and written under the lock that we hold. */
    if (tni_a64_load(&channel->tail, TNI_RELAXED) != tni_a64_load(&channel->head, TNI_RELAXED))
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
        rc = is_over(channel);
        tni_short_lock_release(&channel->waiting.lock);
    }
    return rc;
}

/* Lock held: takes the future's waker away, if it is still there. It may have been taken to be woken, and another receiver's may
 * have come since. */
static tn_waker *take_back(tn_mpsc_recv_future *future)
{
    tn_waker *waker = future->channel->receiver == future ? future->channel->receiver_waker : NULL;

    future->waiting = false;
    if (waker == NULL)
        return NULL;
    future->channel->receiver_waker = NULL;
    return future->channel->receiver_borrowed ? NULL : waker;
}

/* Nothing is there: leaves the waker. TN_PENDING, TN_EPIPE, TN_EBUSY; 0: there is something after all. */
static int wait_for_element(tn_mpsc_recv_future *future, tn_waker *waker)
{
    tn_mpsc *channel = future->channel;
    tn_waker *old = NULL;
    int rc;

    tni_short_lock_acquire(&channel->waiting.lock);
    rc = is_over(channel);
    if (rc == TN_EAGAIN && channel->receiver_waker != NULL && channel->receiver != future)
        rc = TN_EBUSY;
    else
        old = take_back(future);
    if (rc == TN_EAGAIN) {
        rc = TN_PENDING;
        if (channel->waiting.first == NULL)
            calm(channel);
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

/* Something was received: whoever sent it has taken the waker, or does so now, under the lock. */
static void stop_waiting(tn_mpsc_recv_future *future)
{
    if (!future->waiting)
        return;
    future->waiting = false;
    tni_short_lock_wait_released(&future->channel->waiting.lock);
}

static int recv_poll(tn_future *self, tn_waker *waker)
{
    tn_mpsc_recv_future *future = tni_container_of(self, tn_mpsc_recv_future, base);
    int rc;

    if (!tni_budget_poll_enter(waker))
        return TN_PENDING;
    rc = future->in_frame && !future->waiting ? wait_for_element(future, waker) : 0; /* tn_mpsc_recv has looked already */
    while (rc == 0) {
        size_t taken = receive(future->channel, future->elements, future->count == 0 ? 1 : future->count);
        if (taken > 0) {
            stop_waiting(future);
            return tni_budget_poll_leave(waker, future->count == 0 ? 0 : (int)taken);
        }
        rc = wait_for_element(future, waker);
    }
    return tni_budget_poll_leave(waker, rc);
}

static void recv_drop(tn_future *self)
{
    tn_mpsc_recv_future *future = tni_container_of(self, tn_mpsc_recv_future, base);
    tn_waker *waker;

    if (!future->waiting)
        return;
    tni_short_lock_acquire(&future->channel->waiting.lock);
    waker = take_back(future);
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

void tn_mpsc_recv_many_init(tn_mpsc_recv_future *future, tn_mpsc *channel, void *elements, size_t count)
{
    tni_assert(count > 0 && count <= INT_MAX, "a number of elements to receive out of its range");
    recv_future_init(future, channel, elements, count);
}

int tn_mpsc_recv(tn_mpsc *channel, void *element)
{
    tn_mpsc_recv_future future;
    int rc = tni_budget_enter();

    if (rc != 0 || receive(channel, element, 1) > 0)
        return rc;
    recv_future_init(&future, channel, element, 0);
    future.in_frame = true;
    return tn_await(&future.base);
}

int tn_mpsc_recv_many(tn_mpsc *channel, void *elements, size_t count)
{
    tn_mpsc_recv_future future;
    int rc = tni_budget_enter();
    size_t taken;

    if (rc != 0)
        return rc;
    tn_mpsc_recv_many_init(&future, channel, elements, count);
    taken = receive(channel, elements, count);
    if (taken > 0)
        return (int)taken;
    future.in_frame = true;
    return tn_await(&future.base);
}

void tn_mpsc_close(tn_mpsc *channel)
{
    tni_wake receiver;

    tni_short_lock_acquire(&channel->waiting.lock);
    channel->closed = true;
    receiver = tni_mpsc_take_receiver(channel); /* it may be another task that closes */
    tni_waiters_complete_all(&channel->waiting, TNI_WAITER_CLOSED);
    tni_wake_do(receiver);
}

void tn_mpsc_release_receiver(tn_mpsc *channel)
{
    tni_short_lock_acquire(&channel->waiting.lock);
    tni_assert(!channel->receiver_gone, "the receiver's end is given up twice");
    channel->receiver_gone = true;
    channel->closed = true;
    tni_waiters_complete_all(&channel->waiting, TNI_WAITER_CLOSED);
    tni_mpsc_leave(channel);
}
