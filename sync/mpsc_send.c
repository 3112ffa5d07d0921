/* SPDX-License-Identifier: MIT */
/* The senders' side of tn_mpsc: sending, reserving, waiting for a slot. The protocols are described in mpsc.c. */
#include "mpsc.h"
#include "time/deadline.h"

/* Is there a slot that is neither used nor reserved? Inline, as the next two: on the path of each send. */
__attribute__((always_inline)) static inline bool has_slot_locked(tn_mpsc *channel)
{
    uint64_t tail = tni_a64_load(&channel->tail, TNI_RELAXED); /* relaxed: written under the lock */

    tni_short_lock_assert_held(&channel->waiting.lock);
    if (tni_likely(tail - channel->head_seen + channel->reserved < channel->capacity))
        return true;
    /* Observes that the receiver has read those elements; partner: take_elements (mpsc_recv.c). */
    channel->head_seen = tni_a64_load(&channel->head, TNI_ACQUIRE);
    return tail - channel->head_seen + channel->reserved < channel->capacity;
}

/* There is a slot. */
__attribute__((always_inline)) static inline void put_locked(tn_mpsc *channel, const void *element)
{
    tni_short_lock_assert_held(&channel->waiting.lock);
    if (channel->back_used == channel->block_elements) {
        channel->back = channel->back->next;
        channel->back_used = 0;
    }
    tni_channel_copy_element(tni_mpsc_element_at(channel, channel->back, channel->back_used++), element, channel->element_size);
    /* Publishes the element; partner: tni_mpsc_peek (mpsc.h). The load is relaxed: `tail` is written under the lock. */
    tni_a64_store(&channel->tail, tni_a64_load(&channel->tail, TNI_RELAXED) + 1, TNI_RELEASE);
}

/* Sends `element`, or reserves a slot if it is NULL. Returns 0; TN_EAGAIN: other senders wait, or no slot is free;
 * TN_EPIPE: the channel is closed. */
__attribute__((always_inline)) static inline int admit_locked(tn_mpsc *channel, const void *element)
{
    tni_short_lock_assert_held(&channel->waiting.lock);
    for (;;) {
        if (channel->closed)
            return TN_EPIPE;
        if (!tni_waiters_is_empty(&channel->waiting) || !has_slot_locked(channel))
            return TN_EAGAIN;
        if (element == NULL) {
            channel->reserved++;
            return 0;
        }
        if (tni_likely(!tni_mpsc_must_grow(channel))) {
            put_locked(channel, element);
            return 0;
        }
        if (!tni_mpsc_grow_locked(channel))
            return TN_ENOMEM;
    }
}

void tni_mpsc_complete_senders_locked(tn_mpsc *channel)
{
    tni_waiters *queue = &channel->waiting;
    tni_wake_batch batch = {.count = 0};

    tni_short_lock_assert_held(&channel->waiting.lock);
    while (!tni_waiters_is_empty(queue) && !channel->closed && has_slot_locked(channel)) {
        if (tni_wake_batch_is_full(&batch)) {
            tni_waiters_wake_between_locked(queue, &batch);
            continue;
        }
        channel->reserved++;
        tni_wake_batch_add(&batch, tni_waiters_complete_first_locked(queue, TNI_WAITER_GRANTED));
    }
    tni_a32_store(&channel->has_waiters, !tni_waiters_is_empty(queue), TNI_RELAXED); /* relaxed: the lock publishes it */
    tni_short_lock_release(&queue->lock);
    tni_wake_batch_wake(&batch);
}

static int try_admit(tn_mpsc *channel, const void *element)
{
    tni_wake receiver = 0;
    int rc;

    tni_short_lock_acquire(&channel->waiting.lock);
    rc = admit_locked(channel, element);
    if (rc == 0 && element != NULL)
        receiver = tni_mpsc_take_receiver_locked(channel);
    tni_short_lock_release(&channel->waiting.lock);
    tni_wake_do(receiver);
    return rc;
}

