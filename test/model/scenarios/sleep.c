/* SPDX-License-Identifier: MIT */
/* The shipped worker goes to sleep, in its loop or, if another thread owns that, on its parker. Meanwhile a task is woken from
 * outside, a socket becomes ready, a registration is posted, or the worker itself makes a task runnable in its last step before
 * the sleep. It must not keep sleeping then. Nor must it stay awake when there is no work. */
#include <errno.h>

#include <tn/combine.h>

#include "base/tls.h"
#include "model.h"
#include "small_runtime.h"
#include "until.h"

typedef struct {
    tn_runtime *runtime;
    tn_task *task;
    until_future future;
    tni_wait bell;
    tni_a32 rung;
    int fd;
    tni_registration *registration;
    tni_attachment attachment;
} scene;

static scene *present; /* constant while threads run */

static void setup(void *state)
{
    scene *s = state;

    s->runtime = small_runtime_create();
    s->fd = model_fd_open();
    tni_wait_init(&s->bell);
    tni_a32_init(&s->rung, 0);
    model_name_of(s->bell);
    model_name_of(s->rung);
    s->future = (until_future){{&until_ops}, NULL, &s->bell, &s->rung};
}

static void spawn(scene *s)
{
    model_check(tn_spawn_future(s->runtime, NULL, &s->task, &s->future.base) == 0);
    model_name(&s->task->state, 8, "task.state");
}

static void setup_bell(void *state)
{
    setup(state);
    spawn(state);
}

static void setup_event(void *state)
{
    scene *s = state;

    setup(state);
    model_check(tni_registration_make(s->runtime, s->fd, &s->registration) == 0);
    tni_registration_watch(s->registration);
    s->future.registration = s->registration;
    spawn(s);
}

/* The registration cannot be opened, so the task's wait ends with an error. */
static void setup_open_fails(void *state)
{
    scene *s = state;

    setup(state);
    model_fd_refuse(s->fd, -ENOSPC);
    model_check(tni_registration_make(s->runtime, s->fd, &s->registration) == 0);
    s->future.registration = s->registration;
    spawn(s);
}

/* As above. Another thread owned the loop when the registration was posted, and the worker did not sleep. The worker
 * finds it. */
static void setup_open_posted(void *state)
{
    scene *s = state;
    tni_driver *driver;

    setup_open_fails(state);
    driver = &s->runtime->cores[0]->driver;
    model_check(tni_driver_try_own(driver));
    tni_registration_watch(s->registration);
    tni_driver_disown(driver);
}

static size_t stop_attachment(tni_attachment *self, uint64_t deadline_ns)
{
    (void)self;
    (void)deadline_ns;
    return 0;
}

/* Wakes the task, as a log function of the user may. */
static bool tend_attachment(tni_attachment *self, uint64_t now_ns)
{
    (void)self;
    (void)now_ns;
    tni_a32_store(&present->rung, 1, TNI_RELEASE);
    (void)tni_wait_wake(&present->bell);
    return false;
}

static void fini_attachment(tni_attachment *self)
{
    (void)self;
}

static void setup_tend(void *state)
{
    scene *s = state;

    setup_bell(state);
    present = s;
    s->attachment = (tni_attachment){.stop = stop_attachment, .maintain = tend_attachment, .fini = fini_attachment};
    tni_aptr_store(&s->runtime->attachment, &s->attachment, TNI_RELEASE);
}

/* --- Paused time ------------------------------------------------------------------------------------------------------------ */

typedef struct {
    scene base;
    tn_timeout_future timeout; /* of base.future */
    uint64_t begin_ns;
} paused_scene;

/* The task waits for the bell, or for an hour on the clock, which is paused; another thread holds the runtime. */
static void setup_paused(void *state)
{
    paused_scene *p = state;

    setup(&p->base);
    tni_task_clock_pause(&p->base.runtime->clock);
    p->begin_ns = p->base.runtime->clock.now_ns;
    tn_timeout_init(&p->timeout, &p->base.future.base, p->begin_ns + UINT64_C(3600000000000));
    model_check(tn_spawn_future(p->base.runtime, NULL, &p->base.task, &p->timeout.base) == 0);
    tn_runtime_hold(p->base.runtime);
    model_name_of(p->base.runtime->holds);
}

/* --- Timers of one slot ----------------------------------------------------------------------------------------------------- */

/* More timers than tni_wheel_next_ns reads. */
#define SLEEPERS 9
/* One slot of the wheel's second level. */
#define SLOT_NS (TNI_WHEEL_TICK_NS * TNI_WHEEL_SLOTS)

typedef struct {
    tn_runtime *runtime;
    tn_sleep_future sleeps[SLEEPERS];
    tn_task *tasks[SLEEPERS];
    tn_future pass_time;
} dormitory;

/* The worker is busy while the slot's start passes. */
static int poll_pass_time(tn_future *self, tn_waker *waker)
{
    (void)self;
    (void)waker;
    model_time_passes(SLOT_NS + TNI_WHEEL_TICK_NS);
    return 0;
}

static void drop_nothing(tn_future *self)
{
    (void)self;
}

static const tn_future_ops pass_time_ops = {poll_pass_time, drop_nothing};

