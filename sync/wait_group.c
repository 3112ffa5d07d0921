/* SPDX-License-Identifier: MIT */
/* tn_wait_group: tasks wait until a number of jobs are done. Its state word has the count, and WAITED while a waiter is in the
 * queue. If WAITED is set, the count reaches 0 only under the queue's lock. So a waiter, which may free the group afterwards,
 * can wait until that lock is released. */
#include <tn/wait_group.h>

#include "base/order.h"
#include "waiters.h"

#define WAITED UINT64_C(1)
#define UNIT UINT64_C(2)

typedef struct {
    tni_a64 word;
    tni_waiters queue;
} group_state;

_Static_assert(sizeof(group_state) + 16 <= sizeof(tn_wait_group), "sized with slack");
_Static_assert(_Alignof(group_state) <= _Alignof(tn_wait_group), "aligned");

static group_state *impl_of(tn_wait_group *group)
{
    return (group_state *)(void *)&group->opaque;
}

void tn_wait_group_init(tn_wait_group *group)
{
    *group = (tn_wait_group)TN_WAIT_GROUP_INIT;
}

void tn_wait_group_fini(tn_wait_group *group)
{
    tni_assert(tni_waiters_is_empty(&impl_of(group)->queue), "tn_wait_group_fini: there are waiters");
}

void tn_wait_group_add(tn_wait_group *group, uint32_t count)
{
    /* Relaxed: publishes nothing; the code that starts the counted work orders it. */
    uint64_t old = tni_a64_fetch_add(&impl_of(group)->word, count * UNIT, TNI_RELAXED);

    tni_assert(old / UNIT + count <= UINT32_MAX, "tn_wait_group_add: the count is too large");
}

static void check_not_empty(uint64_t word)
{
    tni_assert(word >= UNIT, "tn_wait_group_done: the count is 0");
}

void tn_wait_group_done(tn_wait_group *group)
{
    group_state *state = impl_of(group);
    /* Relaxed: the CAS verifies it. */
    uint64_t word = tni_a64_load(&state->word, TNI_RELAXED);

    tni_order_release();
    for (;;) {
        check_not_empty(word); /* no stale value fails it: the caller's own unit is in each value that it may read */
        if (word == (UNIT | WAITED))
            break; /* the last unit, and there is a waiter */
        /* Publishes the work that is done; partners: tn_wait_group_try_wait, queue_up. */
        if (tni_a64_cas(&state->word, &word, word - UNIT, TNI_ACQ_REL))
            return;
    }
    tni_short_lock_acquire(&state->queue.lock);
    /* Publishes the work that is done, and observes that of others for the waiters; partners: tn_wait_group_try_wait,
     * queue_up. */
    word = tni_a64_fetch_sub(&state->word, UNIT, TNI_ACQ_REL);
    check_not_empty(word);
    if (word / UNIT > 1) {
        tni_short_lock_release(&state->queue.lock); /* units were added meanwhile */
        return;
    }
    (void)tni_a64_fetch_and(&state->word, ~WAITED, TNI_ACQ_REL); /* passes on what the word has published */
    tni_waiters_complete_all_locked(&state->queue, TNI_WAITER_GRANTED);
}

int tn_wait_group_try_wait(tn_wait_group *group)
{
    group_state *state = impl_of(group);

    /* Observes the work that is done; partner: tn_wait_group_done. */
    if (tni_a64_load(&state->word, TNI_ACQUIRE) >= UNIT)
        return TN_EAGAIN;
    tni_short_lock_wait_released(&state->queue.lock);
    return 0;
}

static int queue_up(group_state *state, tni_waiter *waiter, tn_waker *waker)
{
    int rc = TN_PENDING;

    tni_short_lock_acquire(&state->queue.lock);
    /* Publishes that there is a waiter, observes that all is done; partner: tn_wait_group_done. */
    if (tni_a64_fetch_or(&state->word, WAITED, TNI_ACQ_REL) >= UNIT)
        tni_waiters_push_locked(&state->queue, waiter, waker);
    else
        rc = 0;
    if (tni_waiters_is_empty(&state->queue))
        (void)tni_a64_fetch_and(&state->word, ~WAITED, TNI_ACQ_REL); /* passes on what the word has published */
    tni_short_lock_release(&state->queue.lock);
    return rc;
}

static int wait_poll(tn_future *self, tn_waker *waker)
{
    tn_wait_group_future *future = tni_container_of(self, tn_wait_group_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);
    group_state *state = impl_of(future->group);
    int rc = tni_waiters_poll(&state->queue, waiter, waker);

    return rc == TNI_TO_QUEUE_UP ? tni_budget_poll_leave(waker, queue_up(state, waiter, waker)) : rc;
}

static void wait_drop(tn_future *self)
{
    tn_wait_group_future *future = tni_container_of(self, tn_wait_group_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);
    group_state *state = impl_of(future->group);

    if (!tni_waiters_leave(&state->queue, waiter))
        return;
    if (tni_waiters_is_empty(&state->queue))
        (void)tni_a64_fetch_and(&state->word, ~WAITED, TNI_ACQ_REL); /* as in queue_up */
    tni_waiters_left_locked(&state->queue, waiter);
}

void tn_wait_group_wait_init(tn_wait_group_future *future, tn_wait_group *group)
{
    static const tn_future_ops ops = {wait_poll, wait_drop, "wait group"};

    future->base.ops = &ops;
    future->group = group;
    tni_waiter_init(tni_waiter_of(&future->waiter), 0);
}

int tn_wait_group_wait(tn_wait_group *group)
{
    tn_wait_group_future future;
    int rc = tni_budget_enter();

    if (rc != 0 || tn_wait_group_try_wait(group) == 0)
        return rc;
    tn_wait_group_wait_init(&future, group);
    tni_waiter_in_frame(tni_waiter_of(&future.waiter));
    return tn_await(&future.base);
}
