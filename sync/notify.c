/* SPDX-License-Identifier: MIT */
/* tn_notify: a task waits until another one notifies it. Its state word has KEPT (a stored notification that no waiter has
 * taken), WAITED (a waiter is in the queue), and above them the number of notify_all calls. WAITED is written under the queue's
 * lock. KEPT and WAITED are never both set outside it.
 *
 * A notify_one that does not see WAITED sets KEPT by a compare-and-swap. So it precedes the waiter's marking, which then finds
 * KEPT. */
#include <tn/notify.h>

#include "base/order.h"
#include "waiters.h"

#define WAITED UINT64_C(1)
#define KEPT UINT64_C(2)
#define ROUND UINT64_C(4)

/* The verdict of notify_all: a drop has nothing to pass on. */
enum { NOTIFIED_BY_ALL = TNI_WAITER_CLOSED };

typedef struct {
    tni_a64 word;
    tni_waiters queue;
    uint64_t all_until; /* under the lock: waiters up to this ticket are notified by a notify_all, which may still be under way */
} notify_state;

_Static_assert(sizeof(notify_state) + 16 <= sizeof(tn_notify) && _Alignof(notify_state) <= _Alignof(tn_notify), "with slack");

static notify_state *impl_of(tn_notify *notify)
{
    return (notify_state *)(void *)&notify->opaque;
}

void tn_notify_init(tn_notify *notify)
{
    *notify = (tn_notify)TN_NOTIFY_INIT;
}

void tn_notify_fini(tn_notify *notify)
{
    tni_assert(tni_waiters_is_empty(&impl_of(notify)->queue), "tn_notify_fini: there are waiters");
}

int tn_notify_try_wait(tn_notify *notify)
{
    notify_state *state = impl_of(notify);
    /* Relaxed: the CAS verifies it. */
    uint64_t word = tni_a64_load(&state->word, TNI_RELAXED);

    do {
        if (!(word & KEPT))
            return TN_EAGAIN;
        /* Observes what the notifier wrote before; partner: tn_notify_one. */
    } while (!tni_a64_cas(&state->word, &word, word & ~KEPT, TNI_ACQUIRE));
    tni_order_acquire();
    return 0;
}

/* Releases the lock. The queue is not empty. */
static void notify_first_locked(notify_state *state)
{
    tni_wake wake = tni_waiters_complete_first_locked(&state->queue, TNI_WAITER_GRANTED);

    tni_short_lock_assert_held(&state->queue.lock);
    /* Relaxed: publishes nothing; the next waiter queues up under the lock. */
    if (tni_waiters_is_empty(&state->queue))
        (void)tni_a64_fetch_and(&state->word, ~WAITED, TNI_RELAXED);
    tni_short_lock_release(&state->queue.lock);
    tni_wake_do(wake);
}

void tn_notify_one(tn_notify *notify)
{
    notify_state *state = impl_of(notify);
    /* Relaxed: the CAS verifies it. */
    uint64_t word = tni_a64_load(&state->word, TNI_RELAXED);

    tni_order_release();
    for (;;) {
        /* Publishes what the notifier wrote, also if KEPT was set already; partners: tn_notify_try_wait, queue_up. */
        if (!(word & WAITED) && tni_a64_cas(&state->word, &word, word | KEPT, TNI_ACQ_REL))
            return;
        if (!(word & WAITED))
            continue;
        tni_short_lock_acquire(&state->queue.lock);
        if (!tni_waiters_is_empty(&state->queue) && tni_waiters_first_locked(&state->queue)->ticket > state->all_until) {
            notify_first_locked(state);
            return;
        }
        if (!tni_waiters_is_empty(&state->queue)) {
            /* A notify_all that began before has not ended. Its waiters must not consume this notification: complete them
             * first. */
            tni_waiters_complete_until_locked(&state->queue, state->all_until, NOTIFIED_BY_ALL);
        } else {
            /* WAITED is set although the queue is empty: the waiter that set it came during a notify_all, and left before that
             * had completed all its waiters. Relaxed: as in notify_first_locked. */
            (void)tni_a64_fetch_and(&state->word, ~WAITED, TNI_RELAXED);
            tni_short_lock_release(&state->queue.lock);
        }
        word = tni_a64_load(&state->word, TNI_RELAXED); /* relaxed: the CAS verifies it */
    }
}

