/* SPDX-License-Identifier: MIT */
/* The claim word of a wait: a source, a second one, and a waiter that no longer wants to wait. Exactly one wins, and no wake is
 * lost. */
#include "task/wait.h"

#include "model.h"
#include "waker.h"

typedef struct {
    tni_wait wait;
    struct tn_waker waker;
    tni_a32 condition;
    uint32_t data;
} waiting;

static void setup(void *state)
{
    waiting *w = state;

    tni_wait_init(&w->wait);
    model_name_of(w->wait);
    model_name_of(w->condition);
    model_name_of(w->waker.references);
    model_name_of(w->waker.wakes);
    model_name_of(w->data);
}

static void source(void *state)
{
    waiting *w = state;

    w->data = 1;
    tni_a32_store(&w->condition, 1, TNI_RELEASE);
    (void)tni_wait_wake(&w->wait);
}

/* A second event, which publishes nothing. */
static void other_source(void *state)
{
    waiting *w = state;

    (void)tni_wait_wake(&w->wait);
}

/* Waits until the condition holds. */
static void waiter(void *state)
{
    waiting *w = state;
    uint32_t wakes = 0;

    for (;;) {
        tni_wait_arm(&w->wait, &w->waker);
        if (tni_a32_load(&w->condition, TNI_ACQUIRE) == 1)
            break;
        wakes = waker_wait(&w->waker, wakes);
    }
    (void)tni_wait_disarm(&w->wait);
    model_check(w->data == 1);
}

/* Arms, and no longer wants to wait: the winner has the reference. */
static void fickle_waiter(void *state)
{
    waiting *w = state;

    tni_wait_arm(&w->wait, &w->waker);
    if (!tni_wait_disarm(&w->wait))
        model_check(tni_a32_load(&w->condition, TNI_RELAXED) == 1 && w->data == 1);
}

/* The event that comes once and for all. */
static void end(void *state)
{
    waiting *w = state;
    tn_waker *waker;

    w->data = 1;
    waker = tni_wait_end(&w->wait);
    if (waker != NULL)
        tn_waker_wake(waker);
}

/* Waits for the end, or no longer wants to; another thread may be waiting. */
static void fickle_joiner(void *state)
{
    waiting *w = state;
    tni_wait_met met = tni_wait_arm_once(&w->wait, NULL, &w->waker);

    if (met == TNI_WAIT_ARMED)
        tni_wait_disarm_once(&w->wait, &w->waker);
    if (met == TNI_WAIT_IS_OVER)
        model_check(w->data == 1);
}

static void finish(void *state)
{
    waiting *w = state;

    if (!tni_wait_is_over(&w->wait))
        (void)tni_wait_disarm(&w->wait);
    model_check(tni_a32_load(&w->waker.references, TNI_RELAXED) == 0);
}

#define CASE(what, ...) \
    { \
        .name = "wait." what, .state_bytes = sizeof(waiting), .setup = setup, .threads = {__VA_ARGS__}, .finish = finish \
    }

const model_scenario model_scenarios[] = {
    CASE("wake", waiter, source),
    CASE("two_sources", waiter, source, other_source),
    CASE("disarm", fickle_waiter, source),
    CASE("two_joiners", fickle_joiner, fickle_joiner, end),
    {0},
};
