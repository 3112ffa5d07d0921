/* SPDX-License-Identifier: MIT */
/* A worker that gets no processor. Another worker runs the task for which it was chosen. Another thread polls its loop while it
 * wakes. The number of a file is reused for another socket between its sleep and its report. The workers are the shipped ones,
 * and so are the checks of the monitor (stuck.c), which happen at any moment, whether the worker is late or not. */
#include <tn/future.h>

#include "base/tls.h"
#include "model.h"
#include "no_monitor.h"
#include "no_starter.h"
#include "sched/pinned.h"
#include "sched/runtime.h"
#include "sched/schedule.h"
#include "small_runtime.h"
#include "stop_workers.h"
#include "until.h"
#include "watch/stuck.h"

#define LATE_NS (10 * TN_MS)

typedef struct {
    tn_runtime *runtime;
    tn_task *task;
    tn_task *starting; /* it, where a thread of the scenario queues it */
    until_future future;
    tni_wait bell;
    tni_a32 rung;
    int fd;
    tni_registration *registration;
} scene;

/* Like a spawn of a pinned task in a runtime with more cores: the task is to begin on the core. */
static void push_start(void *state)
{
    scene *s = state;

    tni_pinned_push(s->runtime->cores[0], s->starting);
    tni_pinned_wake(s->runtime->cores[0]);
}

static void spawn(scene *s)
{
    model_check(tn_spawn_future(s->runtime, NULL, &s->task, &s->future.base) == 0);
    model_name(&s->task->state, 8, "task.state");
}

/* Like check_cores in monitor.c, with a core that has not moved since the last check although its worker should have. */
static void look_late(const tn_runtime *runtime)
{
    tni_core *core = runtime->cores[0];
    uint64_t due_ns = TNI_FOREVER;

    core->record.polls = tni_a64_load(&core->counts.driver_polls, TNI_RELAXED);
    core->record.runs = tni_a64_load(&core->counts.polls, TNI_RELAXED);
    core->record.parks = tni_a64_load(&core->counts.parks, TNI_RELAXED);
    (void)tni_stuck_observe(core, tni_clock_ns() + LATE_NS, true, &due_ns);
}

static void monitor(void *state)
{
    look_late(((scene *)state)->runtime);
}

/* --- One worker ------------------------------------------------------------------------------------------------------------- */

static void setup(void *state)
{
    scene *s = state;

    s->runtime = small_runtime_create();
    s->runtime->options.stuck_after_ns = TNI_FOREVER; /* the core is not taken */
    s->fd = model_fd_open();
    tni_wait_init(&s->bell);
    tni_a32_init(&s->rung, 0);
    model_name_of(s->bell);
    model_name_of(s->rung);
    s->future = (until_future){{&until_ops}, NULL, &s->bell, &s->rung};
}

static void setup_bell(void *state)
{
    setup(state);
    spawn(state);
}

static void register_fd(scene *s)
{
    model_check(tni_registration_make(s->runtime, s->fd, &s->registration) == 0);
    tni_registration_watch(s->registration);
}

static void setup_event(void *state)
{
    scene *s = state;

    setup(state);
    register_fd(s);
    s->future.registration = s->registration;
    spawn(s);
}

/* The registration has had one report, so from now on a sleep fetches its events. */
static void setup_reported(void *state)
{
    scene *s = state;
    tni_driver *driver;

    setup(state);
    register_fd(s);
    model_fire(s->fd, TNI_OS_WRITABLE);
    driver = &s->runtime->cores[0]->driver;
    model_check(tni_driver_try_own(driver));
    tni_driver_poll(driver);
    tni_driver_disown(driver);
}

static void work(void *state)
{
    scene *s = state;

    tni_worker_drive(s->runtime->workers, s->task, TNI_FOREVER);
}

static void ring(void *state)
{
    scene *s = state;

    tni_a32_store(&s->rung, 1, TNI_RELEASE);
    (void)tni_wait_wake(&s->bell);
}

static void arrive(void *state)
{
    model_fire(((scene *)state)->fd, TNI_OS_READABLE);
}

/* The task ends in its first run. It is in no queue before a thread of the scenario queues it. */
static void setup_start(void *state)
{
    scene *s = state;

    setup(state);
    tni_a32_store(&s->rung, 1, TNI_RELAXED);
    spawn(s);
    model_name(&s->runtime->cores[0]->starts.length, 4, "starts.length");
    model_check(tni_injector_take(&s->runtime->injector, &s->starting, 1) == 1);
}

/* Like move_work_away and poll_for in stuck.c, which move nothing if there is one core. */
static void move_away(void *state)
{
    tn_runtime *runtime = ((scene *)state)->runtime;

    tni_schedule_evacuate(runtime->cores[0]);
    tni_fence_full();
    if (tni_schedule_any_work(runtime))
        tni_schedule_wake_one(runtime);
}

static void be_quiet(scene *s)
{
    tni_a32_store(&s->runtime->quiet, 1, TNI_RELEASE);
    tni_worker_unpark(s->runtime->workers);
}

/* The number of the file is reused as soon as it is closed. The new socket has had no event. */
static void close_and_reuse(void *state)
{
    scene *s = state;
    tni_registration *later;
    int fd;

    model_fire(s->fd, TNI_OS_READABLE);
    tni_registration_close(s->registration);
    fd = model_fd_open();
    model_check(tni_registration_make(s->runtime, fd, &later) == 0);
    tni_registration_watch(later);
    model_check(!tni_readiness_has(tni_registration_readiness(later), TNI_READ));
    tni_registration_close(later);
    be_quiet(s);
}

static void finish(void *state)
{
    scene *s = state;

    if (s->task != NULL) {
        model_check(tn_task_is_finished(s->task));
        tn_task_release(s->task);
        if (s->registration != NULL)
            tni_registration_close(s->registration);
    }
    small_runtime_destroy(s->runtime);
}

