/* SPDX-License-Identifier: MIT */
/* A queue of waiters, first come first served: the wait core of all primitives here.
 *
 * A waiter lies in its future, and so in its owner's frame. It is linked and unlinked under the queue's lock. Who ends a wait
 * (settles it) takes it off the queue, takes its waker, and writes the verdict into its state word: that store is the last
 * access to the waiter. Then it prepares the wake, still under the lock, and does it when the lock has been released.
 *
 * One outcome: a waiter leaves the queue once, under the lock, either by a verdict or because its owner takes it back
 * (tni_waiters_leave). An owner that comes too late finds the verdict, and the primitive gives back what it had granted.
 *
 * No wake-up is lost: an owner looks at the primitive's condition, and pushes, under one hold of the lock; who makes the
 * condition true settles under the same lock afterwards, or has seen a mark in the primitive's word that there are waiters.
 *
 * Nothing is freed early: drop answers only after it has seen a verdict, or has unlinked the waiter under the lock. Who sees a
 * verdict waits until its giver has let go of the lock. That is the giver's last access to the primitive, so the primitive may go
 * as soon as its last waiter has been answered. And until then the waiting task cannot end, see tni_wake. The exception is a
 * settler of more than TNI_WAKE_BATCH waiters (tni_waiters_wake_between): it comes back to the lock for those that are left. It
 * says so in `returning` before it lets go; if the last of them leaves meanwhile, it waits for that return. And the permits, or
 * the lock, that come back meanwhile are left for it to hand on (tni_waiters_has_completer), so that no other one answers the
 * last.
 */
#ifndef TNI_WAITERS_H
#define TNI_WAITERS_H

#include <tn/waiter.h>

#include "sched/budget_fiber.h"
#include "short_lock.h"
#include "task/task.h"
#include "wake.h"

/* A waiter's state. From TNI_WAITER_GRANTED on they are verdicts; a primitive may have further ones. */
enum { TNI_WAITER_IDLE, TNI_WAITER_QUEUED, TNI_WAITER_GRANTED, TNI_WAITER_CLOSED };

typedef struct tni_waiter tni_waiter;
struct tni_waiter {
    tni_waiter *next;     /* lock */
    tni_waiter *previous; /* lock */
    tn_waker *waker;      /* written by the owner under the lock; while QUEUED a reference, unless it is borrowed */
    uint64_t ticket;      /* lock: its number in order of arrival */
    uint64_t wanted;      /* the owner's, constant while QUEUED: what it asks for */
    tni_a32 state;
    bool borrowed; /* the owner's, constant while QUEUED: the waiter cannot outlive the task that waits */
};

