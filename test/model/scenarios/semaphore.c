/* SPDX-License-Identifier: MIT */
/* The semaphore: release against acquire, try_acquire, cancellation, forget and close. No permit is lost, and none is made. */
#include <tn/semaphore.h>

#include "sleeper.h"

typedef struct {
    tn_semaphore semaphore;
    uint32_t data;             /* plain: of the thread that has all permits; written before they are released */
    tn_semaphore_future first; /* of a waiter that setup has queued */
    sleeper *first_sleeper;
    uint64_t forgotten;

} hall;

static void name(hall *h)
{
    model_name(&h->semaphore, 8, "semaphore.word");
    model_name((const char *)&h->semaphore + 8, 4, "semaphore.lock");
    model_name_of(h->data);
}

static void empty(void *state)
{
    hall *h = state;

    name(h);
    tn_semaphore_init(&h->semaphore, 0);
}

static void one_permit(void *state)
{
    hall *h = state;

    name(h);
    tn_semaphore_init(&h->semaphore, 1);
}

static void wanted(hall *h, uint64_t count)
{
    empty(h);
    h->first_sleeper = sleeper_new();
    tn_semaphore_acquire_init(&h->first, &h->semaphore, count);
    model_check(tn_future_poll(&h->first.base, sleeper_waker(h->first_sleeper)) == TN_PENDING);
}

static void one_wanted(void *state)
{
    wanted(state, 1);
}
static void two_wanted(void *state)
{
    wanted(state, 2);
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

/* The caller has the only permit. */
static void release(void *state)
{
    hall *h = state;

    h->data++;
    tn_semaphore_release(&h->semaphore, 1);
}

/* One permit for the queued waiter, and one is left. */
static void release_two(void *state)
{
    hall *h = state;

    h->data = 1;
    tn_semaphore_release(&h->semaphore, 2);
}

static void try_what_is_left(void *state)
{
    hall *h = state;

    if (tn_semaphore_try_acquire(&h->semaphore, 1) != 0)
        return;
    model_check(h->data == 1);
    tn_semaphore_release(&h->semaphore, 1);
}

static void release_blank(void *state)
{
    tn_semaphore_release(&((hall *)state)->semaphore, 1);
}

static void acquire(void *state)
{
    hall *h = state;

    model_check(tn_semaphore_acquire(&h->semaphore, 1) == 0);
    release(h);
}

static void acquire_two(void *state)
{
    model_check(tn_semaphore_acquire(&((hall *)state)->semaphore, 2) == 0);
    tn_semaphore_release(&((hall *)state)->semaphore, 2);
}

static void try_acquire(void *state)
{
    if (tn_semaphore_try_acquire(&((hall *)state)->semaphore, 1) == 0)
        release(state);
}

static void acquire_cancelled(void *state)
{
    hall *h = state;
    tn_semaphore_future future;

    tn_semaphore_acquire_init(&future, &h->semaphore, 1);
    if (sleeper_cancelled(&future.base) != TN_PENDING)
        release(h);
}

/* The waiter that wants two leaves: the available permits may be enough for those behind it. */
static void drop_first(void *state)
{
    hall *h = state;

    tn_future_drop(&h->first.base);
    tn_waker_release(sleeper_waker(h->first_sleeper));
}

static void forget(void *state)
{
    hall *h = state;

    h->forgotten = tn_semaphore_forget(&h->semaphore, 1);
    model_check(h->forgotten <= 1);
    tn_semaphore_release(&h->semaphore, h->forgotten);
}

static void close_it(void *state)
{
    tn_semaphore_close(&((hall *)state)->semaphore);
}

/* A permit or the end, exactly one of them. */
static void acquire_or_closed(void *state)
{
    hall *h = state;
    int rc = tn_semaphore_acquire(&h->semaphore, 1);

    model_check(rc == 0 || rc == TN_EPIPE);
    if (rc == 0)
        release(h);
}

static void one_left(void *state)
{
    hall *h = state;

    model_check(tn_semaphore_available(&h->semaphore) == 1);
    tn_semaphore_fini(&h->semaphore);
}

static void two_left(void *state)
{
    hall *h = state;

    model_check(tn_semaphore_available(&h->semaphore) == 2);
    tn_semaphore_fini(&h->semaphore);
}

static void first_goes_and_two_are_left(void *state)
{
    drop_first(state);
    two_left(state);
}

#define CASE(what, preemptions, before, after, ...) \
    { \
        .name = "semaphore." what, .state_bytes = sizeof(hall), .bound = preemptions, .setup = before, .threads = {__VA_ARGS__}, \
        .finish = after, .no_chance = true \
    }

const model_scenario model_scenarios[] = {
    CASE("acquire", 2, empty, one_left, release, acquire),
    CASE("acquire_three", 1, one_permit, one_left, acquire, acquire, try_acquire),
    CASE("acquire_two", 2, empty, two_left, release_blank, release_blank, acquire_two),
    CASE("cancel", 2, empty, one_left, release, acquire_cancelled),
    CASE("cancel_beside", 1, empty, one_left, release, acquire, acquire_cancelled),
    CASE("leave", 2, two_wanted, one_left, drop_first, release, acquire),
    CASE("left_over", 2, one_wanted, first_goes_and_two_are_left, release_two, try_what_is_left),
    CASE("forget", 1, one_permit, one_left, forget, acquire, acquire_cancelled),
    CASE("close", 2, empty, NULL, close_it, acquire_or_closed),
    CASE("close_release", 2, empty, one_left, close_it, release, acquire_or_closed),
    {0},
};
