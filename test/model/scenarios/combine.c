/* SPDX-License-Identifier: MIT */
/* Select, race and join over futures that other threads make ready: no grant of a branch is lost, whichever branch is
 * dropped. */
#include <tn/combine.h>

#include <tn/notify.h>
#include <tn/semaphore.h>

#include "sleeper.h"

typedef struct {
    tn_semaphore gates[2]; /* closed at first */
    tn_notify bells[2];
    uint32_t held[2]; /* permits that a thread holds */
} yard;

static void setup(void *state)
{
    yard *y = state;

    for (int i = 0; i < 2; i++) {
        tn_semaphore_init(&y->gates[i], 0);
        model_name(&y->gates[i], 8, i == 0 ? "gate0.word" : "gate1.word");
        model_name(&y->bells[i], 8, i == 0 ? "bell0.word" : "bell1.word");
    }
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

static void open_first(void *state)
{
    tn_semaphore_release(&((yard *)state)->gates[0], 1);
}
static void open_second(void *state)
{
    tn_semaphore_release(&((yard *)state)->gates[1], 1);
}
static void close_second(void *state)
{
    tn_semaphore_close(&((yard *)state)->gates[1]);
}
static void ring_first(void *state)
{
    tn_notify_one(&((yard *)state)->bells[0]);
}
static void ring_second(void *state)
{
    tn_notify_one(&((yard *)state)->bells[1]);
}

/* Both, one after the other: the branch that was not ready continues where it was. */
static void select_both(void *state)
{
    yard *y = state;
    tn_notify_future waits[2];
    tn_future *futures[2];
    int result = -1;
    int first;

    for (int i = 0; i < 2; i++) {
        tn_notify_wait_init(&waits[i], &y->bells[i]);
        futures[i] = &waits[i].base;
    }
    first = tn_select(futures, 2, &result);
    model_check((first == 0 || first == 1) && result == 0);
    tn_future_drop(futures[first]);
    futures[first] = NULL;
    model_check(tn_select(futures, 2, &result) == 1 - first && result == 0);
    tn_future_drop(futures[1 - first]);
}

static void acquire_both(yard *y, tn_semaphore_future *acquires, tn_future **futures)
{
    for (int i = 0; i < 2; i++) {
        tn_semaphore_acquire_init(&acquires[i], &y->gates[i], 1);
        futures[i] = &acquires[i].base;
    }
}

static void race_gates(void *state)
{
    yard *y = state;
    tn_semaphore_future acquires[2];
    tn_future *futures[2];
    int result = -1;
    int winner;

    acquire_both(y, acquires, futures);
    winner = tn_race(futures, 2, &result);
    model_check((winner == 0 || winner == 1) && result == 0);
    y->held[winner] = 1;
}

static void join_gates(void *state)
{
    yard *y = state;
    tn_semaphore_future acquires[2];
    tn_future *futures[2];
    int results[2];

    acquire_both(y, acquires, futures);
    model_check(tn_join_all(futures, results, 2) == 0);
    for (int i = 0; i < 2; i++) {
        model_check(results[i] == 0);
        y->held[i] = 1;
    }
}

/* Cancelled: the caller gets what was ready, and the rest is dropped. */
static void join_cancelled(void *state)
{
    yard *y = state;
    tn_semaphore_future acquires[2];
    tn_future *futures[2];
    tn_join_all_future join;
    int results[2];

    acquire_both(y, acquires, futures);
    tn_join_all_init(&join, futures, results, 2);
    (void)sleeper_cancelled(&join.base);
    for (int i = 0; i < 2; i++) {
        model_check(results[i] == 0 || results[i] == TN_ECANCELED);
        y->held[i] = results[i] == 0;
    }
}

/* The second gate is closed, which drops the first branch unless it was faster. */
static void try_join_gates(void *state)
{
    yard *y = state;
    tn_semaphore_future acquires[2];
    tn_future *futures[2];
    int results[2];

    acquire_both(y, acquires, futures);
    model_check(tn_try_join_all(futures, results, 2) == TN_EPIPE);
    model_check(results[1] == TN_EPIPE && (results[0] == 0 || results[0] == TN_ECANCELED));
    y->held[0] = results[0] == 0;
}

/* --- Ends ------------------------------------------------------------------------------------------------------------------- */

/* Each permit is held or available. */
static void all_there(void *state)
{
    yard *y = state;

    for (int i = 0; i < 2; i++) {
        model_check(tn_semaphore_available(&y->gates[i]) + y->held[i] == 1);
        tn_semaphore_fini(&y->gates[i]);
    }
}

static void first_there(void *state)
{
    yard *y = state;

    model_check(tn_semaphore_available(&y->gates[0]) + y->held[0] == 1);
}

#define CASE(what, after, ...) \
    { \
        .name = "combine." what, .state_bytes = sizeof(yard), .bound = 1, .setup = setup, .threads = {__VA_ARGS__}, \
        .finish = after, .no_chance = true \
    }

const model_scenario model_scenarios[] = {
    CASE("select", NULL, select_both, ring_first, ring_second),
    CASE("race", all_there, race_gates, open_first, open_second),
    CASE("join", all_there, join_gates, open_first, open_second),
    CASE("join_cancelled", all_there, join_cancelled, open_first, open_second),
    CASE("try_join", first_there, try_join_gates, open_first, close_second),
    {0},
};
