/* SPDX-License-Identifier: MIT */
/* Scopes: cancellation, deadline and event race for one wait, and no thread accesses a scope that has been left. The owner is a
 * plain thread, or a fiber that one thread runs whenever it is queued. */
#include "scope/scope.h"

#include "model.h"
#include "tasks.h"

#define ANSWER 42
#define SOON_NS 1000000

typedef struct {
    tn_runtime runtime;
    tni_worker worker;
    tn_task *task;
    tni_a32 queued; /* number of times the fiber was queued */
    bool over;      /* plain: written by the fiber */
    tn_future future;
    tni_wait bell;
    tni_a32 rung;
    tn_cancel_source source;
    tn_scope *scope; /* freed once it has been left */
    uint32_t data;   /* plain: written by the canceller before it cancels */
    uint64_t until_ns;
    int rc;
} stage;

static int poll(tn_future *self, tn_waker *waker)
{
    stage *s = tni_container_of(self, stage, future);

    tni_wait_arm(&s->bell, waker);
    if (tni_a32_load(&s->rung, TNI_ACQUIRE) == 0)
        return TN_PENDING;
    (void)tni_wait_disarm(&s->bell);
    return ANSWER;
}

static void drop(tn_future *self)
{
    (void)tni_wait_disarm(&tni_container_of(self, stage, future)->bell);
}

static const tn_future_ops ops = {poll, drop, "bell"};

/* Waits inside a scope that the source cancels, and frees the scope. */
static void wait_inside(stage *s)
{
    tn_scope_enter_with(s->scope, s->until_ns, &s->source);
    s->rc = tn_await(&s->future);
    if (s->rc == TN_ECANCELED)
        model_check(s->data == 1);
    /* Both last as long as the scope, but a cancellation may follow a deadline. */
    if (s->rc == TN_ECANCELED)
        model_check(tn_checkpoint() == TN_ECANCELED);
    else if (s->rc == TN_ETIMEDOUT)
        model_check(tn_checkpoint() != 0);
    tn_scope_leave(s->scope);
    model_check(tn_checkpoint() == 0);
    model_free(s->scope);
}

static void *entry(void *arg)
{
    wait_inside(arg);
    ((stage *)arg)->over = true;
    return NULL;
}

static stage *current; /* set by setup */

/* The task is queued, for run_fiber. */
static void desk_run(tn_task *task)
{
    (void)task;
    (void)tni_a32_fetch_add(&current->queued, 1, TNI_RELEASE);
    tni_futex_wake(&current->queued, 1);
}

/* --- Before ----------------------------------------------------------------------------------------------------------------- */

static void thread_alone(void *state)
{
    stage *s = state;

    current = s;
    s->future.ops = &ops;
    s->until_ns = TN_NEVER;
    s->scope = model_alloc(sizeof *s->scope, _Alignof(tn_scope));
    tn_cancel_source_init(&s->source);
    model_name_of(s->bell);
    model_name_of(s->rung);
    model_name_of(s->data);
    model_name_of(s->queued);
    model_name_of(s->source);
    model_name(&((tni_scope *)(void *)s->scope)->state, 4, "scope.state");
    model_name(&((tni_scope *)(void *)s->scope)->waiter, 8, "scope.waiter");
}

static void thread_with_deadline(void *state)
{
    thread_alone(state);
    ((stage *)state)->until_ns = tni_clock_ns() + SOON_NS;
}

/* `references` is their number besides the scheduler's. */
static void fiber(stage *s, unsigned references)
{
    thread_alone(s);
    model_be_workers_of(&s->runtime);
    s->task = desk_fiber(&s->runtime, 1 + references, entry, s);
}

static void fiber_alone(void *state)
{
    fiber(state, 0);
}

