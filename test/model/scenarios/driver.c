/* SPDX-License-Identifier: MIT */
/* The driver of a core: a registration is opened, waited on and closed while another thread owns the loop, and a worker sleeps
 * in the loop. */
#include "io/driver.h"

#include "base/parker.h"
#include "model.h"
#include "sched/runtime.h"
#include "sched/worker.h"
#include "waker.h"

typedef struct {
    tni_core core;
    tni_parker parker;
    tni_a32 parked;
    tni_a32 stop;
    tn_waker waker;
    int fd;
} drive;

/* Constant while threads run. */
static tn_runtime runtime;
static drive *present;

/* --- What the driver uses of the rest of the runtime ------------------------------------------------------------------------ */

tni_driver *tni_core_choose_driver(tn_runtime *of)
{
    return &of->cores[0]->driver;
}

/* Like tni_worker_unpark. */
static void unpark(drive *d)
{
    if (tni_parker_notify(&d->parker))
        tni_os_loop_wake(&d->core.driver.loop);
}

void tni_core_wake_driver(tni_driver *driver)
{
    (void)driver;
    if (tni_a32_load(&present->parked, TNI_RELAXED) == 1)
        unpark(present);
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

static void setup(void *state)
{
    drive *d = state;

    runtime.cores[0] = &d->core;
    runtime.core_count = 1;
    present = d;
    d->core.runtime = &runtime;
    (void)tni_driver_init(&d->core.driver, &tni_alloc_default);
    tni_parker_init(&d->parker);
    tni_a32_init(&d->parked, 0);
    tni_a32_init(&d->stop, 0);
    d->fd = model_fd_open();
    model_name(&d->core.driver.owned, 4, "driver.owned");
    model_name(&d->core.driver.inbox, 8, "driver.inbox");
    model_name(&d->core.driver.registrations, 4, "driver.registrations");
    model_name(&d->core.driver.events, 8, "driver.events");
    model_name_of(d->parker);
    model_name_of(d->parked);
    model_name_of(d->stop);
    model_name_of(d->waker.references);
    model_name_of(d->waker.wakes);
}

static void open_and_close(void *state)
{
    drive *d = state;
    tni_registration *registration;

    model_check(tni_registration_make(&runtime, d->fd, &registration) == 0);
    tni_registration_watch(registration);
    tni_registration_close(registration);
}

static void poll_as(void *state, bool sleeps)
{
    drive *d = state;

    if (!tni_driver_try_own(&d->core.driver))
        return;
    if (sleeps)
        (void)tni_driver_report(&d->core.driver);
    tni_driver_poll(&d->core.driver);
    tni_driver_disown(&d->core.driver);
}

static void poll_once(void *state)
{
    poll_as(state, false);
}

static void poll_twice(void *state)
{
    poll_once(state);
    poll_once(state);
}

/* Like a worker: a poll between tasks, then park and sleep_in_loop of worker.c, again and again. */
static void sleep_in_loop(void *state)
{
    drive *d = state;

    poll_as(state, true);
    while (tni_a32_load(&d->stop, TNI_ACQUIRE) == 0) {
        tni_a32_store(&d->parked, 1, TNI_RELAXED);
        tni_fence_full();
        if (tni_a32_load(&d->stop, TNI_ACQUIRE) != 0)
            break;
        if (tni_driver_has_fetched(&d->core.driver) || tni_driver_has_incomplete(&d->core.driver)) {
            tni_parker_wait(&d->parker, tni_clock_ns() + TNI_LOOP_TAKEN_NS);
        } else if (tni_parker_prepare(&d->parker, TNI_PARK_LOOP)) {
            tni_driver_sleep(&d->core.driver, TNI_FOREVER);
            tni_parker_finish(&d->parker);
        }
        tni_a32_store(&d->parked, 0, TNI_RELAXED);
        poll_as(state, true);
    }
}

static void stop(drive *d)
{
    tni_a32_store(&d->stop, 1, TNI_RELEASE);
    tni_fence_full();
    unpark(d);
}

static void read_and_close(void *state)
{
    drive *d = state;
    tni_registration *registration;
    uint32_t wakes = 0;

    model_check(tni_registration_make(&runtime, d->fd, &registration) == 0);
    tni_registration_watch(registration);
    while (tni_registration_poll(registration, TNI_READ, &d->waker) == TN_PENDING)
        wakes = waker_wait(&d->waker, wakes);
    tni_registration_unregister(registration, TNI_READ);
    tni_registration_close(registration);
    stop(d);
}

static void arrive(void *state)
{
    drive *d = state;

    model_fire(d->fd, TNI_OS_READABLE);
}

static void finish(void *state)
{
    drive *d = state;

    tni_driver_fini(&d->core.driver);
    model_check(!model_fd_is_open(d->fd));
    model_check(tni_a32_load(&d->waker.references, TNI_RELAXED) == 0);
    model_check(tni_a32_load(&d->core.driver.registrations, TNI_RELAXED) == 0);
}

#define CASE(what, ...) \
    { \
        .name = "driver." what, .state_bytes = sizeof(drive), .setup = setup, .threads = {__VA_ARGS__}, .finish = finish \
    }

const model_scenario model_scenarios[] = {
    CASE("inbox", open_and_close, poll_twice),
    CASE("inbox_two_owners", open_and_close, poll_once, poll_once),
    CASE("sleeper", sleep_in_loop, read_and_close, arrive),
    {0},
};