void tn_notify_all(tn_notify *notify)
{
    notify_state *state = impl_of(notify);

    tni_short_lock_acquire(&state->queue.lock);
    /* Publishes what the notifier wrote to those that wait already; partner: queue_up. */
    (void)tni_a64_fetch_add(&state->word, ROUND, TNI_ACQ_REL);
    (void)tni_a64_fetch_and(&state->word, ~WAITED, TNI_RELAXED); /* relaxed: as in notify_first_locked */
    state->all_until = state->queue.tickets;
    tni_waiters_complete_until_locked(&state->queue, state->all_until, NOTIFIED_BY_ALL);
}

/* `waiter->wanted` is the number of notify_all calls at tn_notify_wait_init. */
static int queue_up(notify_state *state, tni_waiter *waiter, tn_waker *waker)
{
    uint64_t word;
    int rc = TN_PENDING;

    tni_short_lock_acquire(&state->queue.lock);
    /* Publishes that there is a waiter, observes a notification; partners: tn_notify_one, tn_notify_all. */
    word = tni_a64_fetch_or(&state->word, WAITED, TNI_ACQ_REL);
    /* A stored notification is taken by a read-modify-write: a try_wait may be faster. Acquire: as the mark above. */
    if (word / ROUND != waiter->wanted || ((word & KEPT) && (tni_a64_fetch_and(&state->word, ~KEPT, TNI_ACQUIRE) & KEPT)))
        rc = 0;
    if (rc == TN_PENDING)
        tni_waiters_push_locked(&state->queue, waiter, waker);
    else if (tni_waiters_is_empty(&state->queue))
        (void)tni_a64_fetch_and(&state->word, ~WAITED, TNI_RELAXED); /* relaxed: as in notify_first_locked */
    tni_short_lock_release(&state->queue.lock);
    return rc;
}

static int wait_poll(tn_future *self, tn_waker *waker)
{
    tn_notify_future *future = tni_container_of(self, tn_notify_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);
    notify_state *state = impl_of(future->notify);
    int rc = tni_waiters_poll(&state->queue, waiter, waker);

    return rc == TNI_TO_QUEUE_UP ? tni_budget_poll_leave(waker, queue_up(state, waiter, waker)) : rc;
}

static void wait_drop(tn_future *self)
{
    tn_notify_future *future = tni_container_of(self, tn_notify_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);
    notify_state *state = impl_of(future->notify);

    if (tni_waiters_leave(&state->queue, waiter)) {
        /* Relaxed: as in notify_first_locked. */
        if (tni_waiters_is_empty(&state->queue))
            (void)tni_a64_fetch_and(&state->word, ~WAITED, TNI_RELAXED);
        tni_waiters_left_locked(&state->queue, waiter);
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
    /* Acquire: what follows comes after the notify_all calls that are counted here; partner: tn_notify_all. */
    tni_waiter_init(tni_waiter_of(&future->waiter), tni_a64_load(&impl_of(notify)->word, TNI_ACQUIRE) / ROUND);
}

int tn_notify_wait(tn_notify *notify)
{
    tn_notify_future future;

    tn_notify_wait_init(&future, notify); /* before the await, which may yield first: the wait begins here */
    /* Does not try a stored notification first: if a notify_all has ended this wait meanwhile, a stored notification is for
     * another waiter. */
    tni_waiter_in_frame(tni_waiter_of(&future.waiter));
    return tn_await(&future.base);
}
