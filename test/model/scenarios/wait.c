/* The claim word of a wait: a source, a second one, and the waiter's own change of mind; exactly one wins, none is lost. */
#include "wait.h"

#include "model.h"

/* Stands for a task: counts what wait.h does to its waker. */
struct tn_waker {
    tni_a32 references;
    tni_a32 wakes;
};

typedef struct {
    tni_wait wait;
    struct tn_waker waker;
    tni_a32 condition;
    uint32_t data;
} waiting;

tn_waker *tn_waker_retain(tn_waker *waker)
{
    (void)tni_a32_fetch_add(&waker->references, 1, TNI_RELAXED);
    return waker;
}

void tn_waker_release(tn_waker *waker)
{
    model_check(tni_a32_fetch_sub(&waker->references, 1, TNI_ACQ_REL) > 0);
}

void tn_waker_wake(tn_waker *waker)
{
    (void)tni_a32_fetch_add(&waker->wakes, 1, TNI_RELEASE);
    tni_futex_wake(&waker->wakes, 1);
    tn_waker_release(waker);
}

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
    tni_a32_store(&w->condition, 1, TNI_RELAXED); /* published by the wake */
    (void)tni_wait_wake(&w->wait);
}

/* A second event, which has nothing to say. */
static void other_source(void *state)
{
    waiting *w = state;

    (void)tni_wait_wake(&w->wait);
}

/* Waits until the condition holds. */
static void waiter(void *state)
{
    waiting *w = state;

    for (;;) {
        uint32_t wakes = tni_a32_load(&w->waker.wakes, TNI_ACQUIRE);
        tni_wait_arm(&w->wait, &w->waker);
        if (tni_a32_load(&w->condition, TNI_RELAXED) == 1)
            break;
        while (tni_a32_load(&w->waker.wakes, TNI_ACQUIRE) == wakes)
            tni_futex_wait(&w->waker.wakes, wakes, TNI_FOREVER);
    }
    (void)tni_wait_disarm(&w->wait);
    model_check(w->data == 1); /* ordered by whichever exchange told it */
}

/* Arms, and does not want any more: who wins, has the reference. */
static void fickle_waiter(void *state)
{
    waiting *w = state;

    if (!tni_wait_try_arm(&w->wait, &w->waker))
        return;
    if (!tni_wait_disarm(&w->wait))
        model_check(tni_a32_load(&w->condition, TNI_RELAXED) == 1 && w->data == 1);
}

static void finish(void *state)
{
    waiting *w = state;

    (void)tni_wait_disarm(&w->wait);
    model_check(tni_a32_load(&w->waker.references, TNI_RELAXED) == 0);
}

#define CASE(what, ...) \
    {.name = "wait." what, .state_bytes = sizeof(waiting), .setup = setup, .threads = {__VA_ARGS__}, .finish = finish}

const model_scenario model_scenarios[] = {
    CASE("wake", waiter, source),
    CASE("two_sources", waiter, source, other_source),
    CASE("disarm", fickle_waiter, source),
    CASE("two_waiters", fickle_waiter, fickle_waiter, source),
    {0},
};
