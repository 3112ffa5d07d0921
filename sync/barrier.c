/* SPDX-License-Identifier: MIT */
/* tn_barrier: tasks wait until a number of them have arrived. All state is under the queue's lock. The queue holds the parties
 * that have arrived. While the waiters of a full round are being completed, some of them may still be in it; their tickets
 * distinguish them from those of the next round. */
#include <tn/barrier.h>

#include "waiters.h"

typedef struct {
    uint64_t parties;        /* first, because TN_BARRIER_INIT writes it */
    uint64_t arrived;        /* under the lock: waiters of the present round */
    uint64_t released_until; /* under the lock: waiters up to this ticket belong to earlier rounds */
    tni_waiters queue;
} barrier_state;

_Static_assert(sizeof(barrier_state) + 16 <= sizeof(tn_barrier), "sized with slack");
_Static_assert(_Alignof(barrier_state) <= _Alignof(tn_barrier) && offsetof(barrier_state, parties) == 0, "TN_BARRIER_INIT");

static barrier_state *impl_of(tn_barrier *barrier)
{
    return (barrier_state *)(void *)&barrier->opaque;
}

void tn_barrier_init(tn_barrier *barrier, uint64_t parties)
{
    tni_assert(parties > 0, "tn_barrier_init: no parties");
    *barrier = (tn_barrier)TN_BARRIER_INIT(parties);
}

void tn_barrier_fini(tn_barrier *barrier)
{
    tni_assert(tni_waiters_is_empty(&impl_of(barrier)->queue), "tn_barrier_fini: there are waiters");
}

static int arrive(barrier_state *state, tni_waiter *waiter, tn_waker *waker)
{
    tni_short_lock_acquire(&state->queue.lock);
    if (state->arrived + 1 < state->parties) {
        state->arrived++;
        tni_waiters_push_locked(&state->queue, waiter, waker);
        tni_short_lock_release(&state->queue.lock);
        return TN_PENDING;
    }
    state->arrived = 0;
    state->released_until = state->queue.tickets;
    tni_waiters_complete_all_locked(&state->queue, TNI_WAITER_GRANTED);
    return TN_BARRIER_LEADER;
}

static int wait_poll(tn_future *self, tn_waker *waker)
{
    tn_barrier_future *future = tni_container_of(self, tn_barrier_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);
    barrier_state *state = impl_of(future->barrier);
    int rc = tni_waiters_poll(&state->queue, waiter, waker);

    return rc == TNI_TO_QUEUE_UP ? tni_budget_poll_leave(waker, arrive(state, waiter, waker)) : rc;
}

static void wait_drop(tn_future *self)
{
    tn_barrier_future *future = tni_container_of(self, tn_barrier_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);
    barrier_state *state = impl_of(future->barrier);

    if (!tni_waiters_leave(&state->queue, waiter))
        return;
    if (waiter->ticket > state->released_until)
        state->arrived--;
    tni_waiters_left_locked(&state->queue, waiter);
}

void tn_barrier_wait_init(tn_barrier_future *future, tn_barrier *barrier)
{
    static const tn_future_ops ops = {wait_poll, wait_drop, "barrier"};

    future->base.ops = &ops;
    future->barrier = barrier;
    tni_waiter_init(tni_waiter_of(&future->waiter), 0);
}

int tn_barrier_wait(tn_barrier *barrier)
{
    tn_barrier_future future;

    tn_barrier_wait_init(&future, barrier);
    tni_waiter_in_frame(tni_waiter_of(&future.waiter));
    return tn_await(&future.base);
}
