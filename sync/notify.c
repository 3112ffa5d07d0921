/* SPDX-License-Identifier: MIT */
/* The word: KEPT (a notification nobody has taken yet), WAITED (somebody is in the queue), and above them the number of
 * notify_all calls. WAITED is written under the queue's lock. KEPT and WAITED are never set together outside it.
 *
 * notify_one that does not see WAITED sets KEPT by a compare-and-swap, so it comes before the waiter's, which then finds KEPT. */
#include <tn/notify.h>

#include "waiters.h"

#define WAITED UINT64_C(1)
#define KEPT UINT64_C(2)
#define ROUND UINT64_C(4)

/* Notified by notify_all: dropped, it has nothing to pass on. */
enum { TOLD_WITH_ALL = TNI_WAITER_CLOSED };

typedef struct {
    tni_a64 word;
    tni_waiters queue;
    uint64_t told; /* lock: tickets up to this one are told by a notify_all, which may not have come to them yet */
} notify_state;

_Static_assert(sizeof(notify_state) + 16 <= sizeof(tn_notify) && _Alignof(notify_state) <= _Alignof(tn_notify), "with slack");

static notify_state *inside(tn_notify *notify)
{
    return (notify_state *)(void *)&notify->opaque;
}

void tn_notify_init(tn_notify *notify)
{
    *notify = (tn_notify)TN_NOTIFY_INIT;
}

void tn_notify_fini(tn_notify *notify)
{
    tni_assert(inside(notify)->queue.first == NULL, "a notify ends that somebody waits for");
}

int tn_notify_try_wait(tn_notify *notify)
{
    notify_state *state = inside(notify);
    /* Relaxed: the CAS checks it. */
    uint64_t word = tni_a64_load(&state->word, TNI_RELAXED);

    do {
        if (!(word & KEPT))
            return TN_EAGAIN;
        /* Acquire: what the notifier wrote before; partner: tn_notify_one. */
    } while (!tni_a64_cas(&state->word, &word, word & ~KEPT, TNI_ACQUIRE));
    return 0;
}

/* Lock held, somebody waits, and it is released in the end. */
static void tell_first(notify_state *state)
{
    tni_wake wake = tni_waiters_complete_first(&state->queue, TNI_WAITER_GRANTED);

    /* Relaxed: nothing is published by it; who queues up next does so under the lock. */
    if (state->queue.first == NULL)
        (void)tni_a64_fetch_and(&state->word, ~WAITED, TNI_RELAXED);
    tni_short_lock_release(&state->queue.lock);
    tni_wake_do(wake);
}

void tn_notify_one(tn_notify *notify)
{
    notify_state *state = inside(notify);
    /* Relaxed: the CAS checks it. */
    uint64_t word = tni_a64_load(&state->word, TNI_RELAXED);

    for (;;) {
        /* Release, also if KEPT was set already: the next to wait sees what we wrote; partners: tn_notify_try_wait, queue_up. */
        if (!(word & WAITED) && tni_a64_cas(&state->word, &word, word | KEPT, TNI_ACQ_REL))
            return;
        if (!(word & WAITED))
            continue;
        tni_short_lock_acquire(&state->queue.lock);
        if (state->queue.first != NULL && state->queue.first->ticket > state->told) {
            tell_first(state);
            return;
        }
        if (state->queue.first != NULL) {
            /* A notify_all has begun before us and not ended: those that it tells are not ours to tell. */
            tni_waiters_complete_until(&state->queue, state->told, TOLD_WITH_ALL);
        } else {
            /* Who set it left while that notify_all was at work. Relaxed: as in tell_first. */
            (void)tni_a64_fetch_and(&state->word, ~WAITED, TNI_RELAXED);
            tni_short_lock_release(&state->queue.lock);
        }
        word = tni_a64_load(&state->word, TNI_RELAXED); /* as above */
    }
}

void tn_notify_all(tn_notify *notify)
{
    notify_state *state = inside(notify);

    tni_short_lock_acquire(&state->queue.lock);
    /* Release: who waits since before sees what we wrote; partner: queue_up. */
    (void)tni_a64_fetch_add(&state->word, ROUND, TNI_ACQ_REL);
    (void)tni_a64_fetch_and(&state->word, ~WAITED, TNI_RELAXED); /* as in tell_first */
    state->told = state->queue.tickets;
    tni_waiters_complete_until(&state->queue, state->told, TOLD_WITH_ALL);
}

/* `waiter->wanted` is the round in which it was prepared. */
static int queue_up(notify_state *state, tni_waiter *waiter, tn_waker *waker)
{
    uint64_t word;
    int rc = TN_PENDING;

    tni_short_lock_acquire(&state->queue.lock);
    /* Says that there is a waiter, observes a notification; partners: tn_notify_one, tn_notify_all. */
    word = tni_a64_fetch_or(&state->word, WAITED, TNI_ACQ_REL);
    /* A kept one is taken by read-modify-write: a try_wait may be faster. Acquire: as the mark. */
    if (word / ROUND != waiter->wanted || ((word & KEPT) && (tni_a64_fetch_and(&state->word, ~KEPT, TNI_ACQUIRE) & KEPT)))
        rc = 0;
    if (rc == TN_PENDING)
        tni_waiters_push(&state->queue, waiter, waker);
    else if (state->queue.first == NULL)
        (void)tni_a64_fetch_and(&state->word, ~WAITED, TNI_RELAXED); /* as in tell_first */
    tni_short_lock_release(&state->queue.lock);
    return rc;
}

static int wait_poll(tn_future *self, tn_waker *waker)
{
    tn_notify_future *future = tni_container_of(self, tn_notify_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);
    notify_state *state = inside(future->notify);
    int rc = tni_waiters_poll(&state->queue, waiter, waker);

    return rc == TNI_TO_QUEUE_UP ? tni_budget_poll_leave(waker, queue_up(state, waiter, waker)) : rc;
}

static void wait_drop(tn_future *self)
{
    tn_notify_future *future = tni_container_of(self, tn_notify_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);
    notify_state *state = inside(future->notify);

    if (tni_waiters_leave(&state->queue, waiter)) {
        /* Relaxed: as in tell_first. */
        if (state->queue.first == NULL)
            (void)tni_a64_fetch_and(&state->word, ~WAITED, TNI_RELAXED);
        tni_waiters_left(&state->queue, waiter);
    } else if (tni_waiters_verdict(&state->queue, waiter) == TNI_WAITER_GRANTED) {
        tni_waiter_reset(waiter);
        tn_notify_one(future->notify);
    }
}

void tn_notify_wait_init(tn_notify_future *future, tn_notify *notify)
{
    static const tn_future_ops ops = {wait_poll, wait_drop, "notify"};

    future->base.ops = &ops;
    future->notify = notify;
    /* Acquire: what is done after this comes after the notify_all calls counted here. */
    tni_waiter_init(tni_waiter_of(&future->waiter), tni_a64_load(&inside(notify)->word, TNI_ACQUIRE) / ROUND);
}

int tn_notify_wait(tn_notify *notify)
{
    tn_notify_future future;

    tn_notify_wait_init(&future, notify); /* before the await, which may yield first: it waits from here on */
    /* No look at a kept one first: if a notify_all has ended this wait meanwhile, that one is somebody else's. */
    tni_waiter_in_frame(tni_waiter_of(&future.waiter));
    return tn_await(&future.base);
}
