/* SPDX-License-Identifier: MIT */
/* A thread that completes more waiters than it wakes at once releases the lock and takes it again. Meanwhile the last waiter
 * leaves. With it all have completed, and the memory is freed. */
#include "waiters.h"

#include <tn/rwlock.h>
#include <tn/semaphore.h>

#include "sleeper.h"

#define CROWD (TNI_WAKE_BATCH + 1)
#define LAST (CROWD - 1)

typedef struct {
    tni_waiters *queue;
    tni_waiter waiters[CROWD];
    tn_semaphore *semaphore;
    tn_semaphore_future acquires[CROWD];
    tn_rwlock *lock;
    tn_rwlock_future reads[CROWD];
    sleeper *crowd;
    sleeper *last;
} house;

static sleeper *who(house *h, int i)
{
    if (h->crowd == NULL) {
        h->crowd = sleeper_new();
        h->last = sleeper_new();
    }
    return i == LAST ? h->last : h->crowd;
}

/* The first batch is completed at once, so its first waiter stands for all of it. */
static void await_first(const tni_waiter *first)
{
    while (tni_waiter_state(first) != TNI_WAITER_GRANTED)
        model_until_changed(&first->state, TNI_WAITER_QUEUED);
}

static void finish(void *state)
{
    house *h = state;

    tn_waker_release(sleeper_waker(h->crowd));
    tn_waker_release(sleeper_waker(h->last));
}

/* --- The queue itself ------------------------------------------------------------------------------------------------------- */

static void queued(void *state)
{
    house *h = state;

    h->queue = model_alloc(sizeof *h->queue, _Alignof(tni_waiters));
    tni_short_lock_acquire(&h->queue->lock);
    for (int i = 0; i < CROWD; i++) {
        tni_waiter_init(&h->waiters[i], 0);
        tni_waiters_push_locked(h->queue, &h->waiters[i], sleeper_waker(who(h, i)));
    }
    tni_short_lock_release(&h->queue->lock);
    model_name(&h->queue->lock, 4, "queue.lock");
    model_name(&h->queue->returning, 4, "queue.returning");
    model_name(&h->waiters[LAST].state, 4, "last.state");
}

static void settle(void *state)
{
    house *h = state;

    tni_short_lock_acquire(&h->queue->lock);
    tni_waiters_complete_all_locked(h->queue, TNI_WAITER_GRANTED);
}

static void leave(void *state)
{
    house *h = state;

    await_first(&h->waiters[0]);
    model_check(tni_waiters_verdict(h->queue, &h->waiters[0]) == TNI_WAITER_GRANTED);
    if (tni_waiters_leave(h->queue, &h->waiters[LAST]))
        tni_waiters_left_locked(h->queue, &h->waiters[LAST]);
    model_free(h->queue);
}

/* --- A semaphore ------------------------------------------------------------------------------------------------------------ */

static void acquiring(void *state)
{
    house *h = state;

    h->semaphore = model_alloc(sizeof *h->semaphore, _Alignof(tn_semaphore));
    for (int i = 0; i < CROWD; i++) {
        tn_semaphore_acquire_init(&h->acquires[i], h->semaphore, 1);
        model_check(tn_future_poll(&h->acquires[i].base, sleeper_waker(who(h, i))) == TN_PENDING);
    }
    model_name(h->semaphore, 8, "semaphore.word");
    model_name((const char *)h->semaphore + 8, 4, "semaphore.lock");
}

static void release(void *state)
{
    tn_semaphore_release(((house *)state)->semaphore, CROWD);
}

static void drop_acquires(void *state)
{
    house *h = state;

    await_first(tni_waiter_of(&h->acquires[0].waiter));
    model_check(tn_future_poll(&h->acquires[0].base, sleeper_waker(h->crowd)) == 0);
    tn_future_drop(&h->acquires[LAST].base);
    tn_semaphore_fini(h->semaphore);
    model_free(h->semaphore);
}

/* No waiter leaves: permits that are released meanwhile make way for the last one. */
static void acquire_all(void *state)
{
    house *h = state;

    await_first(tni_waiter_of(&h->acquires[0].waiter));
    model_check(tn_future_poll(&h->acquires[0].base, sleeper_waker(h->crowd)) == 0);
    tn_semaphore_release(h->semaphore, 1);
    await_first(tni_waiter_of(&h->acquires[LAST].waiter));
    model_check(tn_future_poll(&h->acquires[LAST].base, sleeper_waker(h->last)) == 0);
    tn_semaphore_fini(h->semaphore);
    model_free(h->semaphore);
}

/* --- A read-write lock ------------------------------------------------------------------------------------------------------ */

static void reading(void *state)
{
    house *h = state;

    h->lock = model_alloc(sizeof *h->lock, _Alignof(tn_rwlock));
    model_check(tn_rwlock_try_write(h->lock) == 0);
    for (int i = 0; i < CROWD; i++) {
        tn_rwlock_read_init(&h->reads[i], h->lock);
        model_check(tn_future_poll(&h->reads[i].base, sleeper_waker(who(h, i))) == TN_PENDING);
    }
    model_name(h->lock, 8, "rwlock.word");
    model_name((const char *)h->lock + 8, 4, "rwlock.lock");
}

static void write_unlock(void *state)
{
    tn_rwlock_write_unlock(((house *)state)->lock);
}

static void drop_reads(void *state)
{
    house *h = state;

    await_first(tni_waiter_of(&h->reads[0].waiter));
    model_check(tn_future_poll(&h->reads[0].base, sleeper_waker(h->crowd)) == 0);
    tn_future_drop(&h->reads[LAST].base);
    for (int i = 0; i < LAST; i++)
        tn_rwlock_read_unlock(h->lock);
    tn_rwlock_fini(h->lock);
    model_free(h->lock);
}

/* No waiter leaves: the readers that have got the lock release it, and so make way for the last one. */
static void read_all(void *state)
{
    house *h = state;

    await_first(tni_waiter_of(&h->reads[0].waiter));
    model_check(tn_future_poll(&h->reads[0].base, sleeper_waker(h->crowd)) == 0);
    for (int i = 0; i < LAST; i++)
        tn_rwlock_read_unlock(h->lock);
    await_first(tni_waiter_of(&h->reads[LAST].waiter));
    model_check(tn_future_poll(&h->reads[LAST].base, sleeper_waker(h->last)) == 0);
    tn_rwlock_read_unlock(h->lock);
    tn_rwlock_fini(h->lock);
    model_free(h->lock);
}

#define CASE(what, preemptions, before, ...) \
    { \
        .name = "waiters." what, .state_bytes = sizeof(house), .bound = preemptions, .setup = before, .threads = {__VA_ARGS__}, \
        .finish = finish, .no_chance = true \
    }

const model_scenario model_scenarios[] = {
    CASE("settle", 2, queued, settle, leave),
    CASE("semaphore", 2, acquiring, release, drop_acquires),
    CASE("semaphore_all", 2, acquiring, release, acquire_all),
    CASE("rwlock", 2, reading, write_unlock, drop_reads),
    CASE("rwlock_all", 1, reading, write_unlock, read_all),
    {0},
};
