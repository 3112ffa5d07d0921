/* SPDX-License-Identifier: MIT */
/* The queue of waiters: the functions of waiters.h that are not inline. */
#include "waiters.h"

uint32_t tni_waiters_change_waker(tni_waiters *queue, tni_waiter *waiter, tn_waker *waker)
{
    tn_waker *old = waiter->waker;
    uint32_t state;

    tni_short_lock_acquire(&queue->lock);
    state = tni_waiter_state(waiter); /* a completer that has written a verdict has left the lock */
    if (state == TNI_WAITER_QUEUED)
        waiter->waker = waiter->borrowed ? waker : tn_waker_retain(waker);
    tni_short_lock_release(&queue->lock);
    if (state == TNI_WAITER_QUEUED && !waiter->borrowed)
        tn_waker_release(old);
    return state;
}

bool tni_waiters_leave(tni_waiters *queue, tni_waiter *waiter)
{
    if (tni_waiters_verdict(queue, waiter) != TNI_WAITER_QUEUED)
        return false;
    tni_short_lock_acquire(&queue->lock);
    if (tni_waiter_state(waiter) != TNI_WAITER_QUEUED) {
        tni_short_lock_release(&queue->lock);
        return false;
    }
    tni_list_remove(&queue->list, &waiter->node);
    tni_waiter_reset(waiter);
    return true;
}

void tni_waiters_wait_returning_locked(tni_waiters *queue)
{
    uint32_t returning;

    tni_short_lock_assert_held(&queue->lock);
    /* Relaxed: written under the lock. */
    for (unsigned tries = 0; (returning = tni_a32_load(&queue->returning, TNI_RELAXED)) > 0; tries++) {
        tni_short_lock_release(&queue->lock);
        tni_short_lock_pause(&queue->returning, returning, tries);
        tni_short_lock_acquire(&queue->lock);
    }
}

void tni_waiters_wake_between_locked(tni_waiters *queue, tni_wake_batch *batch)
{
    tni_short_lock_assert_held(&queue->lock);
    /* Relaxed: read under the lock too. */
    (void)tni_a32_fetch_add(&queue->returning, 1, TNI_RELAXED);
    tni_short_lock_release(&queue->lock);
    tni_wake_batch_wake(batch);
    tni_short_lock_acquire(&queue->lock);
    (void)tni_a32_fetch_sub(&queue->returning, 1, TNI_RELAXED); /* relaxed: read under the lock */
}

/* Completes the waiters up to ticket `newest`, as many as fit into the batch. True: there are more. */
static bool complete_some_locked(tni_waiters *queue, uint64_t newest, uint32_t verdict, tni_wake_batch *batch)
{
    tni_short_lock_assert_held(&queue->lock);
    while (!tni_waiters_is_empty(queue) && tni_waiters_first_locked(queue)->ticket <= newest) {
        if (tni_wake_batch_is_full(batch))
            return true;
        tni_wake_batch_add(batch, tni_waiters_complete_first_locked(queue, verdict));
    }
    return false;
}

void tni_waiters_complete_until_locked(tni_waiters *queue, uint64_t newest, uint32_t verdict)
{
    tni_wake_batch batch = {.count = 0};

    tni_short_lock_assert_held(&queue->lock);
    while (complete_some_locked(queue, newest, verdict, &batch))
        tni_waiters_wake_between_locked(queue, &batch);
    tni_short_lock_release(&queue->lock);
    tni_wake_batch_wake(&batch);
}
