/* SPDX-License-Identifier: MIT */
/* Tasks that wait in sync/ without a counted waker, because the wait is in their own frame. The thread that completes them
 * makes them runnable under the queue's lock, and queues them without it. No handle keeps them: they end, and their headers are
 * freed, as soon as possible. */
#include <tn/mutex.h>

#include "model.h"
#include "short_lock_wait.h"
#include "tasks.h"
#include "waiters.h"

typedef struct {
    tn_future base;
    tn_mutex_future lock;
    tn_task *task;
    bool answered;
    uint32_t ended; /* plain: written by the thread that runs it last */
} waiting;

typedef struct {
    tn_runtime runtime;
    tn_mutex mutex;
    waiting waits[2];
    uint32_t inside; /* plain: under the mutex */
} house;

static house *current; /* set by setup */

static int poll(tn_future *self, tn_waker *waker)
{
    waiting *w = tni_container_of(self, waiting, base);
    int rc = tn_future_poll(&w->lock.base, waker);

    if (rc == TN_PENDING)
        return rc;
    model_check(rc == 0);
    tn_future_drop(&w->lock.base);
    w->answered = true;
    current->inside++;
    tn_mutex_unlock(&current->mutex);
    return 0;
}

/* A cancelled task is dropped without another poll: the mutex that it was handed goes to the next. */
static void drop(tn_future *self)
{
    waiting *w = tni_container_of(self, waiting, base);

    if (!w->answered)
        tn_future_drop(&w->lock.base);
    w->ended++;
}

static const tn_future_ops ops = {poll, drop, "mutex"};

static void desk_run(tn_task *task)
{
    desk_run_future(task);
}

/* --- Before ----------------------------------------------------------------------------------------------------------------- */

/* `references` is their number besides the scheduler's. */
static void add(house *h, int i, unsigned references)
{
    waiting *w = &h->waits[i];

    w->base.ops = &ops;
    w->task = desk_task(&h->runtime, TNI_TASK_FUTURE, 1 + references);
    w->task->body.future = &w->base;
    tn_mutex_lock_init(&w->lock, &h->mutex);
    tni_waiter_in_frame(tni_waiter_of(&w->lock.waiter));
    model_name(&w->task->state, 8, i == 0 ? "task0.state" : "task1.state");
}

static void locked(house *h)
{
    current = h;
    model_be_workers_of(&h->runtime);
    model_check(tn_mutex_try_lock(&h->mutex) == 0);
    model_name(&h->mutex, 4, "mutex.word");
    model_name((const char *)&h->mutex + 8, 4, "mutex.lock");
    model_name_of(h->inside);
}

static void one_task(void *state)
{
    locked(state);
    add(state, 0, 0);
}

static void one_task_and_waker(void *state)
{
    locked(state);
    add(state, 0, 1);
}

static void two_tasks(void *state)
{
    locked(state);
    add(state, 0, 0);
    add(state, 1, 0);
}

/* The threads are no workers of the tasks' runtime. */
static void one_task_elsewhere(void *state)
{
    one_task(state);
    model_be_workers_of(NULL);
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

static void work_first(void *state)
{
    desk_run(((house *)state)->waits[0].task);
}
static void work_second(void *state)
{
    desk_run(((house *)state)->waits[1].task);
}

static void unlock(void *state)
{
    house *h = state;

    h->inside++;
    tn_mutex_unlock(&h->mutex);
}

/* A spurious poll, or a poll when the verdict is there and its wake is not. */
static void wake_in_vain(void *state)
{
    tn_waker_wake(tni_task_waker(((house *)state)->waits[0].task));
}

static void cancel(void *state)
{
    tn_task *task = ((house *)state)->waits[0].task;

    tni_task_set_cancelled(task);
    tni_task_wake(task);
    tni_task_unref(task);
}

static void finish(void *state)
{
    house *h = state;

    tn_mutex_fini(&h->mutex);
    for (int i = 0; i < 2; i++)
        model_check(h->waits[i].task == NULL || h->waits[i].ended == 1);
}

#define CASE(what, preemptions, before, ...) \
    { \
        .name = "wakes." what, .state_bytes = sizeof(house), .bound = preemptions, .setup = before, .threads = {__VA_ARGS__}, \
        .finish = finish, .no_chance = true \
    }

const model_scenario model_scenarios[] = {
    CASE("grant", 2, one_task, work_first, unlock),
    CASE("grant_outside", 2, one_task_elsewhere, work_first, unlock),
    CASE("grant_wake", 2, one_task_and_waker, work_first, unlock, wake_in_vain),
    CASE("grant_cancel", 1, one_task_and_waker, work_first, unlock, cancel),
    CASE("grant_two", 1, two_tasks, work_first, work_second, unlock),
    {0},
};
