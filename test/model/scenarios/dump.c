/* SPDX-License-Identifier: MIT */
/* A dump reads a task that rests, while other threads wake and cancel it. The monitor checks for a deadlock before it sleeps
 * for ever: it misses no deadlock, and reports only real ones. */
#include "watch/dump.h"

#include <tn/future.h>

#include "base/tls.h"
#include "model.h"
#include "sched/run.h"
#include "sched/schedule.h"
#include "small_runtime.h"
#include "watch/deadlock.h"
#include "watch/monitor.h"
#include "watch/reporter.h"

/* Longer than TNI_MONITOR_REST_NS. */
#define LONG_NS (60 * TN_MS)

typedef struct {
    tn_runtime *runtime;
    tn_task *task;
    tn_future future;
    tni_wait bell;
    tni_a32 rung;
    uint32_t wanted; /* number of rings that the task waits for; constant */
    uint32_t polls;  /* plain: written only by the task */
    tni_a32 reports;
    tni_a32 never; /* no thread wakes it */
    tn_waker *waker;
} house;

static house *current; /* set by setup */

static int poll(tn_future *self, tn_waker *waker)
{
    house *h = tni_container_of(self, house, future);

    h->polls++;
    tni_wait_arm(&h->bell, waker);
    if (tni_a32_load(&h->rung, TNI_ACQUIRE) < h->wanted)
        return TN_PENDING;
    (void)tni_wait_disarm(&h->bell);
    return 0;
}

static void drop(tn_future *self)
{
    (void)tni_wait_disarm(&tni_container_of(self, house, future)->bell);
}

static const tn_future_ops ops = {poll, drop, "bell"};

static void *nothing(void *arg)
{
    return arg;
}

/* The task has run once, and rests. */
static void setup(void *state)
{
    house *h = state;

    current = h;
    h->runtime = small_runtime_create();
    h->future.ops = &ops;
    h->wanted = 1;
    model_name_of(h->bell);
    model_name_of(h->rung);
    model_check(tn_spawn_future(h->runtime, NULL, &h->task, &h->future) == 0);
    model_name(&h->task->state, 8, "task.state");
    model_check(tn_block_on(h->runtime, nothing, NULL, NULL) == 0);
    model_check(h->polls == 1);
}

/* The task is queued once more, and will rest again. */
static void setup_queued(void *state)
{
    setup(state);
    tn_waker_wake_by_ref(tni_task_waker(((house *)state)->task));
}

/* --- The dump ------------------------------------------------------------------------------------------------------------ */

static void work(void *state)
{
    house *h = state;

    tni_worker_drive(h->runtime->workers, h->task, TNI_FOREVER);
}

static void ring(void *state)
{
    house *h = state;

    (void)tni_a32_fetch_add(&h->rung, 1, TNI_RELEASE);
    (void)tni_wait_wake(&h->bell);
}

static void cancel(void *state)
{
    tn_cancel(((house *)state)->task);
}

static void line(void *ctx, const char *text)
{
    (void)ctx;
    (void)text;
}

static void dump(void *state)
{
    tn_dump(((house *)state)->runtime, line, NULL);
}

static void finish(void *state)
{
    house *h = state;

    model_check(tn_task_is_finished(h->task));
    tn_task_release(h->task);
    small_runtime_destroy(h->runtime);
}

/* --- The report ---------------------------------------------------------------------------------------------------------- */

static void report(void *ctx, tn_runtime *runtime)
{
    (void)ctx;
    (void)runtime;
    (void)tni_a32_fetch_add(&current->reports, 1, TNI_RELEASE);
    tni_futex_wake(&current->reports, 1);
}

/* The worker sleeps for ever, and an external thread holds the runtime. */
static void setup_asleep(void *state)
{
    house *h = state;
    tni_core *core;

    setup(state);
    core = h->runtime->cores[0];
    h->runtime->options.on_deadlock = report;
    h->waker = tn_waker_retain(tni_task_waker(h->task));
    tn_runtime_hold(h->runtime);
    tni_idle_park(&h->runtime->idle, 0);
    (void)tni_timers_sleep(&core->timers);
    model_name(&h->runtime->holds, 4, "holds");
    model_name(&h->runtime->monitor.resting, 4, "resting");
    model_name(&h->runtime->monitor.stop, 4, "stop");
    model_name_of(h->reports);
    model_name_of(h->never);
}

static void setup_held(void *state)
{
    setup_asleep(state);
    model_check(tni_reporter_start(((house *)state)->runtime) == 0);
    model_check(tni_monitor_start(((house *)state)->runtime) == 0);
}