static void setup_one_slot(void *state)
{
    dormitory *d = state;
    uint64_t next_slot_ns = (tni_clock_ns() / SLOT_NS + 1) * SLOT_NS;

    d->runtime = small_runtime_create();
    for (unsigned i = 0; i < SLEEPERS; i++) {
        tn_sleep_init(&d->sleeps[i], next_slot_ns + SLOT_NS - TNI_WHEEL_TICK_NS);
        model_check(tn_spawn_future(d->runtime, NULL, &d->tasks[i], &d->sleeps[i].base) == 0);
    }
    d->pass_time.ops = &pass_time_ops;
    model_check(tn_spawn_future(d->runtime, NULL, NULL, &d->pass_time) == 0);
}

/* If the worker never sleeps, the time never passes. */
static void sleep_until_all_go_off(void *state)
{
    dormitory *d = state;

    for (unsigned i = 0; i < SLEEPERS; i++)
        tni_worker_drive(d->runtime->workers, d->tasks[i], TNI_FOREVER);
}

static void finish_one_slot(void *state)
{
    dormitory *d = state;

    for (unsigned i = 0; i < SLEEPERS; i++) {
        model_check(tn_task_is_finished(d->tasks[i]));
        tn_task_release(d->tasks[i]);
    }
    small_runtime_destroy(d->runtime);
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

/* The worker: runs until the task has ended or, without a task, until the runtime is quiet. */
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

static void unhold(void *state)
{
    tn_runtime_unhold(((scene *)state)->runtime);
}

static void ring_and_unhold(void *state)
{
    ring(state);
    unhold(state);
}

static void watch(void *state)
{
    tni_registration_watch(((scene *)state)->registration);
}

static void arrive(void *state)
{
    model_fire(((scene *)state)->fd, TNI_OS_READABLE);
}

/* Like poll_for in stuck.c: another thread polls the loop. */
static void monitor(void *state)
{
    tni_driver *driver = &((scene *)state)->runtime->cores[0]->driver;

    if (!tni_driver_try_own(driver))
        return;
    tni_driver_poll(driver);
    tni_driver_disown(driver);
}

static void be_quiet(scene *s)
{
    tni_a32_store(&s->runtime->quiet, 1, TNI_RELEASE);
    tni_worker_unpark(s->runtime->workers);
}

/* An external thread waits on a socket in the worker's loop. The socket is readable from the beginning. */
static void open_wait_close(void *state)
{
    scene *s = state;
    until_future future = {.base = {&until_ops}};

    model_fire(s->fd, TNI_OS_READABLE);
    model_check(tni_registration_make(s->runtime, s->fd, &future.registration) == 0);
    tni_registration_watch(future.registration);
    model_check(tn_await(&future.base) == 0);
    tni_registration_close(future.registration);
    be_quiet(s);
}

/* --- Ends ------------------------------------------------------------------------------------------------------------------- */

static void finish(void *state)
{
    scene *s = state;

    if (s->task != NULL) {
        model_check(tn_task_is_finished(s->task));
        tn_task_release(s->task);
    }
    if (s->registration != NULL)
        tni_registration_close(s->registration);
    small_runtime_destroy(s->runtime);
    model_check(s->registration == NULL || !model_fd_is_open(s->fd));
}

/* Nothing was brought: the hour has passed. */
static void finish_jumped(void *state)
{
    paused_scene *p = state;

    model_check(p->base.runtime->clock.now_ns > p->begin_ns);
    finish(state);
}

/* The bell was rung under the hold: no time has passed. */
static void finish_unmoved(void *state)
{
    paused_scene *p = state;

    model_check(p->base.runtime->clock.now_ns == p->begin_ns);
    finish(state);
}

#define PAUSED(what, end, ...) \
    { \
        .name = "sleep." what, .state_bytes = sizeof(paused_scene), .setup = setup_paused, .finish = end, .no_chance = true, \
        __VA_ARGS__ \
    }

#define CASE(what, how, ...) \
    { \
        .name = "sleep." what, .state_bytes = sizeof(scene), .setup = how, .finish = finish, .no_chance = true, __VA_ARGS__ \
    }

const model_scenario model_scenarios[] = {
    CASE("bell", setup_bell, .threads = {work, ring}),
    CASE("bell_monitor", setup_bell, .threads = {work, ring, monitor}),
    CASE("event", setup_event, .threads = {work, arrive}),
    CASE("event_monitor", setup_event, .threads = {work, arrive, monitor}),
    CASE("inbox", setup, .threads = {work, open_wait_close}),
    CASE("open_posted", setup_open_posted, .threads = {work}),
    CASE("open_fails", setup_open_fails, .threads = {work, watch, monitor}, .bound = 1),
    CASE("tend", setup_tend, .threads = {work}),
    {.name = "sleep.one_slot",
     .state_bytes = sizeof(dormitory),
     .setup = setup_one_slot,
     .threads = {sleep_until_all_go_off},
     .finish = finish_one_slot,
     .no_chance = true},
    PAUSED("unhold", finish_jumped, .threads = {work, unhold}),
    PAUSED("job_ends", finish_unmoved, .threads = {work, ring_and_unhold}),
    CASE("inbox_monitor", setup, .threads = {work, open_wait_close, monitor}, .bound = 1),
    {0},
};