/* --- Two workers, of which one gets no processor ---------------------------------------------------------------------------- */

typedef struct pair_scene pair_scene;

typedef struct {
    tn_future base;
    pair_scene *scene;
    uint32_t dropped;
} part;

struct pair_scene {
    tn_runtime *runtime;
    part away;              /* keeps the first worker */
    part one;               /* is spawned from outside */
    tni_os_mutex preparing; /* held by setup; the workers begin when it is free */
    tni_a32 inside;         /* 1: the first worker is inside its task */
    tni_a32 done;           /* 1: `one` has run */
};

static int stay_away(tn_future *self, tn_waker *waker)
{
    pair_scene *s = tni_container_of(self, part, base)->scene;

    (void)waker;
    tni_a32_store(&s->inside, 1, TNI_RELEASE);
    tni_futex_wake(&s->inside, 1);
    while (tni_a32_load(&s->done, TNI_ACQUIRE) == 0)
        tni_futex_wait(&s->done, 0, TNI_FOREVER);
    return 0;
}

static int run_once(tn_future *self, tn_waker *waker)
{
    pair_scene *s = tni_container_of(self, part, base)->scene;

    (void)waker;
    tni_a32_store(&s->done, 1, TNI_RELEASE);
    tni_futex_wake(&s->done, 1);
    stop_workers(s->runtime);
    return 0;
}

static void drop_part(tn_future *self)
{
    tni_container_of(self, part, base)->dropped++;
}

static const tn_future_ops away_ops = {stay_away, drop_part};
static const tn_future_ops once_ops = {run_once, drop_part};

static void on_thread_start(void *ctx)
{
    tni_os_mutex_lock(&((pair_scene *)ctx)->preparing);
    tni_os_mutex_unlock(&((pair_scene *)ctx)->preparing);
}

/* The first worker is marked parked, so it is chosen first. It does not wake, because it is inside a task. */
static void setup_pair(void *state)
{
    pair_scene *s = state;
    tn_options options = tn_options_default();
    tn_task *task;

    tni_os_mutex_init(&s->preparing);
    tni_os_mutex_lock(&s->preparing);
    options.on_thread_start = on_thread_start;
    options.thread_hook_ctx = s;
    options.workers = 2;
    options.guard = TN_GUARD_NONE;
    options.stuck_after_ns = TNI_FOREVER;
    model_check(tn_runtime_create(&s->runtime, &options) == 0);
    tni_a32_init(&s->inside, 0);
    tni_a32_init(&s->done, 0);
    model_name_of(s->inside);
    model_name_of(s->done);
    model_name(&s->runtime->idle.marks[0], 8, "idle.marks");
    model_name(&s->runtime->injector.length, 4, "injector.length");
    s->away = (part){{&away_ops}, s, 0};
    s->one = (part){{&once_ops}, s, 0};
    model_check(tn_spawn_future(s->runtime, NULL, NULL, &s->away.base) == 0);
    model_check(tni_injector_take(&s->runtime->injector, &task, 1) == 1);
    tni_worker_mail(tni_aptr_load(&s->runtime->cores[0]->worker, TNI_RELAXED), task);
    tni_idle_park(&s->runtime->idle, 0);
    tni_os_mutex_unlock(&s->preparing);
}

/* A spawn from outside, then the check of the monitor, as late as possible. */
static void spawn_and_look_at(pair_scene *s, bool pinned)
{
    tn_spawn_options options = tn_spawn_options_default();

    options.pinned = pinned;
    while (tni_a32_load(&s->inside, TNI_ACQUIRE) == 0)
        tni_futex_wait(&s->inside, 0, TNI_FOREVER);
    model_check(tn_spawn_future(s->runtime, &options, NULL, &s->one.base) == 0);
    look_late(s->runtime);
}

static void spawn_and_look(void *state)
{
    spawn_and_look_at(state, false);
}

/* The task is to begin on the core of the worker that does not run. */
static void spawn_pinned_and_look(void *state)
{
    spawn_and_look_at(state, true);
}

static void finish_pair(void *state)
{
    pair_scene *s = state;

    model_check(s->away.dropped == 1 && s->one.dropped == 1);
    model_check(tn_runtime_destroy(s->runtime, TN_SHUTDOWN_WAIT, TNI_FOREVER) == 0);
}

#define CASE(what, how, ...) \
    { \
        .name = "late." what, .state_bytes = sizeof(scene), .setup = how, .finish = finish, .no_chance = true, __VA_ARGS__ \
    }

const model_scenario model_scenarios[] = {
    CASE("bell", setup_bell, .threads = {work, ring, monitor}, .no_preemptions = true),
    CASE("event", setup_event, .threads = {work, arrive, monitor}, .no_preemptions = true),
    CASE("start", setup_start, .threads = {work, push_start}),
    CASE("start_moved", setup_start, .threads = {work, push_start, move_away}, .bound = 1),
    CASE("reuse", setup_reported, .threads = {work, close_and_reuse}, .bound = 1),
    CASE("reuse_monitor", setup_reported, .threads = {work, close_and_reuse, monitor}, .no_preemptions = true),
    {.name = "late.chosen",
     .state_bytes = sizeof(pair_scene),
     .setup = setup_pair,
     .threads = {spawn_and_look},
     .finish = finish_pair,
     .no_chance = true,
     .no_preemptions = true},
    {.name = "late.pinned",
     .state_bytes = sizeof(pair_scene),
     .setup = setup_pair,
     .threads = {spawn_pinned_and_look},
     .finish = finish_pair,
     .no_chance = true,
     .no_preemptions = true},
    {0},
};