/* All zero: empty. */
typedef struct {
    tni_short_lock lock;
    tni_a32 returning; /* settlers that have let go of the lock and come back to it; written under the lock */
    tni_waiter *first;
    tni_waiter *last;
    uint64_t tickets; /* handed out so far */
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

/* The future is in the frame of a call that ends after it has been dropped: its task needs no reference while it waits. */
static inline void tni_waiter_in_frame(tni_waiter *waiter)
{
    waiter->borrowed = true;
}

static inline uint32_t tni_waiter_state(const tni_waiter *waiter)
{
    /* Observes the verdict, and what was done before it was given; partner: tni_waiters_complete_first. */
    return tni_a32_load(&waiter->state, TNI_ACQUIRE);
}

/* Owner, in a poll: the verdict, or QUEUED or IDLE. After a verdict the primitive may be freed: whoever gave it has let go of
 * the lock. */
static inline uint32_t tni_waiters_verdict(const tni_waiters *queue, const tni_waiter *waiter)
{
    uint32_t state = tni_waiter_state(waiter);

    if (state >= TNI_WAITER_GRANTED)
        tni_short_lock_wait_released(&queue->lock);
    return state;
}

/* Owner, when the verdict has been answered: from now on there is nothing to give back. */
static inline void tni_waiter_reset(tni_waiter *waiter)
{
    tni_a32_store(&waiter->state, TNI_WAITER_IDLE, TNI_RELAXED); /* relaxed: nobody else looks at it any more */
}

/* Owner, lock held: to the end of the queue. */
static inline void tni_waiters_push(tni_waiters *queue, tni_waiter *waiter, tn_waker *waker)
{
    waiter->waker = waiter->borrowed ? waker : tn_waker_retain(waker);
    waiter->ticket = ++queue->tickets;
    waiter->next = NULL;
    waiter->previous = queue->last;
    if (queue->last != NULL)
        queue->last->next = waiter;
    else
        queue->first = waiter;
    queue->last = waiter;
    tni_a32_store(&waiter->state, TNI_WAITER_QUEUED, TNI_RELAXED); /* relaxed: others look at it under the lock */
}

/* Lock held. */
static inline void tni_waiters_unlink(tni_waiters *queue, tni_waiter *waiter)
{
    if (waiter->previous != NULL)
        waiter->previous->next = waiter->next;
    else
        queue->first = waiter->next;
    if (waiter->next != NULL)
        waiter->next->previous = waiter->previous;
    else
        queue->last = waiter->previous;
}

/* Lock held, not empty: ends the wait of the first one. */
static inline tni_wake tni_waiters_complete_first(tni_waiters *queue, uint32_t verdict)
{
    tni_waiter *waiter = queue->first;
    tn_waker *waker = waiter->waker;
    bool borrowed = waiter->borrowed;

    queue->first = waiter->next;
    if (queue->first != NULL)
        queue->first->previous = NULL;
    else
        queue->last = NULL;
    /* Publishes the grant; the last access to the waiter; partner: tni_waiter_state. */
    tni_a32_store(&waiter->state, verdict, TNI_RELEASE);
    return tni_wake_prepare(waker, borrowed);
}

/* Owner, out of the queue: its waker's reference. */
static inline void tni_waiter_unref(tni_waiter *waiter)
{
    if (!waiter->borrowed)
        tn_waker_release(waiter->waker);
}

/* Owner, polled by another waker while QUEUED: a verdict wakes this one from now on. Returns the state: the verdict, if it was
 * first. */
uint32_t tni_waiters_change_waker(tni_waiters *queue, tni_waiter *waiter, tn_waker *waker);

/* Owner: leaves the queue, if it is still in it. True: it was, and the lock is held, so that the caller can mend the primitive's
 * state; it ends with tni_waiters_left. False: there is a verdict, or it was never in. */
bool tni_waiters_leave(tni_waiters *queue, tni_waiter *waiter);

/* Lock held, left for a moment and held again: waits until no settler is on its way back to the lock. It never suspends there. */
void tni_waiters_wait_returning(tni_waiters *queue);

static inline void tni_waiters_left(tni_waiters *queue, tni_waiter *waiter)
{
    tni_waiters_wait_returning(queue);
    tni_short_lock_release(&queue->lock);
    tni_waiter_unref(waiter);
}

/* Lock held, and again in the end: wakes without it. Until it is held again nobody who leaves the queue answers
 * (tni_waiters_wait_returning): so the memory stays. */
void tni_waiters_wake_between(tni_waiters *queue, tni_wake_batch *batch);

/* Lock held: somebody is on the way back to it, and will look whom to settle. Others leave it to him: a waiter that they settled
 * would not know of him. */
static inline bool tni_waiters_has_completer(const tni_waiters *queue)
{
    return tni_unlikely(tni_a32_load(&queue->returning, TNI_RELAXED) > 0); /* relaxed: written under the lock */
}

/* Lock held, and released in the end: settles everyone whose ticket is at most `newest`. */
void tni_waiters_complete_until(tni_waiters *queue, uint64_t newest, uint32_t verdict);

/* The same for everyone who is in the queue now, and nobody who comes meanwhile. */
static inline void tni_waiters_complete_all(tni_waiters *queue, uint32_t verdict)
{
    tni_waiters_complete_until(queue, queue->tickets, verdict);
}

/* What the polls begin with. Returns TNI_WAITER_QUEUED: the poll returns TN_PENDING, because the waiter is queued, or its task's
 * budget is used up. TNI_WAITER_IDLE: the waiter is in no queue, and the poll goes on to the condition. Else the verdict; then
 * nothing is left to give back. */
static inline uint32_t tni_waiters_begin_poll(tni_waiters *queue, tni_waiter *waiter, tn_waker *waker)
{
    uint32_t state = tni_waiters_verdict(queue, waiter);

    if (state == TNI_WAITER_QUEUED && tni_unlikely(waiter->waker != waker)) /* written by the owner alone: no lock to look */
        state = tni_waiters_change_waker(queue, waiter, waker);
    if (state == TNI_WAITER_QUEUED || !tni_budget_poll_enter(waker))
        return TNI_WAITER_QUEUED;
    tni_waiter_reset(waiter);
    return state;
}

/* tni_waiters_poll: the waiter is in no queue yet, and its poll goes on to the condition. */
enum { TNI_TO_QUEUE_UP = 1 };

/* The same where each verdict completes the poll with 0: 0, TN_PENDING, or TNI_TO_QUEUE_UP: what comes of that is spent by the
 * caller (tni_budget_poll_leave). */
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

#endif
