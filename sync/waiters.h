/* SPDX-License-Identifier: MIT */
/* A FIFO queue of waiters: what all primitives of this layer use to wait.
 *
 * A waiter is in its future, and so in its owner's frame. It is linked and unlinked under the queue's lock. To complete a
 * waiter is to unlink it, take its waker and write a verdict into its state word: that store is the last access to the waiter.
 * The completer then prepares the wake, still under the lock, and does it after releasing the lock.
 *
 * One outcome: a waiter leaves the queue once, under the lock, either by a verdict or because its owner unlinks it
 * (tni_waiters_leave). An owner that comes too late finds the verdict, and the primitive gives back what it had granted.
 *
 * No wake is lost: an owner checks the primitive's condition and queues up under one hold of the lock. A thread that makes the
 * condition true completes waiters under the same lock afterwards, or has seen a mark in the primitive's word that there are
 * any.
 *
 * Nothing is freed early: a drop returns only after it has seen a verdict, or has unlinked the waiter under the lock. An owner
 * that sees a verdict waits until the completer has released the lock. That is the completer's last access to the primitive, so
 * the primitive may be freed when its last waiter has returned. Until then the waiting task cannot end, see tni_wake.
 *
 * The exception is a completer of more than TNI_WAKE_BATCH waiters (tni_waiters_wake_between_locked): it takes the lock again for
 * the waiters that are left. It counts itself in `returning` before it releases the lock; if the last of those waiters leaves
 * meanwhile, it waits for that return. Permits, or a lock, that are given back meanwhile are left for the returning completer
 * to grant (tni_waiters_has_completer_locked), so that no other thread completes the last waiter.
 */
#ifndef TNI_WAITERS_H
#define TNI_WAITERS_H

#include <tn/waiter.h>

#include "base/list.h"
#include "sched/budget_fiber.h"
#include "short_lock.h"
#include "task/task.h"
#include "wake.h"

/* A waiter's state. From TNI_WAITER_GRANTED on the values are verdicts; a primitive may add more. */
enum { TNI_WAITER_IDLE, TNI_WAITER_QUEUED, TNI_WAITER_GRANTED, TNI_WAITER_CLOSED };

typedef struct tni_waiter tni_waiter;
struct tni_waiter {
    tni_list_node node; /* under the lock: while QUEUED in the queue */
    tn_waker *waker;    /* written by the owner under the lock; while QUEUED a reference, unless `borrowed` */
    uint64_t ticket;    /* under the lock: its number in order of arrival */
    uint64_t wanted;    /* the owner's, constant while QUEUED: what it asks for; the primitive defines it */
    tni_a32 state;
    bool borrowed; /* the owner's, constant while QUEUED: the waiter cannot outlive the task that waits */
};

/* All zero: an empty queue. */
typedef struct {
    tni_short_lock lock;
    tni_a32 returning; /* completers that have released the lock and will take it again; written under the lock */
    tni_list list;
    uint64_t tickets; /* the last ticket given to a waiter */
} tni_waiters;

_Static_assert(sizeof(tni_waiter) + 8 <= sizeof(tn_waiter) && _Alignof(tni_waiter) <= _Alignof(tn_waiter), "with slack");

static inline tni_waiter *tni_waiter_of(tn_waiter *waiter)
{
    return (tni_waiter *)(void *)&waiter->opaque;
}

static inline void tni_waiter_init(tni_waiter *waiter, uint64_t wanted)
{
    waiter->wanted = wanted;
    waiter->borrowed = false;
    tni_a32_init(&waiter->state, TNI_WAITER_IDLE);
}

/* The future is in the frame of a call that returns after the drop, so the task needs no reference while it waits. */
static inline void tni_waiter_in_frame(tni_waiter *waiter)
{
    waiter->borrowed = true;
}

static inline uint32_t tni_waiter_state(const tni_waiter *waiter)
{
    /* Observes the verdict, and what was done before it; partner: tni_waiters_complete_first_locked. */
    return tni_a32_load(&waiter->state, TNI_ACQUIRE);
}

/* For the owner, in a poll: the verdict, or QUEUED or IDLE. After a verdict the primitive may be freed: the completer has
 * released the lock. */
static inline uint32_t tni_waiters_verdict(const tni_waiters *queue, const tni_waiter *waiter)
{
    uint32_t state = tni_waiter_state(waiter);

    if (state >= TNI_WAITER_GRANTED)
        tni_short_lock_wait_released(&queue->lock);
    return state;
}

/* For the owner, when the verdict has been returned: from now on there is nothing to give back. */
static inline void tni_waiter_reset(tni_waiter *waiter)
{
    tni_a32_store(&waiter->state, TNI_WAITER_IDLE, TNI_RELAXED); /* relaxed: no other thread reads it any more */
}

/* The queue must not change meanwhile: the caller holds the lock, or no other thread uses the queue. */
static inline bool tni_waiters_is_empty(const tni_waiters *queue)
{
    return queue->list.first == NULL;
}

/* The queue is not empty. */
static inline bool tni_waiters_has_one_locked(const tni_waiters *queue)
{
    tni_short_lock_assert_held(&queue->lock);
    return queue->list.first == queue->list.last;
}

/* The queue is not empty. */
static inline const tni_waiter *tni_waiters_first_locked(const tni_waiters *queue)
{
    tni_short_lock_assert_held(&queue->lock);
    return tni_container_of(queue->list.first, tni_waiter, node);
}

