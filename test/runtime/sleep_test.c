/* SPDX-License-Identifier: MIT */
/* Sleeping: never ends early, can be cancelled, works for a million tasks at once and while all workers are in long tasks. */
/* ctest: timeout=120 serial */
#include <stdatomic.h>
#include <stdlib.h>

#include "support/runtime.h"

static const uint64_t durations_ns[] = {
    1,           999,           TN_US,       50 * TN_US,  TN_MS - 1,       TN_MS,      TN_MS + 1,
    2 * TN_MS,   3 * TN_MS + 7, 10 * TN_MS,  63 * TN_MS,  64 * TN_MS,      65 * TN_MS, 100 * TN_MS,
    127 * TN_MS, 128 * TN_MS,   129 * TN_MS, 200 * TN_MS, 250 * TN_MS + 1,
};

enum { DURATIONS = sizeof durations_ns / sizeof *durations_ns };

static void *sleep_once(void *arg)
{
    uint64_t ns = *(const uint64_t *)arg;
    uint64_t begin_ns = tn_now();

    tt_check(tn_sleep(ns) == 0);
    tt_check(tn_now() - begin_ns >= ns);
    return NULL;
}

static void *sleep_all(void *arg)
{
    tn_task *tasks[10 * DURATIONS];
    (void)arg;

    for (int i = 0; i < 10 * DURATIONS; i++)
        tasks[i] = tt_spawn(sleep_once, (void *)(uintptr_t)&durations_ns[i % DURATIONS]);
    for (int i = 0; i < 10 * DURATIONS; i++)
        tt_join(tasks[i]);
    return NULL;
}

Test(sleep, is_never_too_short)
{
    tt_run(sleep_all, NULL);
}

static void *sleep_often(void *arg)
{
    uint64_t until_ns = tn_now() + TN_S;
    uint64_t ns = (uint64_t)(uintptr_t)arg;

    while (tn_now() < until_ns) {
        uint64_t begin_ns = tn_now();
        tt_check(tn_sleep(ns) == 0);
        tt_check(tn_now() - begin_ns >= ns);
        ns = (ns * 48271 + 11) % (5 * TN_MS);
    }
    return NULL;
}

static void *many_sleep_often(void *arg)
{
    tn_task *tasks[40];
    (void)arg;

    for (int i = 0; i < 40; i++)
        tasks[i] = tt_spawn(sleep_often, (void *)(uintptr_t)(i * 100003 + 1));
    for (int i = 0; i < 40; i++)
        tt_join(tasks[i]);
    return NULL;
}

Test(sleep, is_never_too_short_beside_others)
{
    tt_run(many_sleep_often, NULL);
}

Test(sleep, in_a_plain_thread)
{
    for (int i = 0; i < DURATIONS; i++)
        sleep_once((void *)(uintptr_t)&durations_ns[i]);
    cr_assert_eq(tn_sleep(0), 0);
}

Test(sleep, in_a_plain_thread_beside_a_runtime)
{
    tn_runtime *runtime = tt_runtime_create();

    for (int i = 0; i < DURATIONS; i++)
        sleep_once((void *)(uintptr_t)&durations_ns[i]);
    tt_runtime_destroy(runtime);
}

/* --- Order ---------------------------------------------------------------------------------------------------------------- */

enum { ORDERED = 30 };

typedef struct {
    uint64_t begin_ns;
    atomic_int next;
    int order[ORDERED];
} ordered;

typedef struct {
    ordered *all;
    int index;
} ordered_arg;

static void *sleep_by_index(void *arg)
{
    ordered_arg *mine = arg;
    uint64_t until_ns = mine->all->begin_ns + (uint64_t)mine->index * 10 * TN_MS;
    uint64_t now_ns = tn_now();

    if (until_ns > now_ns)
        tt_check(tn_sleep(until_ns - now_ns) == 0);
    mine->all->order[atomic_fetch_add(&mine->all->next, 1)] = mine->index;
    return NULL;
}

static void *wake_in_order(void *arg)
{
    ordered o = {.begin_ns = tn_now() + 20 * TN_MS};
    ordered_arg args[ORDERED];
    tn_task *tasks[ORDERED];
    int inversions = 0;
    (void)arg;

    for (int i = 0; i < ORDERED; i++) {
        int index = (i * 7) % ORDERED;
        args[i] = (ordered_arg){&o, index};
        tasks[i] = tt_spawn(sleep_by_index, &args[i]);
    }
    for (int i = 0; i < ORDERED; i++)
        tt_join(tasks[i]);
    for (int i = 1; i < ORDERED; i++)
        inversions += o.order[i] < o.order[i - 1];
    tt_check(inversions <= ORDERED / 4); /* the monitor may fire some for a late worker */
    return NULL;
}

