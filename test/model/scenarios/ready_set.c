/* SPDX-License-Identifier: MIT */
/* A future set against the wakes of its members, which come while it polls, waits, removes them or is destroyed. */
#include <tn/future_set.h>

#include "model.h"
#include "small_runtime.h"
#include "task/wait.h"

typedef struct {
    tn_future base;
    tni_wait bell;
    tni_a32 rung;
    uint32_t dropped;
} bell_future;

typedef struct {
    tn_runtime *runtime;
    tn_future_set *set;
    tn_future_set_member *members[2];
    bell_future bells[2];
} house;

static bell_future *bell_of(tn_future *self)
{
    return tni_container_of(self, bell_future, base);
}

static int poll(tn_future *self, tn_waker *waker)
{
    bell_future *bell = bell_of(self);

    tni_wait_arm(&bell->bell, waker);
    if (tni_a32_load(&bell->rung, TNI_ACQUIRE) == 0)
        return TN_PENDING;
    (void)tni_wait_disarm(&bell->bell);
    return 0;
}

static void drop(tn_future *self)
{
    (void)tni_wait_disarm(&bell_of(self)->bell);
    bell_of(self)->dropped++;
}

static const tn_future_ops ops = {poll, drop, "bell"};

/* Both have been polled, and rest. */
static void setup(void *state)
{
    house *h = state;
    tn_future_set_future next;
    tn_task *self;

    h->runtime = small_runtime_create();
    model_check(tn_future_set_create(&h->set, h->runtime) == 0);
    for (int i = 0; i < 2; i++) {
        h->bells[i].base.ops = &ops;
        model_name(&h->bells[i].bell, 8, i == 0 ? "bell0" : "bell1");
        model_name(&h->bells[i].rung, 4, i == 0 ? "rung0" : "rung1");
        model_check(tn_future_set_add(h->set, &h->bells[i].base, &h->bells[i], &h->members[i]) == 0);
        model_name(h->members[i], 8, i == 0 ? "member0.state" : "member1.state");
    }
    self = model_alloc(sizeof *self, _Alignof(tn_task));
    self->kind = TNI_TASK_THREAD;
    self->budget = TNI_BUDGET;
    tni_parker_init(&self->body.parker);
    tni_task_publish(self, 1);
    tn_future_set_next_init(&next, h->set);
    model_check(tn_future_poll(&next.base, tni_task_waker(self)) == TN_PENDING);
    tn_future_drop(&next.base);
    (void)tni_task_complete(self, 0);
    tni_task_unref(self);
}

/* The first member has been woken spuriously, and is polled again. */
static void setup_woken(void *state)
{
    setup(state);
    tn_waker_wake_by_ref(tni_task_waker((tn_task *)(void *)((house *)state)->members[0]));
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

static void ring(house *h, int i)
{
    tni_a32_store(&h->bells[i].rung, 1, TNI_RELEASE);
    (void)tni_wait_wake(&h->bells[i].bell);
}

static void ring_first(void *state)
{
    ring(state, 0);
}
static void ring_second(void *state)
{
    ring(state, 1);
}

static void next(house *h, const bell_future *expected)
{
    tn_ready ready;

    model_check(tn_future_set_next(h->set, &ready) == 1 && ready.result == 0);
    model_check(expected == NULL || ready.tag == expected);
    model_check(((bell_future *)ready.tag)->dropped == 1);
}

static void next_first(void *state)
{
    next(state, &((house *)state)->bells[0]);
}

static void next_both(void *state)
{
    house *h = state;
    tn_ready ready;

    next(h, NULL);
    next(h, NULL);
    model_check(tn_future_set_next(h->set, &ready) == 0); /* the set is empty */
}

/* The first member is removed, woken or not. The second one is returned. */
static void remove_first(void *state)
{
    house *h = state;

    tn_future_set_remove(h->set, h->members[0]);
    model_check(h->bells[0].dropped == 1);
    next(h, &h->bells[1]);
}

static void destroy(void *state)
{
    house *h = state;

    tn_future_set_destroy(h->set);
    h->set = NULL;
    model_check(h->bells[0].dropped == 1 && h->bells[1].dropped == 1);
}

static void finish(void *state)
{
    house *h = state;

    tn_future_set_destroy(h->set);
    model_check(h->bells[0].dropped == 1 && h->bells[1].dropped == 1);
    small_runtime_destroy(h->runtime);
}

#define CASE(what, preemptions, before, ...) \
    { \
        .name = "ready_set." what, .state_bytes = sizeof(house), .bound = preemptions, .setup = before, \
        .threads = {__VA_ARGS__}, .finish = finish, .no_chance = true \
    }

const model_scenario model_scenarios[] = {
    CASE("next", 2, setup, next_first, ring_first),
    CASE("next_again", 2, setup_woken, next_first, ring_first),
    CASE("next_both", 1, setup, next_both, ring_first, ring_second),
    CASE("remove", 1, setup, remove_first, ring_first, ring_second),
    CASE("destroy", 2, setup, destroy, ring_first),
    CASE("destroy_two", 1, setup, destroy, ring_first, ring_second),
    {0},
};
