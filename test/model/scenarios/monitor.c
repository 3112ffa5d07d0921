/* SPDX-License-Identifier: MIT */
/* The monitor's rest: once all workers are asleep, it sleeps until something happens. A worker that leaves its park wakes it.
 * So while a worker is inside a long task, the monitor reports what its loop has to report. */
#include "watch/monitor.h"

#include "base/tls.h"
#include "model.h"
#include "small_runtime.h"

/* Longer than TNI_MONITOR_REST_NS. */
#define LONG_NS (60 * TN_MS)

typedef struct {
    tn_runtime *runtime;
    tn_future base;
    tni_registration *registration;
    int fd;
    tni_a32 never; /* no thread wakes it */
} watch;

static int poll_readable(tn_future *self, tn_waker *waker)
{
    return tni_registration_poll(tni_container_of(self, watch, base)->registration, TNI_READ, waker);
}

static void drop_readable(tn_future *self)
{
    tni_registration_unregister(tni_container_of(self, watch, base)->registration, TNI_READ);
}

static const tn_future_ops ops = {poll_readable, drop_readable};

/* Completes the open of the registration, as a worker does before it sleeps. */
static void settle(tni_core *core)
{
    model_check(tni_driver_try_own(&core->driver));
    tni_driver_poll(&core->driver);
    tni_driver_disown(&core->driver);
}

static void setup(void *state)
{
    watch *w = state;

    w->runtime = small_runtime_create();
    w->base.ops = &ops;
    w->fd = model_fd_open();
    tni_a32_init(&w->never, 0);
    model_name(&w->runtime->monitor.resting, 4, "resting");
    model_name(&w->runtime->monitor.stop, 4, "stop");
    model_name_of(w->never);
    model_check(tni_registration_make(w->runtime, w->fd, &w->registration) == 0);
    tni_registration_watch(w->registration);
    settle(w->runtime->cores[0]);
    tni_idle_park(&w->runtime->idle, 0);
    model_check(tni_monitor_start(w->runtime) == 0);
}

static void sleep_long(watch *w)
{
    tni_futex_wait(&w->never, 0, tni_clock_ns() + LONG_NS);
}

/* Like the end of park in worker.c, then a long task, during which an event occurs. */
static void be_busy(watch *w)
{
    (void)tni_idle_unpark(&w->runtime->idle, 0);
    tni_monitor_notice(w->runtime);
    model_fire(w->fd, TNI_OS_READABLE);
    model_check(tn_await(&w->base) == 0);
}

static void sleep_and_work(void *state)
{
    watch *w = state;

    sleep_long(w);
    be_busy(w);
    tni_monitor_stop(w->runtime);
}

/* A long task without an event in a loop: the monitor must be awake to find it. */
static void sleep_and_compute(void *state)
{
    watch *w = state;
    tni_core *core = w->runtime->cores[0];

    sleep_long(w);
    tni_a32_store(&core->ticks_left, 1, TNI_RELAXED);
    (void)tni_idle_unpark(&w->runtime->idle, 0);
    tni_monitor_notice(w->runtime);
    model_until_changed(&core->ticks_left, 1); /* the monitor has polled for the core */
    tni_monitor_stop(w->runtime);
}

/* Stops the monitor while it rests or is about to rest. */
static void sleep_and_stop(void *state)
{
    watch *w = state;

    sleep_long(w);
    tni_monitor_stop(w->runtime);
}

static void finish(void *state)
{
    watch *w = state;

    (void)tni_idle_unpark(&w->runtime->idle, 0);
    tni_registration_close(w->registration);
    small_runtime_destroy(w->runtime);
}

#define CASE(what, ...) \
    { \
        .name = "monitor." what, .state_bytes = sizeof(watch), .setup = setup, .finish = finish, .no_chance = true, __VA_ARGS__ \
    }

const model_scenario model_scenarios[] = {
    CASE("rest", .threads = {sleep_and_work}),
    CASE("notice", .threads = {sleep_and_compute}),
    CASE("stop", .threads = {sleep_and_stop}),
    {0},
};