/* On one worker, tasks run in the order in which they are woken. */
Test(sleep, the_shorter_ends_first)
{
    tn_options options = tn_options_default();
    tn_runtime *runtime;

    options.workers = 1;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, wake_in_order, NULL, NULL), 0);
    tt_runtime_destroy(runtime);
}

/* --- Many tasks ----------------------------------------------------------------------------------------------------------- */

static void *sleep_and_count(void *arg)
{
    tt_check(tn_sleep(300 * TN_MS) == 0);
    atomic_fetch_add((atomic_ulong *)arg, 1);
    return NULL;
}

/* The kernel's limit on mappings bounds the number of fibers: a stack whose guard is made by mprotect has two mappings. */
Test(sleep, twenty_thousand_fibers)
{
    tn_runtime *runtime = tt_runtime_create();
    unsigned long count = tt_scaled(20000);
    atomic_ulong done = 0;
    size_t before = tt_resident_bytes();

    for (unsigned long i = 0; i < count; i++)
        cr_assert_eq(tn_spawn_on(runtime, NULL, NULL, sleep_and_count, &done), 0);
    while (atomic_load(&done) == 0)
        tn_yield();
    cr_log_info("%lu fibers asleep: %zu bytes each", count, (tt_resident_bytes() - before) / count);
    tt_runtime_destroy(runtime);
    cr_assert_eq(atomic_load(&done), count);
}

Test(sleep, a_million_stackless_tasks)
{
    tn_runtime *runtime = tt_runtime_create();
    unsigned long count = tt_scaled(1000000);
    tn_sleep_future *sleepers = calloc(count, sizeof *sleepers);
    size_t before;
    uint64_t begin_ns = tn_now();
    uint64_t until_ns;

    cr_assert_not_null(sleepers);
    for (unsigned long i = 0; i < count; i++)
        tn_sleep_init(&sleepers[i], 0); /* touches the memory before the measurement */
    before = tt_resident_bytes();
    until_ns = tn_now() + TN_S;
    for (unsigned long i = 0; i < count; i++) {
        tn_sleep_init(&sleepers[i], until_ns + i % 1000 * TN_MS);
        cr_assert_eq(tn_spawn_future(runtime, NULL, NULL, &sleepers[i].base), 0);
    }
    cr_assert_gt(tn_runtime_tasks(runtime), 0);
    cr_log_info("%lu tasks spawned in %lu ms, %zu bytes each", count, (unsigned long)((tn_now() - begin_ns) / TN_MS),
                (tt_resident_bytes() - before) / count);
    tt_runtime_destroy(runtime);
    cr_assert_geq(tn_now(), until_ns + (count < 1000 ? count - 1 : 999) * TN_MS);
    cr_log_info("all ended after %lu ms", (unsigned long)((tn_now() - begin_ns) / TN_MS));
    free(sleepers);
}

static void *sleep_for_good(void *arg)
{
    uint64_t ns = *(uint64_t *)arg;

    tt_check(tn_sleep(ns) == TN_ECANCELED);
    return NULL;
}

Test(sleep, for_good_until_cancelled)
{
    static uint64_t huge_ns[] = {UINT64_MAX, UINT64_MAX - 1, UINT64_MAX / 2, INT64_MAX, 3600 * TN_S, UINT64_MAX - TN_S};
    enum { HUGE_COUNT = sizeof huge_ns / sizeof *huge_ns };
    tn_runtime *runtime = tt_runtime_create();
    tn_task *tasks[HUGE_COUNT];

    for (int i = 0; i < HUGE_COUNT; i++)
        tasks[i] = tt_spawn_on(runtime, sleep_for_good, &huge_ns[i]);
    tt_block_thread(50 * TN_MS);
    for (int i = 0; i < HUGE_COUNT; i++)
        cr_assert(!tn_task_is_finished(tasks[i]));
    for (int i = 0; i < HUGE_COUNT; i++) {
        tn_cancel(tasks[i]);
        tt_join(tasks[i]);
    }
    tt_runtime_destroy(runtime);
}

