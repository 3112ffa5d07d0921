/* SPDX-License-Identifier: MIT */
/* A worker's last actions before it sleeps may make tasks runnable. These tasks must run. A worker without work must sleep. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>

#include "io/driver.h"
#include "sched/runtime.h"
#include "support/manual.h"
#include "support/runtime.h"

enum { ROUNDS = 50 };

/* Runs `entry` in three runtimes: with the environment's number of workers, with one worker, and current-thread. */
static void run_in_each(tn_entry_fn entry)
{
    for (int shape = 0; shape < 3; shape++) {
        tn_options options = tt_options();
        tn_runtime *runtime = NULL;
        if (shape == 1)
            options.workers = 1;
        if (shape == 2) {
            options.workers = 0;
            options.flavor = TN_CURRENT_THREAD;
        }
        options.stuck_after_ns = UINT64_MAX; /* no replacement thread may take the core whose loop is tested */
        cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
        cr_assert_eq(tn_block_on(runtime, entry, runtime, NULL), 0);
        tt_runtime_destroy(runtime);
    }
}

/* --- Registrations -------------------------------------------------------------------------------------------------------- */

/* Registers a file that no loop can poll. */
static tni_registration *make_unwatchable(tn_runtime *runtime)
{
    tni_registration *registration = NULL;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    tt_check(fd >= 0);
    tt_check(tni_registration_make(runtime, fd, &registration) == 0);
    return registration;
}

/* Makes a request for the only registration while this thread owns its loop, as another could: it goes to the inbox. */
static void post(tn_runtime *runtime, tni_registration *registration, void (*request)(tni_registration *registration))
{
    unsigned i = 0;
    bool owned;

    while (tni_a32_load(&runtime->cores[i]->driver.registrations, TNI_RELAXED) == 0)
        tt_check(++i < runtime->core_count);
    owned = tni_driver_try_own(&runtime->cores[i]->driver); /* if this fails, the core's worker sleeps in the loop */
    request(registration);
    if (owned)
        tni_driver_disown(&runtime->cores[i]->driver);
}

typedef struct {
    tn_future base;
    tni_registration *registration;
} readable_future;

static int readable_poll(tn_future *self, tn_waker *waker)
{
    return tni_registration_poll(tni_container_of(self, readable_future, base)->registration, TNI_READ, waker);
}

static void readable_drop(tn_future *self)
{
    tni_registration_unregister(tni_container_of(self, readable_future, base)->registration, TNI_READ);
}

static const tn_future_ops readable_ops = {readable_poll, readable_drop, "readable"};

static void *wait_for_what_cannot_be_watched(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        readable_future future = {{&readable_ops}, make_unwatchable(arg)};
        post(arg, future.registration, tni_registration_watch);
        tt_check(tn_await(&future.base) == -EPERM);
        tni_registration_close(future.registration);
    }
    return NULL;
}

Test(parking, a_posted_open_that_fails_ends_the_wait)
{
    run_in_each(wait_for_what_cannot_be_watched);
}

typedef struct {
    tni_registration *registration;
    tt_manual dropped;
    atomic_bool over;
} leftover;

static void drop_result(void *result)
{
    leftover *l = result;

    tt_manual_ready(&l->dropped, 0);
    atomic_store(&l->over, true);
}

/* Leaves its waker in the registration, which then has the last reference to the task. */
static void *leave_waker_behind(void *arg)
{
    leftover *l = arg;

    tt_check(tni_registration_poll(l->registration, TNI_READ, tni_task_waker(tn_self())) == TN_PENDING);
    return l;
}

static void watch_and_close(tni_registration *registration)
{
    tni_registration_watch(registration);
    tni_registration_close(registration);
}

static void *wait_for_a_dropped_result(void *arg)
{
    tn_spawn_options options = tn_spawn_options_default();

    options.drop_result = drop_result;
    for (int i = 0; i < ROUNDS; i++) {
        leftover l = {.registration = make_unwatchable(arg), .over = false};
        tt_manual_init(&l.dropped);
        tt_check(tn_spawn_on(NULL, &options, NULL, leave_waker_behind, &l) == 0);
        while (tn_runtime_tasks(arg) > 1)
            tt_check(tn_yield() == 0);
        post(arg, l.registration, watch_and_close);
        tt_check(tn_await(&l.dropped.base) == 0);
        while (!atomic_load(&l.over))
            tt_check(tn_yield() == 0);
    }
    return NULL;
}