int tn_mpsc_try_send(tn_mpsc *channel, const void *element)
{
    return try_admit(channel, element);
}

int tn_mpsc_try_reserve(tn_mpsc *channel)
{
    return try_admit(channel, NULL);
}

int tn_mpsc_send_reserved(tn_mpsc *channel, const void *element)
{
    tni_wake receiver = 0;
    int rc = 0;

    tni_short_lock_acquire(&channel->waiting.lock);
    while (rc == 0 && tni_mpsc_must_grow(channel))
        rc = tni_mpsc_grow_locked(channel) ? 0 : TN_ENOMEM;
    /* Checked after growing, which releases the lock. */
    tni_assert(channel->reserved > 0, "tn_mpsc_send_reserved: no slot is reserved");
    channel->reserved--;
    if (channel->receiver_gone)
        rc = TN_EPIPE;
    if (rc == 0)
        put_locked(channel, element);
    /* Also if nothing was sent: it may have been the last reserved slot of a closed channel, which now ends. */
    receiver = tni_mpsc_take_receiver_locked(channel);
    tni_short_lock_release(&channel->waiting.lock);
    tni_wake_do(receiver);
    return rc;
}

void tn_mpsc_unreserve(tn_mpsc *channel)
{
    tni_wake receiver = 0;

    tni_short_lock_acquire(&channel->waiting.lock);
    tni_assert(channel->reserved > 0, "tn_mpsc_unreserve: no slot is reserved");
    channel->reserved--;
    if (channel->closed && channel->reserved == 0)
        receiver = tni_mpsc_take_receiver_locked(channel); /* the channel has ended */
    tni_mpsc_complete_senders_locked(channel);
    tni_wake_do(receiver);
}

/* Where the kernel refuses the fence of queue_up: how long a sender waits until it checks again. */
#define CHECK_AGAIN_NS UINT64_C(1000000)

/* Called by a sender that is in the queue and about to wait. Since a heavy fence has failed, the receiver may have freed a slot
 * and not have seen that senders wait. Then they check again, until they have their slots. */
static void ask_again_if_unordered(const tn_mpsc *channel, tn_waker *waker)
{
    /* Relaxed: set under the lock, which this thread has held since it was set, or it was set for another sender. */
    if (tni_unlikely(tni_a32_load(&channel->unordered, TNI_RELAXED) != 0))
        tni_deadline_ask(waker, tni_deadline_after(CHECK_AGAIN_NS));
}

/* Polled while it is in the queue. */
static void check_again_if_unordered(tn_mpsc *channel, tn_waker *waker)
{
    if (tni_likely(tni_a32_load(&channel->unordered, TNI_RELAXED) == 0)) /* relaxed: as above */
        return;
    tni_short_lock_acquire(&channel->waiting.lock);
    tni_mpsc_complete_senders_locked(channel);
    ask_again_if_unordered(channel, waker);
}

/* Waits for a slot: queues up behind the other senders, then checks `head` once more. Releases the lock. */
static void queue_up_locked(tn_mpsc *channel, tni_waiter *waiter, tn_waker *waker)
{
    tni_short_lock_assert_held(&channel->waiting.lock);
    tni_waiters_push_locked(&channel->waiting, waiter, waker);
    /* Relaxed, all: written under the lock. The fences order them before the load of the head; partner:
     * slots_freed (mpsc_recv.c). */
    tni_a32_store(&channel->has_waiters, 1, TNI_RELAXED);
    if (tni_a32_load(&channel->contended, TNI_RELAXED) == 0) {
        tni_a32_store(&channel->contended, 1, TNI_RELAXED);
        /* No visits to processors: the lock is held. */
        if (tni_unlikely(!tni_fence_heavy_try(channel->asymmetric)))
            tni_a32_store(&channel->unordered, 1, TNI_RELAXED);
    } else {
        tni_fence_full();
    }
    tni_mpsc_complete_senders_locked(channel);
    ask_again_if_unordered(channel, waker);
}

