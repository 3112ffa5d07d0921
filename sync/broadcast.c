/* SPDX-License-Identifier: MIT */
/* tn_broadcast: a channel on which every receiver gets every element. It is a ring under the queue's lock, also while elements
 * are copied: a slow receiver's element may be overwritten as soon as the lock is released. A receiver checks for an element
 * and queues up under one hold of the lock; a send wakes all receivers, and each checks again.
 *
 * Elements may own something: `retain` makes the copy of a receiver an owner, under the lock, so that the element is not
 * overwritten meanwhile. `discard` ends the ring's own copy, outside of the lock: of an element that is overwritten, a copy that
 * the sender has taken under the lock; of those that are left, when the last end has gone. */
#include <tn/broadcast.h>

#include "base/options.h"
#include "channel.h"
#include "ends.h"
#include "sched/runtime.h"

struct tn_broadcast {
    tni_ends ends;
    size_t element_size;
    size_t capacity;
    uint64_t sent;      /* under the lock */
    uint32_t receivers; /* under the lock */
    void (*retain)(void *element);
    void (*discard)(void *element);
    _Alignas(16) unsigned char ring[];
};

/* The longest element that may own something: senders keep the one that they overwrite on their stack. */
#define OWNING_MAX_BYTES 256

static int check_owning(const tni_channel_options *options, size_t element_size)
{
    if ((options->retain == NULL) != (options->discard == NULL))
        return tni_options_refuse(tni_runtime_log_here(), "tn_broadcast_create",
                                  "retain and discard need each other: set both or none");
    if (options->retain != NULL && element_size > OWNING_MAX_BYTES)
        return tni_options_refuse(tni_runtime_log_here(), "tn_broadcast_create",
                                  "retain is for elements of at most 256 bytes: send a pointer");
    return 0;
}

int tn_broadcast_create(tn_broadcast **out, size_t element_size, size_t capacity, const tn_channel_options *options)
{
    tni_channel_options kept;
    tn_broadcast *channel = NULL;
    int rc;

    *out = NULL;
    if (capacity == 0)
        return TN_EINVAL;
    rc = tni_channel_options_read(&kept, options, "tn_broadcast_create");
    if (rc == 0)
        rc = check_owning(&kept, element_size);
    if (rc != 0)
        return rc;
    if (element_size == 0 || capacity < (SIZE_MAX - sizeof *channel) / element_size)
        channel = tni_alloc(&kept.allocator, sizeof *channel + element_size * capacity, _Alignof(tn_broadcast));
    if (channel == NULL)
        return TN_ENOMEM;
    tni_ends_init(&channel->ends, &kept.allocator);
    channel->element_size = element_size;
    channel->capacity = capacity;
    channel->retain = kept.retain;
    channel->discard = kept.discard;
    *out = channel;
    return 0;
}

static void *element_at(tn_broadcast *channel, uint64_t number)
{
    return channel->ring + number % channel->capacity * channel->element_size;
}

/* Called when the last end has gone. */
static void discard_rest(tni_ends *ends)
{
    tn_broadcast *channel = tni_container_of(ends, tn_broadcast, ends);
    uint64_t first = channel->sent > channel->capacity ? channel->sent - channel->capacity : 0;

    if (channel->discard == NULL)
        return;
    for (uint64_t number = first; number < channel->sent; number++)
        channel->discard(element_at(channel, number));
}

static size_t size_of(const tn_broadcast *channel)
{
    return sizeof *channel + channel->element_size * channel->capacity;
}

void tn_broadcast_retain_sender(tn_broadcast *channel)
{
    tni_ends_add_sender(&channel->ends);
}

void tn_broadcast_release_sender(tn_broadcast *channel)
{
    tni_ends_drop_sender(&channel->ends, size_of(channel), discard_rest);
}

int tn_broadcast_send(tn_broadcast *channel, const void *element)
{
    void (*discard)(void *) = NULL;
    _Alignas(16) unsigned char overwritten[OWNING_MAX_BYTES];
    void *slot;
    int receivers;

    tni_short_lock_acquire(&channel->ends.queue.lock);
    slot = element_at(channel, channel->sent);
    if (channel->discard != NULL && channel->sent >= channel->capacity) {
        discard = channel->discard;
        tni_channel_copy_element(overwritten, slot, channel->element_size);
    }
    tni_channel_copy_element(slot, element, channel->element_size);
    channel->sent++;
    receivers = (int)channel->receivers;
    tni_waiters_complete_all_locked(&channel->ends.queue, TNI_WAITER_GRANTED);
    if (discard != NULL)
        discard(overwritten);
    return receivers;
}

