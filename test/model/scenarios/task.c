/* SPDX-License-Identifier: MIT */
/* A task's state word and its join word: wakes, runs, cancellation, joins and the last reference, in every order. The task is
 * stackless; fiber.c has the switch. */
#include "model.h"
#include "tasks.h"

#define ANSWER 42

typedef struct {
    tn_runtime runtime; /* its counters are used */
    tn_task *task;
    tn_future future;
    uint32_t wanted; /* number of notifications after which the task is ready; constant */
    tni_a32 told;
    uint32_t polls; /* plain: runs follow each other, on any thread */
    uint32_t dropped;
    uint32_t product; /* written by the task when it ends */
    tni_a32 busy;     /* number of joiners that were refused */
    tni_aptr waker;   /* of a plain thread */
} play;

static int poll(tn_future *self, tn_waker *waker)
{
    play *p = tni_container_of(self, play, future);

    (void)waker;
    p->polls++;
    /* Relaxed: the wake orders it. */
    if (tni_a32_load(&p->told, TNI_RELAXED) < p->wanted)
        return TN_PENDING;
    p->product = ANSWER;
    return ANSWER;
}

static void drop(tn_future *self)
{
    play *p = tni_container_of(self, play, future);

    p->polls++;
    p->dropped++;
}

static const tn_future_ops ops = {poll, drop};