Test(parking, a_result_that_is_dropped_with_a_registration_may_wake_a_task)
{
    run_in_each(wait_for_a_dropped_result);
}

/* --- What is attached ----------------------------------------------------------------------------------------------------- */

typedef struct {
    tni_attachment base;
    tt_manual news;
} attached;

static size_t attached_stop(tni_attachment *self, uint64_t deadline_ns)
{
    (void)self;
    (void)deadline_ns;
    return 0;
}

static bool attached_tend(tni_attachment *self, uint64_t now_ns)
{
    (void)now_ns;
    tt_manual_ready(&tni_container_of(self, attached, base)->news, 0);
    return false;
}

static void attached_fini(tni_attachment *self)
{
    (void)self;
}

static void *wait_for_news(void *arg)
{
    attached *a = arg;

    for (int i = 0; i < ROUNDS; i++) {
        tt_manual_init(&a->news);
        tt_check(tn_await(&a->news.base) == 0);
    }
    return NULL;
}

Test(parking, what_is_attached_may_wake_a_task)
{
    attached a = {.base = {.stop = attached_stop, .maintain = attached_tend, .fini = attached_fini}};
    tn_options options = tn_options_default();
    tn_runtime *runtime = NULL;

    options.flavor = TN_CURRENT_THREAD;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    tt_manual_init(&a.news);
    tni_aptr_store(&runtime->attachment, &a.base, TNI_RELEASE);
    cr_assert_eq(tn_block_on(runtime, wait_for_news, &a, NULL), 0);
    tt_runtime_destroy(runtime);
}

/* --- Sleep ---------------------------------------------------------------------------------------------------------------- */

/* More timers in one slot of the second level than tni_wheel_next_ns checks. */
enum { SLEEPERS = 12 };
#define SLOT_NS (TNI_WHEEL_TICK_NS * TNI_WHEEL_SLOTS)

static void *sleep_until(void *arg)
{
    tn_sleep_future future;

    tn_sleep_init(&future, *(const uint64_t *)arg);
    tt_check(tn_await(&future.base) == 0);
    return NULL;
}

static uint64_t parks(const tn_runtime *runtime)
{
    tn_counters counters;

    tt_check(tn_runtime_counters(runtime, 0, &counters) == 0);
    return counters.parks;
}

/* The slot starts while the worker is busy. Then the worker has nothing to do for most of the slot. */
static void *sleep_in_one_slot(void *arg)
{
    uint64_t start_ns = (tn_now() / SLOT_NS + 1) * SLOT_NS;
    uint64_t due_ns = start_ns + SLOT_NS - TNI_WHEEL_TICK_NS;
    tn_task *tasks[SLEEPERS];
    uint64_t before;

    for (int i = 0; i < SLEEPERS; i++)
        tasks[i] = tt_spawn(sleep_until, &due_ns);
    while (tn_now() < start_ns + TN_MS)
        tt_check(tn_yield() == 0);
    before = parks(arg);
    for (int i = 0; i < SLEEPERS; i++)
        tt_join(tasks[i]);
    /* A few are right: the slot is emptied, libuv counts in whole milliseconds, other threads wake the worker. */
    tt_check(parks(arg) - before < 100);
    return NULL;
}

Test(parking, an_idle_worker_sleeps_until_the_next_timer)
{
    for (int i = 0; i < 4; i++) {
        tn_options options = tn_options_default();
        tn_runtime *runtime = NULL;
        options.flavor = i % 2 == 0 ? TN_MULTI_THREAD : TN_CURRENT_THREAD;
        options.workers = 1;
        cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
        cr_assert_eq(tn_block_on(runtime, sleep_in_one_slot, runtime, NULL), 0);
        tt_runtime_destroy(runtime);
    }
}
