/* SPDX-License-Identifier: MIT */
/* The mutex: hand-over against lock, try_lock and cancellation, and a thread that acquires the mutex and frees it. */
#include <tn/mutex.h>

#include "sleeper.h"
#include "waiters.h"

typedef struct {
    tn_mutex mutex;
    tn_mutex *own;   /* allocated, because a scenario frees it */
    uint32_t inside; /* plain: counted by the holder of the mutex */
} room;

static void name(const tn_mutex *mutex)
{
    model_name(mutex, 4, "mutex.word");
    model_name((const char *)mutex + 8, 4, "mutex.lock");
}

static void unlocked(void *state)
{
    name(&((room *)state)->mutex);
}

static void locked(void *state)
{
    room *r = state;

    unlocked(state);
    model_check(tn_mutex_try_lock(&r->mutex) == 0);
}

static void locked_elsewhere(void *state)
{
    room *r = state;

    r->own = model_alloc(sizeof *r->own, _Alignof(tn_mutex));
    name(r->own);
    model_check(tn_mutex_try_lock(r->own) == 0);
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

/* The caller holds the mutex. */
static void leave(room *r)
{
    r->inside++;
    tn_mutex_unlock(&r->mutex);
}

static void unlock(void *state)
{
    leave(state);
}

static void lock(void *state)
{
    room *r = state;

    model_check(tn_mutex_lock(&r->mutex) == 0);
    leave(r);
}

static void lock_by_two(void *state)
{
    room *r = state;
    tn_mutex_future future;

    tn_mutex_lock_init(&future, &r->mutex);
    model_check(sleeper_wait_by_two(&future.base) == 0);
    leave(r);
}

static void try_lock(void *state)
{
    room *r = state;

    if (tn_mutex_try_lock(&r->mutex) == 0)
        leave(r);
}

/* Gets the mutex at once, or does not hold it. */
static void lock_cancelled(void *state)
{
    room *r = state;
    tn_mutex_future future;

    tn_mutex_lock_init(&future, &r->mutex);
    if (sleeper_cancelled(&future.base) != TN_PENDING)
        leave(r);
}

static void unlock_elsewhere(void *state)
{
    tn_mutex_unlock(((room *)state)->own);
}

/* No other thread will use it: the thread that has acquired it may free it. */
static void lock_and_free(void *state)
{
    room *r = state;

    model_check(tn_mutex_lock(r->own) == 0);
    tn_mutex_unlock(r->own);
    tn_mutex_fini(r->own);
    model_free(r->own);
}

/* As above, but polled as soon as there is a verdict: the thread that gave it still has the queue's lock. */
static void lock_early_and_free(void *state)
{
    room *r = state;
    tn_mutex_future future;
    sleeper *self = sleeper_new();

    tn_mutex_lock_init(&future, r->own);
    while (tn_future_poll(&future.base, sleeper_waker(self)) == TN_PENDING)
        model_until_changed(&tni_waiter_of(&future.waiter)->state, TNI_WAITER_QUEUED);
    tn_future_drop(&future.base);
    tn_waker_release(sleeper_waker(self));
    tn_mutex_unlock(r->own);
    model_free(r->own);
}

/* Unlocked, and without waiters. */
static void finish(void *state)
{
    room *r = state;

    tn_mutex_fini(&r->mutex);
    model_check(r->inside >= 1);
}

#define CASE(what, preemptions, before, after, ...) \
    { \
        .name = "mutex." what, .state_bytes = sizeof(room), .bound = preemptions, .setup = before, .threads = {__VA_ARGS__}, \
        .finish = after, .no_chance = true \
    }

const model_scenario model_scenarios[] = {
    CASE("lock", 2, unlocked, finish, lock, lock),
    CASE("hand_over", 1, locked, finish, unlock, lock, lock),
    CASE("try", 2, locked, finish, unlock, lock, try_lock),
    CASE("cancel", 2, locked, finish, unlock, lock_cancelled),
    CASE("cancel_beside", 2, locked, finish, unlock, lock, lock_cancelled),
    CASE("two_wakers", 2, locked, finish, unlock, lock_by_two),
    CASE("free", 2, locked_elsewhere, NULL, unlock_elsewhere, lock_and_free),
    CASE("free_early", 2, locked_elsewhere, NULL, unlock_elsewhere, lock_early_and_free),
    {0},
};