/* `references` is their number besides the scheduler's. */
static void begin(play *p, bool at_home, uint32_t wanted, unsigned references)
{
    model_be_workers_of(at_home ? &p->runtime : NULL);
    p->wanted = wanted;
    p->future.ops = &ops;
    p->task = desk_task(&p->runtime, TNI_TASK_FUTURE, 1 + references);
    p->task->body.future = &p->future;
    model_name_of(p->told);
    model_name_of(p->polls);
    model_name_of(p->product);
    model_name_of(p->busy);
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

static void desk_run(tn_task *task)
{
    desk_run_future(task);
}

static void work(void *state)
{
    desk_run(((play *)state)->task);
}

static void wake(void *state)
{
    play *p = state;

    (void)tni_a32_fetch_add(&p->told, 1, TNI_RELAXED);
    tn_waker_wake(tni_task_waker(p->task));
}

static void wake_by_ref(void *state)
{
    play *p = state;

    (void)tni_a32_fetch_add(&p->told, 1, TNI_RELAXED);
    tn_waker_wake_by_ref(tni_task_waker(p->task));
    tn_waker_release(tni_task_waker(p->task));
}

static void release(void *state)
{
    tni_task_unref(((play *)state)->task);
}

/* Like tn_cancel, then tn_task_release. */
static void cancel(void *state)
{
    play *p = state;

    tni_task_set_cancelled(p->task);
    tni_task_wake(p->task);
    tni_task_unref(p->task);
}

static void check_result(const play *p, const void *result)
{
    model_check(result == (void *)ANSWER && p->product == ANSWER && p->dropped == 1);
}

static void join(void *state)
{
    play *p = state;
    void *result = NULL;

    model_check(tn_join(p->task, &result) == 0);
    check_result(p, result);
}

/* One of two joiners: the second is refused, or finds that the task has ended. */
static void join_or_not(void *state)
{
    play *p = state;
    void *result = NULL;
    int rc = tn_join(p->task, &result);

    if (rc == 0) {
        check_result(p, result);
        return;
    }
    model_check(rc == TN_EBUSY);
    (void)tni_a32_fetch_add(&p->busy, 1, TNI_RELAXED);
    tni_task_unref(p->task);
}

/* Joins like a task that is cancelled itself: polls once, and drops. */
static void join_and_drop(void *state)
{
    play *p = state;
    tn_join_future future;
    tn_task *self = model_alloc(sizeof *self, _Alignof(tn_task));

    self->kind = TNI_TASK_THREAD;
    self->budget = TNI_BUDGET;
    tni_parker_init(&self->body.parker);
    tni_task_publish(self, 1);
    model_name(&self->state, 8, "joiner.state");
    tn_join_init(&future, p->task);
    if (future.base.ops->poll(&future.base, tni_task_waker(self)) != TN_PENDING)
        check_result(p, future.result);
    future.base.ops->drop(&future.base);
    tni_task_unref(p->task);
    (void)tni_task_complete(self, 0);
    tni_task_unref(self);
}

/* A plain thread waits, as a task of its own kind. Its waker is known from its first poll on. */
static int poll_in_thread(tn_future *self, tn_waker *waker)
{
    play *p = tni_container_of(self, play, future);

    /* Relaxed, both: the wake orders the notification, and only this thread writes the waker. */
    if (tni_aptr_load(&p->waker, TNI_RELAXED) == NULL)
        tni_aptr_store(&p->waker, tn_waker_retain(waker), TNI_RELEASE);
    return tni_a32_load(&p->told, TNI_RELAXED) < p->wanted ? TN_PENDING : ANSWER;
}

static const tn_future_ops thread_ops = {poll_in_thread, drop};

static void await(void *state)
{
    play *p = state;

    model_check(tn_await(&p->future) == ANSWER);
}

static void wake_thread(void *state)
{
    play *p = state;
    tn_waker *waker;

    while ((waker = tni_aptr_load(&p->waker, TNI_ACQUIRE)) == NULL)
        tni_thread_yield();
    (void)tni_a32_fetch_add(&p->told, 1, TNI_RELAXED);
    tn_waker_wake(waker);
}

/* Checks whether the task has ended, and reads its result then. */
static void look(void *state)
{
    play *p = state;

    if (tni_task_has_ended(p->task))
        check_result(p, p->task->result);
    tni_task_unref(p->task);
}

/* A walk over the registry that cancels all tasks, like cancel_if_alive in runtime_shutdown.c. A handle keeps the header. */
static void walk(void *state)
{
    play *p = state;

    if (tni_task_ref_if_alive(p->task)) {
        tni_task_set_cancelled(p->task);
        tni_task_wake(p->task);
        tni_task_unref(p->task);
    }
    tni_task_unref(p->task);
}

/* --- Scenarios -------------------------------------------------------------------------------------------------------------- */

static void one_wake(void *state)
{
    begin(state, true, 1, 1);
}
static void one_wake_from_outside(void *state)
{
    begin(state, false, 1, 1);
}
static void two_wakes(void *state)
{
    begin(state, true, 2, 2);
}
static void never(void *state)
{
    begin(state, true, 1, 2);
}
static void no_wake_one_handle(void *state)
{
    begin(state, true, 0, 1);
}
static void no_wake_two_handles(void *state)
{
    begin(state, true, 0, 2);
}
static void no_wake_two_handles_outside(void *state)
{
    begin(state, false, 0, 2);
}
static void one_wake_two_handles(void *state)
{
    begin(state, true, 1, 2);
}

static void finish(void *state)
{
    play *p = state;

    model_check(p->dropped == 1);
    model_check(tni_a32_load(&p->busy, TNI_RELAXED) <= 1);
    model_check(tni_a64_load(&p->runtime.external.finished, TNI_RELAXED) == 1);
}

static void thread_alone(void *state)
{
    play *p = state;

    p->wanted = 1;
    p->future.ops = &thread_ops;
    model_name_of(p->told);
    model_name_of(p->waker);
}

static void finish_thread(void *state)
{
    model_check(((play *)state)->dropped == 1);
}

#define CASE(what, before, ...) \
    { \
        .name = "task." what, .state_bytes = sizeof(play), .setup = before, .threads = {__VA_ARGS__}, .finish = finish, \
        .no_chance = true \
    }

const model_scenario model_scenarios[] = {
    CASE("wake", one_wake, work, wake),
    CASE("wake_outside", one_wake_from_outside, work, wake_by_ref),
    CASE("two_wakes", two_wakes, work, wake, wake_by_ref),
    CASE("cancel", one_wake_two_handles, work, cancel, wake),
    CASE("cancel_alone", never, work, cancel, release),
    {.name = "task.thread",
     .state_bytes = sizeof(play),
     .setup = thread_alone,
     .threads = {await, wake_thread},
     .finish = finish_thread},
    CASE("join", no_wake_two_handles, work, join, release),
    CASE("join_stale_waker", no_wake_two_handles, work, join, wake),
    CASE("join_woken", one_wake_two_handles, work, join, wake),
    CASE("join_dropped", no_wake_one_handle, work, join_and_drop),
    CASE("join_dropped_stale", no_wake_two_handles, work, join_and_drop, wake),
    CASE("two_joiners", no_wake_two_handles, work, join_or_not, join_or_not),
    CASE("look", no_wake_two_handles, work, look, release),
    CASE("last_reference", no_wake_two_handles, work, release, wake),
    CASE("last_reference_outside", no_wake_two_handles_outside, work, release, wake),
    CASE("walk", no_wake_two_handles, work, walk, release),
    {0},
};
