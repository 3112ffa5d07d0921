/* SPDX-License-Identifier: MIT */
/* Timers of tasks: armed, fired, moved to another core, removed at the end, while other threads fire them and wake the task.
 * And a worker sleeps until a time while another thread arms an earlier timer. */
#include "time/timer.h"

#include "model.h"
#include "sched/core.h"
#include "small_runtime.h"
#include "task/task.h"

#define SOON_NS (5 * TN_MS)
#define LATER_NS (500 * TN_MS)

typedef struct {
    tni_core cores[2]; /* only their timers are used */
    tn_task *task;
    tni_a32 happened; /* the event that the task also waits for */
    tni_a32 rested;   /* 1: it has armed for the second time */
    tni_wait wait;    /* the claim of its wait for the event */
    tn_runtime *runtime;
} timing;

/* A task whose runs are those of a thread: a plain thread that waits, with a timer. */
static tn_task *make_task(unsigned references)
{
    tn_task *task = tni_alloc(&tni_alloc_default, sizeof *task, _Alignof(tn_task));

    task->kind = TNI_TASK_THREAD;
    tni_parker_init(&task->body.parker);
    tni_aptr_init(&task->armed_in, NULL);
    tni_task_publish(task, references);
    model_name(&task->state, 8, "task.state");
    model_name(&task->armed_in, 8, "task.armed_in");
    model_name(&task->timer, sizeof task->timer, "task.timer");
    model_name(&task->body.parker, 4, "task.parker");
    return task;
}

/* One run that suspends with a deadline, unless the event has happened, and the sleep until the next run. */
static void run_and_rest(timing *t, tni_core *core, uint64_t after_ns)
{
    tn_task *task = t->task;

    tni_task_begin_run(task);
    if (tni_a32_load(&t->happened, TNI_RELAXED) == 1)
        return;
    task->deadline_ns = tni_clock_ns() + after_ns;
    tni_core_arm_timer(core, task);
    if (!tni_task_rest(task))
        return;
    tni_parker_wait(&task->body.parker, TNI_FOREVER);
}

static void run_and_end(tn_task *task)
{
    tni_task_begin_run(task);
    tni_timer_disarm(task);
    model_check(!tni_timer_linked(&task->timer));
    (void)tni_task_complete(task, 0);
    tni_task_unref(task);
}

/* --- Two wheels that other threads fire ------------------------------------------------------------------------------------- */

static void setup(void *state)
{
    timing *t = state;

    for (unsigned i = 0; i < 2; i++) {
        tni_aptr_init(&t->cores[i].worker, NULL);
        tni_timers_init(&t->cores[i].timers);
        model_name(&t->cores[i].timers.lock, sizeof(tni_os_mutex), i == 0 ? "lock 0" : "lock 1");
        model_name(&t->cores[i].timers.next_ns, 8, i == 0 ? "next_ns 0" : "next_ns 1");
    }
    tni_a32_init(&t->happened, 0);
    tni_a32_init(&t->rested, 0);
    model_name_of(t->happened);
    model_name_of(t->rested);
    t->task = make_task(2);
}

static void fire(tni_core *core)
{
    (void)tni_timers_fire(&core->timers, tni_clock_ns() + 2 * LATER_NS, NULL);
}

static void fire_first(void *state)
{
    fire(&((timing *)state)->cores[0]);
}

static void fire_both(void *state)
{
    fire(&((timing *)state)->cores[0]);
    fire(&((timing *)state)->cores[1]);
}

/* The caller has a reference. */
static void wake(void *state)
{
    timing *t = state;

    tni_a32_store(&t->happened, 1, TNI_RELAXED);
    tn_waker_wake(tni_task_waker(t->task));
}

static void sleep_and_end(void *state)
{
    timing *t = state;

    run_and_rest(t, &t->cores[0], SOON_NS);
    run_and_end(t->task);
}

/* The second run is on the other core, and needs an earlier wake. */
static void move(void *state)
{
    timing *t = state;

    run_and_rest(t, &t->cores[0], LATER_NS);
    tni_task_begin_run(t->task);
    t->task->deadline_ns = tni_clock_ns() + SOON_NS;
    tni_core_arm_timer(&t->cores[1], t->task);
    run_and_end(t->task);
}

static void have_rested(timing *t)
{
    tni_a32_store(&t->rested, 1, TNI_RELEASE);
    tni_futex_wake(&t->rested, 1);
}

/* The first run is over, and the task has been queued again; its node is armed. */
static void setup_armed(void *state)
{
    timing *t = state;

    setup(t);
    t->task->deadline_ns = tni_clock_ns() + SOON_NS;
    tni_core_arm_timer(&t->cores[0], t->task);
}

/* The next run waits for a later moment. The armed node is sufficient, unless another thread removes it. */
static void rearm(void *state)
{
    timing *t = state;

    tni_task_begin_run(t->task);
    t->task->deadline_ns = tni_clock_ns() + LATER_NS;
    tni_core_arm_timer(&t->cores[0], t->task);
    if (tni_task_rest(t->task)) {
        have_rested(t);
        tni_parker_wait(&t->task->body.parker, TNI_FOREVER);
    } else {
        have_rested(t);
    }
    run_and_end(t->task);
    tni_task_unref(t->task); /* the reference that `wake` has in other scenarios */
}

