/* SPDX-License-Identifier: MIT */
/* Parking, searching and waking: two workers as in worker.c, and tasks from outside. No task is stranded. */
#include "sched/idle.h"

#include "base/parker.h"
#include "model.h"

#define TASKS 2

typedef struct {
    uint32_t wanted; /* number of tasks that are submitted; constant */
    tni_idle idle;
    tni_parker parkers[2];
    tni_a32 queue[TASKS]; /* 1: a task waits */
    tni_a32 done;
} workshop;

static void setup_for(workshop *w, uint32_t wanted)
{
    w->wanted = wanted;
    tni_idle_init(&w->idle, 2);
    tni_parker_init(&w->parkers[0]);
    tni_parker_init(&w->parkers[1]);
    model_name_of(w->idle.marks[0]);
    model_name_of(w->parkers);
    model_name_of(w->queue);
    model_name_of(w->done);
}

static void setup_one(void *state)
{
    setup_for(state, 1);
}

static void setup_two(void *state)
{
    setup_for(state, 2);
}

static bool any_work(workshop *w)
{
    for (unsigned i = 0; i < TASKS; i++)
        if (tni_a32_load(&w->queue[i], TNI_RELAXED) == 1)
            return true;
    return false;
}

static bool take(workshop *w)
{
    for (unsigned i = 0; i < TASKS; i++)
        if (tni_a32_load(&w->queue[i], TNI_RELAXED) == 1 && tni_a32_exchange(&w->queue[i], 0, TNI_ACQUIRE) == 1)
            return true;
    return false;
}

static void wake_one(workshop *w)
{
    int core = tni_idle_choose(&w->idle);

    if (core >= 0)
        (void)tni_parker_notify(&w->parkers[core]);
}

static void submit(workshop *w, unsigned task)
{
    tni_a32_store(&w->queue[task], 1, TNI_RELEASE);
    tni_fence_full();
    wake_one(w);
}

/* Like stop_search in worker.c. */
static void stop_search(workshop *w, unsigned core, bool found)
{
    if (tni_idle_search_end(&w->idle, core) != TNI_SEARCH_LAST || !found)
        return;
    tni_fence_full();
    if (any_work(w))
        wake_one(w);
}

/* The last task ends the workers. */
static bool run_task(workshop *w)
{
    if (tni_a32_fetch_add(&w->done, 1, TNI_ACQ_REL) + 1 < w->wanted)
        return false;
    (void)tni_parker_notify(&w->parkers[0]);
    (void)tni_parker_notify(&w->parkers[1]);
    return true;
}

static bool is_done(workshop *w)
{
    return tni_a32_load(&w->done, TNI_ACQUIRE) == w->wanted;
}

/* Like park in worker.c. Returns whether it searches now. */
static bool park(workshop *w, unsigned core, bool searching)
{
    tni_idle_park(&w->idle, core);
    if (searching)
        stop_search(w, core, false);
    tni_fence_full();
    if (!is_done(w) && !any_work(w))
        tni_parker_wait(&w->parkers[core], TNI_FOREVER);
    return !tni_idle_unpark(&w->idle, core);
}

static void work(workshop *w, unsigned core)
{
    bool searching = false;

    while (!is_done(w)) {
        bool found = take(w);
        if (!found && !searching) { /* the first attempt takes from the injector, the second one steals */
            searching = tni_idle_search_begin(&w->idle, core);
            found = searching && take(w);
        }
        if (found) {
            if (searching)
                stop_search(w, core, true);
            searching = false;
            if (run_task(w))
                break;
        } else {
            searching = park(w, core, searching);
        }
    }
    if (searching)
        stop_search(w, core, false);
}

static void first_worker(void *state)
{
    work(state, 0);
}

static void second_worker(void *state)
{
    work(state, 1);
}

/* Like move_work_away and poll_for in stuck.c: the monitor finds that the first worker is late. */
static void strike(void *state)
{
    workshop *w = state;

    (void)tni_idle_search_end(&w->idle, 0);
    if (tni_idle_unpark(&w->idle, 0))
        (void)tni_parker_notify(&w->parkers[0]);
    tni_fence_full();
    if (any_work(w))
        wake_one(w);
}

static void submit_both(void *state)
{
    submit(state, 0);
    submit(state, 1);
}

static void submit_first(void *state)
{
    submit(state, 0);
}

static void submit_second(void *state)
{
    submit(state, 1);
}

static void finish(void *state)
{
    workshop *w = state;

    model_check(tni_a32_load(&w->done, TNI_RELAXED) == w->wanted && !any_work(w));
    model_check(!tni_idle_is_searching(&w->idle, 0) && !tni_idle_is_searching(&w->idle, 1));
}

const model_scenario model_scenarios[] = {
    {.name = "idle.one_task",
     .state_bytes = sizeof(workshop),
     .setup = setup_one,
     .threads = {first_worker, second_worker, submit_first},
     .finish = finish,
     .no_chance = true},
    {.name = "idle.two_submitters",
     .state_bytes = sizeof(workshop),
     .setup = setup_two,
     .threads = {first_worker, submit_first, submit_second},
     .finish = finish},
    {.name = "idle.two_tasks", /* at bound 2 the search did not finish in three million executions */
     .state_bytes = sizeof(workshop),
     .setup = setup_two,
     .threads = {first_worker, second_worker, submit_both},
     .finish = finish,
     .bound = 1,
     .no_chance = true},
    {.name = "idle.struck",
     .state_bytes = sizeof(workshop),
     .setup = setup_one,
     .threads = {first_worker, second_worker, submit_first, strike},
     .finish = finish,
     .bound = 1,
     .no_chance = true},
    {.name = "idle.struck_alone",
     .state_bytes = sizeof(workshop),
     .setup = setup_two,
     .threads = {first_worker, submit_first, submit_second, strike},
     .finish = finish,
     .bound = 1,
     .no_chance = true},
    {0},
};