/* A sleep with an earlier deadline than an armed timer, and one without such a timer, in turn. */
static void *sleep_shorter_and_longer(void *arg)
{
    static const uint64_t ns[] = {40 * TN_MS, 2 * TN_MS, 15 * TN_MS, TN_MS, 30 * TN_MS, 5 * TN_MS};

    for (unsigned i = 0; i < sizeof ns / sizeof *ns; i++) {
        tn_task *waits = tt_spawn(sleep_for_good, &(uint64_t){3600 * TN_S});
        tt_check(tn_sleep(ns[i]) == 0);
        tn_cancel(waits);
        tt_join(waits);
        sleep_once((void *)(uintptr_t)&ns[i]);
    }
    return arg;
}

Test(sleep, shorter_and_longer_in_turn)
{
    tt_run(sleep_shorter_and_longer, NULL);
}

/* --- Sleeping while the workers are busy ---------------------------------------------------------------------------------- */

typedef struct {
    tn_runtime *runtime;
    atomic_bool asleep;
    atomic_bool woke;
    atomic_bool over;
    atomic_uint inside;
    uint64_t ns;
} hog;

static tn_runtime *create_stealing(void)
{
    tn_options options = tt_options();
    tn_runtime *runtime = NULL;

    options.force_migration = false; /* it sends tasks to workers that are inside a task */
    tt_check(tn_runtime_create(&runtime, &options) == 0);
    return runtime;
}

static void *sleep_a_little(void *arg)
{
    hog *h = arg;

    atomic_store(&h->asleep, true);
    tt_check(tn_sleep(h->ns) == 0);
    atomic_store(&h->woke, true);
    return NULL;
}

/* Keeps its worker until `over` is set. */
static void *hog_worker(void *arg)
{
    hog *h = arg;
    uint64_t limit_ns = tn_now() + 30 * TN_S;

    atomic_fetch_add(&h->inside, 1);
    while (!atomic_load(&h->over))
        tt_check(tn_now() < limit_ns);
    return NULL;
}

static bool is_asleep(void *arg)
{
    return atomic_load(&((hog *)arg)->asleep);
}

static bool has_woken(void *arg)
{
    return atomic_load(&((hog *)arg)->woke);
}

/* Returns whether the monitor has fired the timer, or the task itself has run. */
static bool has_fired(void *arg)
{
    hog *h = arg;
    tn_counters counters;

    tt_check(tn_runtime_counters(h->runtime, tn_runtime_workers(h->runtime), &counters) == 0);
    return counters.timers_fired > 0 || atomic_load(&h->woke);
}

static void hog_workers(hog *h, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        cr_assert_eq(tn_spawn_on(h->runtime, NULL, NULL, hog_worker, h), 0);
    for (uint64_t limit_ns = tn_now() + 20 * TN_S; atomic_load(&h->inside) < count;)
        cr_assert_lt(tn_now(), limit_ns);
}

/* The sleeper's timer may be in the wheel of any core. All cores but one are inside tasks that end only when it has woken. */
Test(sleep, ends_while_the_other_workers_are_busy)
{
    for (unsigned long i = 0; i < 10; i++) {
        hog h = {.runtime = create_stealing(), .ns = 60 * TN_MS};
        cr_assert_eq(tn_spawn_on(h.runtime, NULL, NULL, sleep_a_little, &h), 0);
        cr_assert(tt_wait_until(is_asleep, &h, 20 * TN_S));
        hog_workers(&h, tn_runtime_workers(h.runtime) - 1);
        cr_assert(tt_wait_until(has_woken, &h, 20 * TN_S));
        atomic_store(&h.over, true);
        tt_runtime_destroy(h.runtime);
    }
}

Test(sleep, timers_go_off_while_all_workers_are_busy)
{
    hog h = {.runtime = create_stealing(), .ns = 300 * TN_MS};

    cr_assert_eq(tn_spawn_on(h.runtime, NULL, NULL, sleep_a_little, &h), 0);
    cr_assert(tt_wait_until(is_asleep, &h, 20 * TN_S));
    hog_workers(&h, tn_runtime_workers(h.runtime));
    cr_assert(tt_wait_until(has_fired, &h, 20 * TN_S));
    atomic_store(&h.over, true);
    tt_runtime_destroy(h.runtime);
    cr_assert(atomic_load(&h.woke));
}