static int send_poll(tn_future *self, tn_waker *waker)
{
    tn_mpsc_send_future *future = tni_container_of(self, tn_mpsc_send_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);
    tn_mpsc *channel = future->channel;
    tni_wake receiver = 0;
    int rc;

    switch (tni_waiters_begin_poll(&channel->waiting, waiter, waker)) {
    case TNI_WAITER_IDLE:
        break;
    case TNI_WAITER_QUEUED:
        check_again_if_unordered(channel, waker);
        return TN_PENDING;
    case TNI_WAITER_GRANTED:
        return tni_budget_poll_leave(waker, future->element == NULL ? 0 : tn_mpsc_send_reserved(channel, future->element));
    default:
        return tni_budget_poll_leave(waker, TN_EPIPE);
    }
    tni_short_lock_acquire(&channel->waiting.lock);
    rc = admit_locked(channel, future->element);
    if (rc == TN_EAGAIN) {
        queue_up_locked(channel, waiter, waker);
        return TN_PENDING;
    }
    if (rc == 0 && future->element != NULL)
        receiver = tni_mpsc_take_receiver_locked(channel);
    tni_short_lock_release(&channel->waiting.lock);
    tni_wake_do(receiver);
    return tni_budget_poll_leave(waker, rc);
}

static void send_drop(tn_future *self)
{
    tn_mpsc_send_future *future = tni_container_of(self, tn_mpsc_send_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);
    tn_mpsc *channel = future->channel;

    if (tni_waiters_leave(&channel->waiting, waiter)) {
        tni_waiters_left_locked(&channel->waiting, waiter);
    } else if (tni_waiter_state(waiter) != TNI_WAITER_IDLE) {
        bool granted = tni_waiters_verdict(&channel->waiting, waiter) == TNI_WAITER_GRANTED;
        tni_waiter_reset(waiter);
        if (granted)
            tn_mpsc_unreserve(channel);
    }
}

static void send_future_init(tn_mpsc_send_future *future, tn_mpsc *channel, const void *element)
{
    static const tn_future_ops ops = {send_poll, send_drop, "mpsc: a slot"};

    future->base.ops = &ops;
    future->channel = channel;
    future->element = element;
    tni_waiter_init(tni_waiter_of(&future->waiter), 1);
}

void tn_mpsc_send_init(tn_mpsc_send_future *future, tn_mpsc *channel, const void *element)
{
    tni_assert(element != NULL, "tn_mpsc_send: the element is NULL");
    send_future_init(future, channel, element);
}

void tn_mpsc_reserve_init(tn_mpsc_send_future *future, tn_mpsc *channel)
{
    send_future_init(future, channel, NULL);
}

/* Out of line: a send that finds a slot needs no space for the future. */
__attribute__((noinline)) static int await_slot(tn_mpsc *channel, const void *element)
{
    tn_mpsc_send_future future;

    send_future_init(&future, channel, element);
    tni_waiter_in_frame(tni_waiter_of(&future.waiter));
    return tn_await(&future.base);
}

static int wait_for_slot(tn_mpsc *channel, const void *element)
{
    int rc = tni_budget_enter_inline();

    if (rc == 0)
        rc = try_admit(channel, element);
    return tni_likely(rc != TN_EAGAIN) ? rc : await_slot(channel, element);
}

int tn_mpsc_send(tn_mpsc *channel, const void *element)
{
    tni_assert(element != NULL, "tn_mpsc_send: the element is NULL");
    return wait_for_slot(channel, element);
}

int tn_mpsc_reserve(tn_mpsc *channel)
{
    return wait_for_slot(channel, NULL);
}

bool tn_mpsc_is_closed(tn_mpsc *channel)
{
    bool closed;

    tni_short_lock_acquire(&channel->waiting.lock);
    closed = channel->closed;
    tni_short_lock_release(&channel->waiting.lock);
    return closed;
}
