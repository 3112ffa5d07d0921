/* SPDX-License-Identifier: MIT */
/* tn_watch: a value that changes, and receivers that wait for changes. Value and version are under the queue's lock. A receiver
 * checks the version and queues up under one hold of the lock; a send wakes all receivers, and each checks again. */
#include <tn/watch.h>

#include "channel.h"
#include "ends.h"

struct tn_watch {
    tni_ends ends;
    size_t size;
    uint64_t version;                   /* under the lock */
    _Alignas(16) unsigned char value[]; /* under the lock */
};

int tn_watch_create(tn_watch **out, size_t size, const void *value, const tn_channel_options *options)
{
    tni_channel_options kept;
    tn_watch *watch = NULL;
    int rc;

    *out = NULL;
    rc = tni_channel_options_read(&kept, options, "tn_watch_create");
    if (rc != 0)
        return rc;
    if (size < SIZE_MAX - sizeof *watch)
        watch = tni_alloc(&kept.allocator, sizeof *watch + size, _Alignof(tn_watch));
    *out = watch;
    if (watch == NULL)
        return TN_ENOMEM;
    tni_ends_init(&watch->ends, &kept.allocator);
    watch->size = size;
    tni_channel_copy_element(watch->value, value, size);
    return 0;
}

static size_t size_of(const tn_watch *watch)
{
    return sizeof *watch + watch->size;
}

void tn_watch_retain_sender(tn_watch *watch)
{
    tni_ends_add_sender(&watch->ends);
}

void tn_watch_release_sender(tn_watch *watch)
{
    tni_ends_drop_sender(&watch->ends, size_of(watch), NULL);
}

void tn_watch_send(tn_watch *watch, const void *value)
{
    tni_short_lock_acquire(&watch->ends.queue.lock);
    tni_channel_copy_element(watch->value, value, watch->size);
    watch->version++;
    tni_waiters_complete_all_locked(&watch->ends.queue, TNI_WAITER_GRANTED);
}

bool tn_watch_send_if_modified(tn_watch *watch, bool (*modify)(void *value, void *arg), void *arg)
{
    bool modified;

    tni_short_lock_acquire(&watch->ends.queue.lock);
    modified = modify(watch->value, arg);
    if (modified) {
        watch->version++;
        tni_waiters_complete_all_locked(&watch->ends.queue, TNI_WAITER_GRANTED);
    } else {
        tni_short_lock_release(&watch->ends.queue.lock);
    }
    return modified;
}

void tn_watch_subscribe(tn_watch *watch, tn_watch_receiver *receiver)
{
    tni_ends_add(&watch->ends);
    receiver->watch = watch;
    tni_short_lock_acquire(&watch->ends.queue.lock);
    receiver->seen = watch->version;
    tni_short_lock_release(&watch->ends.queue.lock);
}

void tn_watch_unsubscribe(tn_watch_receiver *receiver)
{
    tni_ends_drop(&receiver->watch->ends, size_of(receiver->watch), NULL);
    receiver->watch = NULL;
}

const void *tn_watch_borrow(tn_watch_receiver *receiver)
{
    tni_short_lock_acquire(&receiver->watch->ends.queue.lock);
    receiver->seen = receiver->watch->version;
    return receiver->watch->value;
}

void tn_watch_return(tn_watch_receiver *receiver)
{
    tni_short_lock_release(&receiver->watch->ends.queue.lock);
}

void tn_watch_get(tn_watch_receiver *receiver, void *value)
{
    tni_channel_copy_element(value, tn_watch_borrow(receiver), receiver->watch->size);
    tn_watch_return(receiver);
}

static int check_changed_locked(tn_watch_receiver *receiver)
{
    const tn_watch *watch = receiver->watch;

    tni_short_lock_assert_held(&watch->ends.queue.lock);
    if (receiver->seen == watch->version)
        return watch->ends.ended ? TN_EPIPE : TN_EAGAIN;
    receiver->seen = watch->version;
    return 0;
}

int tn_watch_try_changed(tn_watch_receiver *receiver)
{
    int rc;

    tni_short_lock_acquire(&receiver->watch->ends.queue.lock);
    rc = check_changed_locked(receiver);
    tni_short_lock_release(&receiver->watch->ends.queue.lock);
    return rc;
}

static int changed_poll(tn_future *self, tn_waker *waker)
{
    tn_watch_future *future = tni_container_of(self, tn_watch_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);
    tni_waiters *queue = &future->receiver->watch->ends.queue;

    if (tni_waiters_begin_poll(queue, waiter, waker) == TNI_WAITER_QUEUED)
        return TN_PENDING;
    tni_short_lock_acquire(&queue->lock);
    return tni_waiters_end_poll_locked(queue, waiter, waker, check_changed_locked(future->receiver));
}

static void changed_drop(tn_future *self)
{
    tn_watch_future *future = tni_container_of(self, tn_watch_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);

    /* A verdict only means "check again": there is nothing to give back. */
    if (tni_waiter_state(waiter) != TNI_WAITER_IDLE && tni_waiters_leave(&future->receiver->watch->ends.queue, waiter))
        tni_waiters_left_locked(&future->receiver->watch->ends.queue, waiter);
}

void tn_watch_changed_init(tn_watch_future *future, tn_watch_receiver *receiver)
{
    static const tn_future_ops ops = {changed_poll, changed_drop, "watch"};

    future->base.ops = &ops;
    future->receiver = receiver;
    tni_waiter_init(tni_waiter_of(&future->waiter), 0);
}

int tn_watch_changed(tn_watch_receiver *receiver)
{
    tn_watch_future future;
    int rc = tni_budget_enter();

    if (rc != 0)
        return rc;
    rc = tn_watch_try_changed(receiver);
    if (rc != TN_EAGAIN)
        return rc;
    tn_watch_changed_init(&future, receiver);
    tni_waiter_in_frame(tni_waiter_of(&future.waiter));
    return tn_await(&future.base);
}