/* For the owner: links the waiter at the end of the queue. */
static inline void tni_waiters_push_locked(tni_waiters *queue, tni_waiter *waiter, tn_waker *waker)
{
    tni_short_lock_assert_held(&queue->lock);
    waiter->waker = waiter->borrowed ? waker : tn_waker_retain(waker);
    waiter->ticket = ++queue->tickets;
    tni_list_append(&queue->list, &waiter->node);
    tni_a32_store(&waiter->state, TNI_WAITER_QUEUED, TNI_RELAXED); /* relaxed: other threads read it under the lock */
}

/* The queue is not empty: completes the first waiter. */
static inline tni_wake tni_waiters_complete_first_locked(tni_waiters *queue, uint32_t verdict)
{
    tni_waiter *waiter = tni_container_of(tni_list_take_first(&queue->list), tni_waiter, node);
    tn_waker *waker = waiter->waker;
    bool borrowed = waiter->borrowed;

    tni_short_lock_assert_held(&queue->lock);
    /* Publishes the verdict and what was granted; the last access to the waiter; partner: tni_waiter_state. */
    tni_a32_store(&waiter->state, verdict, TNI_RELEASE);
    return tni_wake_prepare(waker, borrowed);
}

/* For the owner, after the waiter has been unlinked: releases its waker. */
static inline void tni_waiter_unref(tni_waiter *waiter)
{
    if (!waiter->borrowed)
        tn_waker_release(waiter->waker);
}

/* For the owner, polled with another waker while QUEUED: makes a verdict wake this one. Returns the state: the verdict, if that
 * was first. */
uint32_t tni_waiters_change_waker(tni_waiters *queue, tni_waiter *waiter, tn_waker *waker);

/* For the owner: unlinks the waiter. True: it was linked, and the lock is held, so that the caller can restore the primitive's
 * state; tni_waiters_left_locked must follow. False: there is a verdict, or the waiter was never linked. */
bool tni_waiters_leave(tni_waiters *queue, tni_waiter *waiter);

/* The lock is released meanwhile and held again on return: waits until no completer is about to take the lock again. Never
 * suspends. */
void tni_waiters_wait_returning_locked(tni_waiters *queue);

static inline void tni_waiters_left_locked(tni_waiters *queue, tni_waiter *waiter)
{
    tni_waiters_wait_returning_locked(queue);
    tni_short_lock_release(&queue->lock);
    tni_waiter_unref(waiter);
}

/* The lock is released for the wakes and held again on return. Until then no owner that unlinks itself returns
 * (tni_waiters_wait_returning_locked), so the primitive is not freed. */
void tni_waiters_wake_between_locked(tni_waiters *queue, tni_wake_batch *batch);

/* True: a completer is about to take the lock again, and will check which waiters to complete. Other threads leave
 * these waiters to the completer, because a waiter that they completed would not wait for the completer. */
static inline bool tni_waiters_has_completer_locked(const tni_waiters *queue)
{
    tni_short_lock_assert_held(&queue->lock);
    return tni_unlikely(tni_a32_load(&queue->returning, TNI_RELAXED) > 0); /* relaxed: written under the lock */
}

/* Releases the lock: completes each waiter whose ticket is at most `newest`. */
void tni_waiters_complete_until_locked(tni_waiters *queue, uint64_t newest, uint32_t verdict);

/* As tni_waiters_complete_until_locked, for the waiters that are in the queue now, not for those that come meanwhile. */
static inline void tni_waiters_complete_all_locked(tni_waiters *queue, uint32_t verdict)
{
    tni_waiters_complete_until_locked(queue, queue->tickets, verdict);
}

/* The beginning of a poll. Returns TNI_WAITER_QUEUED: the poll returns TN_PENDING, because the waiter is queued or its task's
 * budget is used up. TNI_WAITER_IDLE: the waiter is in no queue, and the poll checks the condition. Otherwise it returns the
 * verdict, and nothing is left to give back. */
static inline uint32_t tni_waiters_begin_poll(tni_waiters *queue, tni_waiter *waiter, tn_waker *waker)
{
    uint32_t state = tni_waiters_verdict(queue, waiter);

    if (state == TNI_WAITER_QUEUED && tni_unlikely(waiter->waker != waker)) /* only the owner writes it, so it is read without
                                                                             * the lock */
        state = tni_waiters_change_waker(queue, waiter, waker);
    if (state == TNI_WAITER_QUEUED || !tni_budget_poll_enter(waker))
        return TNI_WAITER_QUEUED;
    tni_waiter_reset(waiter);
    return state;
}

/* From tni_waiters_poll: the waiter is in no queue yet, and its poll checks the condition. */
enum { TNI_TO_QUEUE_UP = 1 };

/* As tni_waiters_begin_poll, where each verdict completes the poll with 0. Returns 0, TN_PENDING, or TNI_TO_QUEUE_UP: then the
 * caller spends the budget for the result (tni_budget_poll_leave). */
static inline int tni_waiters_poll(tni_waiters *queue, tni_waiter *waiter, tn_waker *waker)
{
    switch (tni_waiters_begin_poll(queue, waiter, waker)) {
    case TNI_WAITER_IDLE:
        return TNI_TO_QUEUE_UP;
    case TNI_WAITER_QUEUED:
        return TN_PENDING;
    default:
        return tni_budget_poll_leave(waker, 0);
    }
}

/* Releases the lock: the end of a poll that has checked the condition, with the result `rc`. TN_EAGAIN: the
 * waiter queues up, and the poll returns TN_PENDING. */
static inline int tni_waiters_end_poll_locked(tni_waiters *queue, tni_waiter *waiter, tn_waker *waker, int rc)
{
    tni_short_lock_assert_held(&queue->lock);
    if (rc == TN_EAGAIN) {
        tni_waiters_push_locked(queue, waiter, waker);
        rc = TN_PENDING;
    }
    tni_short_lock_release(&queue->lock);
    return tni_budget_poll_leave(waker, rc);
}

#endif
