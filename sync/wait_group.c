/* SPDX-License-Identifier: MIT */
/* The word: the count, and WAITED while somebody is in the queue. If WAITED is set the count reaches 0 under the queue's lock
 * alone, so that the one who waits, and then may free the group, can wait for that lock to be let go. */
#include <tn/wait_group.h>

#include "waiters.h"

#define WAITED UINT64_C(1)
#define THING UINT64_C(2)

typedef struct {
    tni_a64 word;
    tni_waiters queue;
} group_state;

_Static_assert(sizeof(group_state) + 16 <= sizeof(tn_wait_group), "sized with slack");
_Static_assert(_Alignof(group_state) <= _Alignof(tn_wait_group), "aligned");

static group_state *inside(tn_wait_group *group)
{
    return (group_state *)(void *)&group->opaque;
}

void tn_wait_group_init(tn_wait_group *group)
{
    *group = (tn_wait_group)TN_WAIT_GROUP_INIT;
}

void tn_wait_group_fini(tn_wait_group *group)
{
    tni_assert(inside(group)->queue.first == NULL, "a wait group ends that somebody waits for");
}

void tn_wait_group_add(tn_wait_group *group, uint32_t count)
{
    /* Relaxed: publishes nothing; whoever hands out the things orders them. */
    uint64_t old = tni_a64_fetch_add(&inside(group)->word, count * THING, TNI_RELAXED);

    tni_assert(old / THING + count <= UINT32_MAX, "a wait group of too many things");
}

static void check_not_empty(uint64_t word)
{
    tni_assert(word >= THING, "more is done than a wait group was told of");
}

void tn_wait_group_done(tn_wait_group *group)
{
    group_state *state = inside(group);
    /* Relaxed: the CAS checks it. */
    uint64_t word = tni_a64_load(&state->word, TNI_RELAXED);

    for (;;) {
        check_not_empty(word); /* not too old: what the caller has done is counted in each value that it may read */
        if (word == (THING | WAITED))
            break; /* the last one, and somebody waits */
        /* Release: what was done; partners: tn_wait_group_try_wait, queue_up. */
        if (tni_a64_cas(&state->word, &word, word - THING, TNI_ACQ_REL))
            return;
    }
    tni_short_lock_acquire(&state->queue.lock);
    /* Release: as above; acquire: what the others did, for those that we settle. */
    word = tni_a64_fetch_sub(&state->word, THING, TNI_ACQ_REL);
    check_not_empty(word);
    if (word / THING > 1) {
        tni_short_lock_release(&state->queue.lock); /* more were added meanwhile */
        return;
    }
    (void)tni_a64_fetch_and(&state->word, ~WAITED, TNI_ACQ_REL); /* as above */
    tni_waiters_complete_all(&state->queue, TNI_WAITER_GRANTED);
}

int tn_wait_group_try_wait(tn_wait_group *group)
{
    group_state *state = inside(group);

    /* Acquire: what was done; partner: tn_wait_group_done. */
    if (tni_a64_load(&state->word, TNI_ACQUIRE) >= THING)
        return TN_EAGAIN;
    tni_short_lock_wait_released(&state->queue.lock);
    return 0;
}

static int queue_up(group_state *state, tni_waiter *waiter, tn_waker *waker)
{
    int rc = TN_PENDING;

    tni_short_lock_acquire(&state->queue.lock);
    /* Says that there is a waiter, observes that all is done; partner: tn_wait_group_done. */
    if (tni_a64_fetch_or(&state->word, WAITED, TNI_ACQ_REL) >= THING)
        tni_waiters_push(&state->queue, waiter, waker);
    else
        rc = 0;
    if (state->queue.first == NULL)
        (void)tni_a64_fetch_and(&state->word, ~WAITED, TNI_ACQ_REL); /* hands on what the word published */
    tni_short_lock_release(&state->queue.lock);
    return rc;
}

static int wait_poll(tn_future *self, tn_waker *waker)
{
    tn_wait_group_future *future = tni_container_of(self, tn_wait_group_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);
    group_state *state = inside(future->group);
    int rc = tni_waiters_poll(&state->queue, waiter, waker);

    return rc == TNI_TO_QUEUE_UP ? tni_budget_poll_leave(waker, queue_up(state, waiter, waker)) : rc;
}

static void wait_drop(tn_future *self)
{
    tn_wait_group_future *future = tni_container_of(self, tn_wait_group_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);
    group_state *state = inside(future->group);

    if (!tni_waiters_leave(&state->queue, waiter))
        return;
    if (state->queue.first == NULL)
        (void)tni_a64_fetch_and(&state->word, ~WAITED, TNI_ACQ_REL); /* as in queue_up */
    tni_waiters_left(&state->queue, waiter);
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