/* Fires once at any time, and once when it is needed. */
static void fire_again(void *state)
{
    timing *t = state;

    fire(&t->cores[0]);
    while (tni_a32_load(&t->rested, TNI_ACQUIRE) == 0)
        tni_futex_wait(&t->rested, 0, TNI_FOREVER);
    fire(&t->cores[0]);
}

static void finish(void *state)
{
    timing *t = state;

    for (unsigned i = 0; i < 2; i++) {
        model_check(tni_timers_sleep(&t->cores[i].timers) == TNI_FOREVER);
        tni_timers_fini(&t->cores[i].timers);
    }
}

/* --- A wait that its event, a cancellation and a deadline end ------------------------------------------------------------- */

static void setup_wait(void *state)
{
    timing *t = state;

    setup(t);
    tni_wait_init(&t->wait);
    model_name_of(t->wait);
}

/* Like the checks, the poll and the drop of tn_await. Returns false if the task must wait. */
static bool wait_is_over(timing *t, uint64_t deadline_ns)
{
    tn_task *task = t->task;

    if (tni_task_is_cancelled(task) || tni_clock_ns() >= deadline_ns)
        return true;
    if (tni_a32_load(&t->happened, TNI_RELAXED) == 1)
        return true;
    tni_wait_arm(&t->wait, tni_task_waker(task));
    return tni_a32_load(&t->happened, TNI_RELAXED) == 1;
}

/* Whatever ends the wait, the claim is taken once, and no waker is left behind or used twice (a leak, or a use after free). */
static void wait_for_one_of_three(void *state)
{
    timing *t = state;
    tn_task *task = t->task;
    uint64_t deadline_ns = tni_clock_ns() + SOON_NS;

    for (;;) {
        tni_task_begin_run(task);
        if (wait_is_over(t, deadline_ns))
            break;
        task->deadline_ns = deadline_ns;
        tni_core_arm_timer(&t->cores[0], task);
        if (tni_task_rest(task))
            tni_parker_wait(&task->body.parker, TNI_FOREVER);
    }
    (void)tni_wait_disarm(&t->wait);
    run_and_end(task);
}

/* The caller has a reference. */
static void let_it_happen(void *state)
{
    timing *t = state;

    tni_a32_store(&t->happened, 1, TNI_RELAXED);
    (void)tni_wait_wake(&t->wait);
    tni_task_unref(t->task);
}

/* The caller has a reference. */
static void cancel(void *state)
{
    tn_task *task = ((timing *)state)->task;

    tni_task_set_cancelled(task);
    tni_task_wake(task);
    tni_task_unref(task);
}

static void finish_wait(void *state)
{
    model_check(!tni_wait_disarm(&((timing *)state)->wait));
    finish(state);
}

/* --- A worker asleep -------------------------------------------------------------------------------------------------------- */

static void setup_worker(void *state)
{
    timing *t = state;

    t->runtime = small_runtime_create();
    t->task = make_task(1);
}

static void work(void *state)
{
    tni_worker_drive(((timing *)state)->runtime->workers, NULL, TNI_FOREVER);
}

/* Only the worker can wake this task, and it sleeps for ever unless it learns of the timer. */
static void sleep_on_its_timer(void *state)
{
    timing *t = state;

    run_and_rest(t, t->runtime->cores[0], SOON_NS);
    run_and_end(t->task);
    tni_a32_store(&t->runtime->quiet, 1, TNI_RELEASE);
    tni_worker_unpark(t->runtime->workers);
}

/* Like poll_for in stuck.c. */
static void monitor(void *state)
{
    tni_core *core = ((timing *)state)->runtime->cores[0];

    (void)tni_timers_fire(&core->timers, tni_clock_ns(), NULL);
    if (tni_driver_try_own(&core->driver)) {
        tni_driver_poll(&core->driver);
        tni_driver_disown(&core->driver);
    }
}

static void finish_worker(void *state)
{
    small_runtime_destroy(((timing *)state)->runtime);
}

#define CASE(what, ...) \
    { \
        .name = "timer." what, .state_bytes = sizeof(timing), .setup = setup, .finish = finish, .no_chance = true, __VA_ARGS__ \
    }
#define WAIT_CASE(what, ...) \
    { \
        .name = "timer." what, .state_bytes = sizeof(timing), .setup = setup_wait, .finish = finish_wait, .no_chance = true, \
        __VA_ARGS__ \
    }
#define WORKER_CASE(what, ...) \
    { \
        .name = "timer." what, .state_bytes = sizeof(timing), .setup = setup_worker, .finish = finish_worker, .no_chance = true, \
        __VA_ARGS__ \
    }

const model_scenario model_scenarios[] = {
    CASE("end", .threads = {sleep_and_end, fire_first, wake}),
    CASE("move", .threads = {move, fire_both, wake}),
    {.name = "timer.rearm",
     .state_bytes = sizeof(timing),
     .setup = setup_armed,
     .threads = {rearm, fire_again},
     .finish = finish,
     .no_chance = true},
    WAIT_CASE("wait_event", .bound = 1, .threads = {wait_for_one_of_three, let_it_happen, fire_first}),
    WAIT_CASE("wait_cancel", .bound = 1, .threads = {wait_for_one_of_three, cancel, fire_first}),
    WORKER_CASE("earlier", .threads = {work, sleep_on_its_timer}),
    WORKER_CASE("earlier_monitor", .threads = {work, sleep_on_its_timer, monitor}),
    {0},
};
