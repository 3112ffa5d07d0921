/* SPDX-License-Identifier: MIT */
/* tn_once: initialization that runs once, in the first task that needs it. Its state word is EMPTY, MAKING or DONE, written
 * under the queue's lock. DONE is final, and read without the lock. */
#include <tn/once.h>

#include "base/order.h"
#include "waiters.h"

enum { EMPTY, MAKING, DONE };

/* The verdict that it is done. GRANTED means that the waiter makes the value. */
enum { IS_DONE = TNI_WAITER_CLOSED };

typedef struct {
    tni_a32 word;
    tni_waiters queue;
} once_state;

_Static_assert(sizeof(once_state) + 16 <= sizeof(tn_once) && _Alignof(once_state) <= _Alignof(tn_once), "with slack");

static once_state *impl_of(tn_once *once)
{
    return (once_state *)(void *)&once->opaque;
}

void tn_once_init(tn_once *once)
{
    *once = (tn_once)TN_ONCE_INIT;
}

void tn_once_fini(tn_once *once)
{
    tni_assert(tni_waiters_is_empty(&impl_of(once)->queue), "tn_once_fini: there are waiters");
}

bool tn_once_is_done(const tn_once *once)
{
    const once_state *state = (const once_state *)(const void *)&once->opaque;

    bool done = tni_a32_load(&state->word, TNI_ACQUIRE) == DONE; /* observes what the maker wrote; partner: tn_once_complete */

    tni_order_acquire();
    return done;
}

static int try_begin_locked(once_state *state)
{
    tni_short_lock_assert_held(&state->queue.lock);
    /* Relaxed, both: written under the lock. */
    switch (tni_a32_load(&state->word, TNI_RELAXED)) {
    case EMPTY:
        tni_a32_store(&state->word, MAKING, TNI_RELAXED);
        return TN_ONCE_MINE;
    case DONE:
        return 0;
    default:
        return TN_EAGAIN;
    }
}

int tn_once_try_begin(tn_once *once)
{
    once_state *state = impl_of(once);
    int rc;

    tni_short_lock_acquire(&state->queue.lock);
    rc = try_begin_locked(state);
    tni_short_lock_release(&state->queue.lock);
    return rc;
}

static int begin(once_state *state, tni_waiter *waiter, tn_waker *waker)
{
    int rc;

    tni_short_lock_acquire(&state->queue.lock);
    rc = try_begin_locked(state);
    if (rc == TN_EAGAIN) {
        tni_waiters_push_locked(&state->queue, waiter, waker);
        rc = TN_PENDING;
    }
    tni_short_lock_release(&state->queue.lock);
    return rc;
}

static void check_making_locked(const once_state *state)
{
    tni_short_lock_assert_held(&state->queue.lock);
    /* Relaxed: written under the lock. */
    tni_assert(tni_a32_load(&state->word, TNI_RELAXED) == MAKING,
               "tn_once_complete, tn_once_abandon: not begun, or ended before");
}

void tn_once_complete(tn_once *once)
{
    once_state *state = impl_of(once);

    tni_short_lock_acquire(&state->queue.lock);
    check_making_locked(state);
    /* Publishes what was made; partner: tn_once_is_done. */
    tni_a32_store(&state->word, DONE, TNI_RELEASE);
    tni_waiters_complete_all_locked(&state->queue, IS_DONE);
}

void tn_once_abandon(tn_once *once)
{
    once_state *state = impl_of(once);
    tni_wake wake = 0;

    tni_short_lock_acquire(&state->queue.lock);
    check_making_locked(state);
    if (!tni_waiters_is_empty(&state->queue))
        wake = tni_waiters_complete_first_locked(&state->queue, TNI_WAITER_GRANTED);
    else
        tni_a32_store(&state->word, EMPTY, TNI_RELAXED); /* relaxed: read under the lock */
    tni_short_lock_release(&state->queue.lock);
    tni_wake_do(wake);
}

static int begin_poll(tn_future *self, tn_waker *waker)
{
    tn_once_future *future = tni_container_of(self, tn_once_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);
    once_state *state = impl_of(future->once);
    uint32_t verdict = tni_waiters_begin_poll(&state->queue, waiter, waker);

    if (verdict == TNI_WAITER_QUEUED)
        return TN_PENDING;
    if (verdict == TNI_WAITER_IDLE)
        return tni_budget_poll_leave(waker, begin(state, waiter, waker));
    return tni_budget_poll_leave(waker, verdict == IS_DONE ? 0 : TN_ONCE_MINE);
}

static void begin_drop(tn_future *self)
{
    tn_once_future *future = tni_container_of(self, tn_once_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);
    once_state *state = impl_of(future->once);

    if (tni_waiters_leave(&state->queue, waiter)) {
        tni_waiters_left_locked(&state->queue, waiter);
    } else if (tni_waiter_state(waiter) == TNI_WAITER_GRANTED) {
        tni_waiter_reset(waiter);
        tn_once_abandon(future->once);
    }
}

void tn_once_begin_init(tn_once_future *future, tn_once *once)
{
    static const tn_future_ops ops = {begin_poll, begin_drop, "once"};

    future->base.ops = &ops;
    future->once = once;
    tni_waiter_init(tni_waiter_of(&future->waiter), 0);
}

int tn_once_begin(tn_once *once)
{
    tn_once_future future;

    if (tn_once_is_done(once))
        return 0;
    tn_once_begin_init(&future, once);
    tni_waiter_in_frame(tni_waiter_of(&future.waiter));
    return tn_await(&future.base);
}

int tn_once_run(tn_once *once, int (*make)(void *arg), void *arg)
{
    int rc = tn_once_begin(once);

    if (rc != TN_ONCE_MINE)
        return rc;
    rc = make(arg);
    if (rc < 0) {
        tn_once_abandon(once);
        return rc;
    }
    tn_once_complete(once);
    return 0;
}
