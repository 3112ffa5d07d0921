/* SPDX-License-Identifier: MIT */
/* The end of a runtime, in each form, against external threads that spawn, wake, join and release late. The runtime is a
 * current-thread one, so destroy itself runs the tasks that are left, in the worker's own loop. quiet.c has several workers. */
#include <tn/runtime.h>

#include "model.h"
#include "sched/runtime.h"

#define ANSWER 42

typedef struct {
    tn_future base;
    uint32_t wanted; /* number of notifications that it waits for */
    tni_a32 told;
    uint32_t polls;
    uint32_t dropped;
} work;

typedef struct {
    tn_runtime *runtime;
    tn_task *task; /* of jobs[0] */
    tn_waker *waker;
    work jobs[2];
    bool refused; /* jobs[1] was refused */
} house;

static int poll(tn_future *self, tn_waker *waker)
{
    work *job = tni_container_of(self, work, base);

    (void)waker;
    job->polls++;
    return tni_a32_load(&job->told, TNI_ACQUIRE) < job->wanted ? TN_PENDING : ANSWER;
}

static void drop(tn_future *self)
{
    work *job = tni_container_of(self, work, base);

    job->dropped++;
}

static const tn_future_ops ops = {poll, drop};

/* A runtime with one task in its injector, the handle of the task, and its waker if wanted. */
static void setup(house *h, uint32_t wanted, bool pinned, bool waker)
{
    tn_options options = tn_options_default();
    tn_spawn_options how = tn_spawn_options_default();

    options.flavor = TN_CURRENT_THREAD;
    options.guard = TN_GUARD_NONE;
    options.stack_size_bytes = 16 * 1024;
    how.pinned = pinned;
    model_check(tn_runtime_create(&h->runtime, &options) == 0);
    h->jobs[0] = (work){.base.ops = &ops, .wanted = wanted};
    h->jobs[1].base.ops = &ops;
    model_check(tn_spawn_future(h->runtime, &how, &h->task, &h->jobs[0].base) == 0);
    if (waker)
        h->waker = tn_waker_retain(tni_task_waker(h->task));
    model_name(&h->task->state, 8, "task.state");
    model_name(&h->task->join, 8, "task.join");
    model_name(&h->runtime->externals, 4, "externals");
    model_name(&h->runtime->pins, 4, "pins");
    model_name(&h->runtime->references, 4, "references");
    model_name(&h->runtime->closing, 4, "closing");
    model_name(&h->runtime->cancelling, 4, "cancelling");
    model_name(&h->runtime->quiet, 4, "quiet");
    model_name(&h->runtime->external.spawned, 8, "external.spawned");
    model_name(&h->runtime->external.finished, 8, "external.finished");
    model_name(&h->runtime->cores[0]->counts.finished, 8, "core.finished");
}

static void *nothing(void *arg)
{
    return arg;
}

/* The task has run once, and rests. */
static void rest(house *h)
{
    model_check(tn_block_on(h->runtime, nothing, NULL, NULL) == 0);
    model_check(h->jobs[0].polls == 1);
}

static void no_wake(void *state)
{
    setup(state, 0, false, false);
}
static void no_wake_waker(void *state)
{
    setup(state, 0, false, true);
}
static void never(void *state)
{
    setup(state, 1, false, false);
}
static void one_wake(void *state)
{
    setup(state, 1, false, true);
}

static void one_wake_at_rest(void *state)
{
    setup(state, 1, false, true);
    rest(state);
}

/* Another task is in the injector, and has no handle. */
static void one_wake_one_queued(void *state)
{
    house *h = state;

    one_wake_at_rest(state);
    model_check(tn_spawn_future(h->runtime, NULL, NULL, &h->jobs[1].base) == 0);
}

static void one_wake_pinned(void *state)
{
    setup(state, 1, true, true);
    rest(state);
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

static void destroy(void *state)
{
    model_check(tn_runtime_destroy(((house *)state)->runtime, TN_SHUTDOWN_WAIT, TNI_FOREVER) == 0);
}

static void destroy_cancel(void *state)
{
    model_check(tn_runtime_destroy(((house *)state)->runtime, TN_SHUTDOWN_CANCEL, TNI_FOREVER) == 0);
}

static void destroy_give_up(void *state)
{
    model_check(tn_runtime_destroy(((house *)state)->runtime, TN_SHUTDOWN_WAIT, 0) <= 2);
}

static void release(void *state)
{
    tn_task_release(((house *)state)->task);
}

static void tell(house *h, tni_order order)
{
    (void)tni_a32_fetch_add(&h->jobs[0].told, 1, order);
    tn_waker_wake(h->waker);
}

static void wake(void *state)
{
    tell(state, TNI_RELAXED);
}

static void wake_and_release(void *state)
{
    wake(state);
    release(state);
}

/* The task waits for the wake, and destroy for the task, so the spawn is over before destroy returns. The caller must order
 * that, hence release. */
static void spawn_and_wake(void *state)
{
    house *h = state;
    int rc = tn_spawn_future(h->runtime, NULL, NULL, &h->jobs[1].base);

    model_check(rc == 0 || rc == TN_ESHUTDOWN);
    h->refused = rc != 0;
    tell(h, TNI_RELEASE);
    release(state);
}

/* A task that is created during the walk is seen by it, or is created cancelled. This one would wait for ever otherwise. */
static void spawn_for_ever(void *state)
{
    ((house *)state)->jobs[1].wanted = 1;
    spawn_and_wake(state);
}

static void join(void *state)
{
    house *h = state;
    void *result = NULL;
    int rc = tn_join(h->task, &result);

    model_check(rc == TN_ESHUTDOWN || (rc == 0 && (result == (void *)ANSWER || result == (void *)(intptr_t)TN_ECANCELED)));
}

static void finish(void *state)
{
    house *h = state;

    model_check(h->jobs[0].dropped == 1);
}

/* A spawned task has run; a refused one has not been touched. */
static void finish_spawned(void *state)
{
    house *h = state;

    finish(state);
    model_check(h->refused ? h->jobs[1].polls + h->jobs[1].dropped == 0 : h->jobs[1].dropped == 1);
}

#define CASE(what, before, after, ...) \
    { \
        .name = "shutdown." what, .state_bytes = sizeof(house), .setup = before, .threads = {__VA_ARGS__}, .finish = after, \
        .no_chance = true \
    }

const model_scenario model_scenarios[] = {
    CASE("wait", no_wake, finish, destroy, release),
    CASE("wait_wake", one_wake, finish, destroy, wake_and_release),
    CASE("wait_pinned", one_wake_pinned, finish, destroy, wake_and_release),
    CASE("wait_spawn", one_wake, finish_spawned, destroy, spawn_and_wake),
    CASE("wait_late_waker", no_wake_waker, finish, destroy, wake, release),
    CASE("wait_join", no_wake, finish, destroy, join),
    CASE("cancel_wake", one_wake, finish, destroy_cancel, wake_and_release),
    CASE("cancel_spawn", one_wake, finish_spawned, destroy_cancel, spawn_for_ever),
    CASE("cancel_join", never, finish, destroy_cancel, join),
    CASE("give_up", one_wake, finish, destroy_give_up, wake_and_release),
    CASE("give_up_at_rest", one_wake_at_rest, finish, destroy_give_up, wake_and_release),
    CASE("give_up_queued", one_wake_one_queued, finish_spawned, destroy_give_up, wake_and_release),
    CASE("give_up_join", never, finish, destroy_give_up, join),
    {0},
};