static void fiber_with_deadline(void *state)
{
    fiber(state, 1);
    ((stage *)state)->until_ns = tni_clock_ns() + SOON_NS;
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

static void wait_in_thread(void *state)
{
    wait_inside(state);
}

static void run_fiber(void *state)
{
    stage *s = state;

    desk_enter(&s->worker, &s->runtime);
    for (uint32_t runs = 1;; runs++) {
        desk_run_fiber(s->task);
        if (s->over)
            return;
        while (tni_a32_load(&s->queued, TNI_ACQUIRE) < runs)
            tni_futex_wait(&s->queued, runs - 1, TNI_FOREVER);
    }
}

static void cancel(void *state)
{
    stage *s = state;

    s->data = 1;
    tn_cancel_source_cancel(&s->source);
}

static void ring(void *state)
{
    stage *s = state;

    tni_a32_store(&s->rung, 1, TNI_RELEASE);
    (void)tni_wait_wake(&s->bell);
}

/* Like tni_timers_fire, at any moment. */
static void fire(void *state)
{
    stage *s = state;

    model_time_passes(SOON_NS);
    tni_task_wake(s->task);
    tni_task_unref(s->task);
}

/* Enters and leaves without a wait. */
static void pass_through(void *state)
{
    stage *s = state;

    tn_scope_enter_with(s->scope, TN_NEVER, &s->source);
    s->rc = tn_checkpoint();
    if (s->rc == TN_ECANCELED)
        model_check(s->data == 1);
    tn_scope_leave(s->scope);
    model_free(s->scope);
}

/* --- Ends ------------------------------------------------------------------------------------------------------------------- */

static void end(stage *s)
{
    tn_cancel_source_fini(&s->source);
    if (s->task == NULL)
        return;
    model_check(tni_a64_load(&s->runtime.external.finished, TNI_RELAXED) == 1);
    tni_stack_pool_fini(&s->runtime.stacks);
}

static void was_cancelled(void *state)
{
    model_check(((stage *)state)->rc == TN_ECANCELED);
    end(state);
}

static void was_either(void *state)
{
    int rc = ((stage *)state)->rc;

    model_check(rc == ANSWER || rc == TN_ECANCELED);
    end(state);
}

static void was_any(void *state)
{
    int rc = ((stage *)state)->rc;

    model_check(rc == ANSWER || rc == TN_ECANCELED || rc == TN_ETIMEDOUT);
    end(state);
}

static void was_late_or_rung(void *state)
{
    int rc = ((stage *)state)->rc;

    model_check(rc == ANSWER || rc == TN_ETIMEDOUT);
    end(state);
}

static void was_late_or_cancelled(void *state)
{
    int rc = ((stage *)state)->rc;

    model_check(rc == TN_ECANCELED || rc == TN_ETIMEDOUT);
    end(state);
}

static void was_cancelled_or_not(void *state)
{
    model_check(((stage *)state)->rc == 0 || ((stage *)state)->rc == TN_ECANCELED);
    end(state);
}

#define CASE(what, preemptions, before, after, ...) \
    { \
        .name = "scope." what, .state_bytes = sizeof(stage), .bound = preemptions, .setup = before, .threads = {__VA_ARGS__}, \
        .finish = after, .no_chance = true \
    }

const model_scenario model_scenarios[] = {
    CASE("leave_cancel", 2, thread_alone, was_cancelled_or_not, pass_through, cancel),
    CASE("thread_cancel", 2, thread_alone, was_cancelled, wait_in_thread, cancel),
    CASE("thread_cancel_wake", 1, thread_alone, was_either, wait_in_thread, cancel, ring),
    CASE("thread_deadline_wake", 2, thread_with_deadline, was_late_or_rung, wait_in_thread, ring),
    CASE("thread_any", 1, thread_with_deadline, was_any, wait_in_thread, cancel, ring),
    CASE("fiber_cancel", 2, fiber_alone, was_cancelled, run_fiber, cancel),
    CASE("fiber_cancel_wake", 1, fiber_alone, was_either, run_fiber, cancel, ring),
    CASE("fiber_deadline_wake", 1, fiber_with_deadline, was_late_or_rung, run_fiber, ring, fire),
    CASE("fiber_deadline_cancel", 1, fiber_with_deadline, was_late_or_cancelled, run_fiber, cancel, fire),
    {0},
};
