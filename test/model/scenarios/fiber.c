/* SPDX-License-Identifier: MIT */
/* A fiber rests, is woken by other threads and continues on them, by the library's own switch. Its registers are saved before
 * any thread may run it, and its stack returns to the pool only after the fiber has left it. */
#include "model.h"
#include "tasks.h"

#define ANSWER 42
#define THREADS 3

typedef struct {
    tn_runtime runtime;
    tni_worker workers[THREADS];
    tn_task *task;
    tn_future future;
    uint32_t wanted; /* number of notifications that the fiber waits for; constant */
    tni_a32 told;
    uint32_t polls; /* plain: written only by the fiber, on any thread */
} play;

static int poll(tn_future *self, tn_waker *waker)
{
    play *p = tni_container_of(self, play, future);

    (void)waker;
    p->polls++;
    /* Relaxed: the wake orders it. */
    return tni_a32_load(&p->told, TNI_RELAXED) < p->wanted ? TN_PENDING : 0;
}

static void drop(tn_future *self)
{
    (void)self;
}

static const tn_future_ops ops = {poll, drop};

/* Counts on its own stack, where the checker looks for no races: a lost value shows. */
static void *entry(void *arg)
{
    play *p = arg;
    volatile uint32_t rounds = 0;
    int rc;

    do {
        rounds++;
        rc = tn_await(&p->future);
    } while (rounds < 2 && rc == 0);
    model_check(rounds == 2 || rc == TN_ECANCELED);
    return (void *)ANSWER;
}

static void enter_thread(play *p)
{
    desk_enter(&p->workers[model_self() - 1], &p->runtime);
}

static void desk_run(tn_task *task)
{
    desk_run_fiber(task);
}

static void setup(play *p, uint32_t wanted, unsigned references)
{
    model_be_workers_of(&p->runtime);
    p->wanted = wanted;
    p->future.ops = &ops;
    p->task = desk_fiber(&p->runtime, 1 + references, entry, p);
    model_name_of(p->told);
    model_name_of(p->polls);
}

static void one_wake(void *state)
{
    setup(state, 1, 1);
}
static void two_wakes(void *state)
{
    setup(state, 2, 2);
}
static void one_wake_one_handle(void *state)
{
    setup(state, 1, 2);
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

static void work(void *state)
{
    play *p = state;

    enter_thread(p);
    desk_run(p->task);
}

static void wake(void *state)
{
    play *p = state;

    enter_thread(p);
    (void)tni_a32_fetch_add(&p->told, 1, TNI_RELAXED);
    tn_waker_wake(tni_task_waker(p->task));
}

static void cancel(void *state)
{
    play *p = state;

    enter_thread(p);
    tni_task_set_cancelled(p->task);
    tni_task_wake(p->task);
    tni_task_unref(p->task);
}

static void join(void *state)
{
    play *p = state;
    void *result = NULL;

    model_check(tn_join(p->task, &result) == 0);
    model_check(result == (void *)ANSWER && p->polls >= 2);
}

static void finish(void *state)
{
    play *p = state;

    model_check(tni_a64_load(&p->runtime.external.finished, TNI_RELAXED) == 1);
    tni_stack_pool_fini(&p->runtime.stacks);
}

#define CASE(what, before, ...) \
    { \
        .name = "fiber." what, .state_bytes = sizeof(play), .setup = before, .threads = {__VA_ARGS__}, .finish = finish, \
        .no_chance = true \
    }

const model_scenario model_scenarios[] = {
    CASE("wake", one_wake, work, wake),
    CASE("two_wakes", two_wakes, work, wake, wake),
    CASE("cancel", one_wake_one_handle, work, wake, cancel),
    CASE("join", one_wake_one_handle, work, wake, join),
    {0},
};