void tn_broadcast_subscribe(tn_broadcast *channel, tn_broadcast_receiver *receiver)
{
    tni_ends_add(&channel->ends);
    tni_short_lock_acquire(&channel->ends.queue.lock);
    channel->receivers++;
    receiver->channel = channel;
    receiver->next = channel->sent;
    tni_short_lock_release(&channel->ends.queue.lock);
}

void tn_broadcast_unsubscribe(tn_broadcast_receiver *receiver)
{
    tn_broadcast *channel = receiver->channel;

    tni_short_lock_acquire(&channel->ends.queue.lock);
    channel->receivers--;
    tni_short_lock_release(&channel->ends.queue.lock);
    receiver->channel = NULL;
    tni_ends_drop(&channel->ends, size_of(channel), discard_rest);
}

static int take_next_locked(tn_broadcast_receiver *receiver, void *element, uint64_t *missed)
{
    tn_broadcast *channel = receiver->channel;
    uint64_t behind = channel->sent - receiver->next;

    tni_short_lock_assert_held(&channel->ends.queue.lock);
    if (behind == 0)
        return channel->ends.ended ? TN_EPIPE : TN_EAGAIN;
    if (behind > channel->capacity) {
        if (missed != NULL)
            *missed = behind - channel->capacity;
        receiver->next = channel->sent - channel->capacity;
        return TN_EOVERFLOW;
    }
    tni_channel_copy_element(element, element_at(channel, receiver->next), channel->element_size);
    if (channel->retain != NULL)
        channel->retain(element);
    receiver->next++;
    return 0;
}

int tn_broadcast_try_recv(tn_broadcast_receiver *receiver, void *element, uint64_t *missed)
{
    tn_broadcast *channel = receiver->channel;
    int rc;

    tni_short_lock_acquire(&channel->ends.queue.lock);
    rc = take_next_locked(receiver, element, missed);
    tni_short_lock_release(&channel->ends.queue.lock);
    return rc;
}

static int recv_poll(tn_future *self, tn_waker *waker)
{
    tn_broadcast_future *future = tni_container_of(self, tn_broadcast_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);
    tni_waiters *queue = &future->receiver->channel->ends.queue;

    if (tni_waiters_begin_poll(queue, waiter, waker) == TNI_WAITER_QUEUED)
        return TN_PENDING;
    tni_short_lock_acquire(&queue->lock);
    return tni_waiters_end_poll_locked(queue, waiter, waker, take_next_locked(future->receiver, future->element, future->missed));
}

static void recv_drop(tn_future *self)
{
    tn_broadcast_future *future = tni_container_of(self, tn_broadcast_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);

    /* A verdict only means "check again": there is nothing to give back. */
    if (tni_waiter_state(waiter) != TNI_WAITER_IDLE && tni_waiters_leave(&future->receiver->channel->ends.queue, waiter))
        tni_waiters_left_locked(&future->receiver->channel->ends.queue, waiter);
}

void tn_broadcast_recv_init(tn_broadcast_future *future, tn_broadcast_receiver *receiver, void *element, uint64_t *missed)
{
    static const tn_future_ops ops = {recv_poll, recv_drop, "broadcast"};

    future->base.ops = &ops;
    future->receiver = receiver;
    future->element = element;
    future->missed = missed;
    tni_waiter_init(tni_waiter_of(&future->waiter), 0);
}

int tn_broadcast_recv(tn_broadcast_receiver *receiver, void *element, uint64_t *missed)
{
    tn_broadcast_future future;
    int rc = tni_budget_enter();

    if (rc != 0)
        return rc;
    rc = tn_broadcast_try_recv(receiver, element, missed);
    if (rc != TN_EAGAIN)
        return rc;
    tn_broadcast_recv_init(&future, receiver, element, missed);
    tni_waiter_in_frame(tni_waiter_of(&future.waiter));
    return tn_await(&future.base);
}
