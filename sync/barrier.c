/* SPDX-License-Identifier: MIT */
/* All under the queue's lock. Those that have come are those in the queue, but while a crowd that was let go is being settled:
 * its last members may still be in it. They are told apart by their tickets. */
#include <tn/barrier.h>

#include "waiters.h"

typedef struct {
    uint64_t parties; /* first: TN_BARRIER_INIT writes it */
    uint64_t come;    /* lock: those that wait for the others */
    uint64_t let_go;  /* lock: tickets up to this one are no longer counted */
    tni_waiters queue;
} barrier_state;

_Static_assert(sizeof(barrier_state) + 16 <= sizeof(tn_barrier), "sized with slack");
_Static_assert(_Alignof(barrier_state) <= _Alignof(tn_barrier) && offsetof(barrier_state, parties) == 0, "TN_BARRIER_INIT");

static barrier_state *inside(tn_barrier *barrier)
{
    return (barrier_state *)(void *)&barrier->opaque;
}

void tn_barrier_init(tn_barrier *barrier, uint64_t parties)
{
    tni_assert(parties > 0, "a barrier for nobody");
    *barrier = (tn_barrier)TN_BARRIER_INIT(parties);
}

void tn_barrier_fini(tn_barrier *barrier)
{
    tni_assert(inside(barrier)->queue.first == NULL, "a barrier ends that somebody waits at");
}

static int come(barrier_state *state, tni_waiter *waiter, tn_waker *waker)
{
    tni_short_lock_acquire(&state->queue.lock);
    if (state->come + 1 < state->parties) {
        state->come++;
        tni_waiters_push(&state->queue, waiter, waker);
        tni_short_lock_release(&state->queue.lock);
        return TN_PENDING;
    }
    state->come = 0;
    state->let_go = state->queue.tickets;
    tni_waiters_complete_all(&state->queue, TNI_WAITER_GRANTED);
    return TN_BARRIER_LEADER;
}

static int wait_poll(tn_future *self, tn_waker *waker)
{
    tn_barrier_future *future = tni_container_of(self, tn_barrier_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);
    barrier_state *state = inside(future->barrier);
    int rc = tni_waiters_poll(&state->queue, waiter, waker);

    return rc == TNI_TO_QUEUE_UP ? tni_budget_poll_leave(waker, come(state, waiter, waker)) : rc;
}

static void wait_drop(tn_future *self)
{
    tn_barrier_future *future = tni_container_of(self, tn_barrier_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);
    barrier_state *state = inside(future->barrier);

    if (!tni_waiters_leave(&state->queue, waiter))
        return;
    if (waiter->ticket > state->let_go)
        state->come--;
    tni_waiters_left(&state->queue, waiter);
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