/* From here on there is a deadlock, and it is reported, whatever the monitor has already done. */
static void unhold(void *state)
{
    house *h = state;

    tni_futex_wait(&h->never, 0, tni_clock_ns() + LONG_NS);
    tn_runtime_unhold(h->runtime);
    while (tni_a32_load(&h->reports, TNI_ACQUIRE) == 0)
        tni_futex_wait(&h->reports, 0, TNI_FOREVER);
    tni_monitor_stop(h->runtime);
    tni_reporter_stop(h->runtime);
}

/* The same, and a walk holds it instead: a deadlock is reported though the monitor may have checked during the walk. */
static void setup_walked(void *state)
{
    setup_held(state);
    tn_runtime_unhold(((house *)state)->runtime);
}

static void dump_and_expect(void *state)
{
    house *h = state;

    dump(state);
    while (tni_a32_load(&h->reports, TNI_ACQUIRE) == 0)
        tni_futex_wait(&h->reports, 0, TNI_FOREVER);
    tni_monitor_stop(h->runtime);
    tni_reporter_stop(h->runtime);
}

static void look(void *state)
{
    tni_deadlock_check(((house *)state)->runtime);
}

/* A task that it wakes before it releases the hold is not in a deadlock. */
static void wake_and_unhold(void *state)
{
    house *h = state;

    (void)tni_a32_fetch_add(&h->rung, 1, TNI_RELEASE);
    tn_waker_wake(h->waker);
    h->waker = NULL;
    tn_runtime_unhold(h->runtime);
}

/* Keeps its hold of the runtime. */
static void wake(void *state)
{
    house *h = state;

    (void)tni_a32_fetch_add(&h->rung, 1, TNI_RELEASE);
    tn_waker_wake(h->waker);
    h->waker = NULL;
}

/* Like a worker that is woken, runs what is there, and parks again: park, run_task and sleep_in_loop of worker.c. */
static void run_once_and_sleep(void *state)
{
    house *h = state;
    tni_worker *worker = h->runtime->workers;
    tni_core *core = h->runtime->cores[0];
    tn_task *task;

    tni_parker_wait(&worker->parker, TNI_FOREVER);
    tni_timers_awake(&core->timers);
    if (!tni_idle_unpark(&h->runtime->idle, 0))
        (void)tni_idle_search_end(&h->runtime->idle, 0);
    tni_monitor_notice(h->runtime);
    tni_held_add(core); /* as behind tni_core_enter */
    task = tni_schedule_take_injected(core, 1);
    if (task != NULL) {
        tni_task_begin_run(task);
        task->deadline_ns = TNI_FOREVER;
        tni_count(&core->counts.polls, 1);
        tni_run_future(task);
        tni_run_complete(core, task);
    }
    tni_held_remove(core);
    tni_idle_park(&h->runtime->idle, 0);
    tni_fence_full();
    tni_count(&core->counts.parks, 1);
    (void)tni_timers_sleep(&core->timers);
}

static void wake_up(house *h)
{
    tni_timers_awake(&h->runtime->cores[0]->timers);
    (void)tni_idle_unpark(&h->runtime->idle, 0);
}

static void finish_reported(void *state)
{
    house *h = state;

    model_check(tni_a32_load(&h->reports, TNI_RELAXED) == 1);
    wake_up(h);
    tn_cancel(h->task);
    tn_waker_release(h->waker);
    tn_task_release(h->task);
    small_runtime_destroy(h->runtime);
}

static void finish_unreported(void *state)
{
    house *h = state;

    model_check(tni_a32_load(&h->reports, TNI_RELAXED) == 0 && h->runtime->reporter.deadlocks == 0);
    wake_up(h);
    tn_task_release(h->task);
    small_runtime_destroy(h->runtime);
}

static void finish_held(void *state)
{
    tn_runtime_unhold(((house *)state)->runtime);
    finish_unreported(state);
}

#define CASE(what, preemptions, before, after, ...) \
    { \
        .name = "dump." what, .state_bytes = sizeof(house), .bound = preemptions, .setup = before, .threads = {__VA_ARGS__}, \
        .finish = after, .no_chance = true \
    }

const model_scenario model_scenarios[] = {
    CASE("wake", 1, setup, finish, work, ring, dump),
    CASE("wake_again", 1, setup_queued, finish, work, ring, dump),
    CASE("cancel", 1, setup, finish, work, cancel, dump),
    CASE("unhold", 1, setup_held, finish_reported, unhold),
    CASE("unhold_look", 2, setup_asleep, finish_unreported, wake_and_unhold, look),
    CASE("run_look", 2, setup_asleep, finish_unreported, run_once_and_sleep, wake_and_unhold, look),
    CASE("hold_look", 2, setup_asleep, finish_held, look, wake),
    CASE("walk_look", 1, setup_asleep, finish_unreported, dump, wake_and_unhold, look),
    CASE("walk_unhold", 1, setup_walked, finish_reported, dump_and_expect),
    {0},
};
