/* SPDX-License-Identifier: MIT */
/* Cancellation: level-triggered, at every cancellation point, in races with events. Futures are dropped exactly once. */
/* ctest: timeout=120 */
#include <stdatomic.h>
#include <stdlib.h>

#include "support/runtime.h"

static void *echo(void *arg)
{
    return arg;
}

/* --- Fibers --------------------------------------------------------------------------------------------------------------- */

static void *must_be_cancelled(void *arg)
{
    *(int *)arg += 1;
    tt_check(tn_checkpoint() == TN_ECANCELED);
    tt_check(tn_yield() == TN_ECANCELED);
    tt_check(tn_sleep(TN_S) == TN_ECANCELED);
    tt_check(tn_sleep(0) == TN_ECANCELED);
    return arg;
}

static void *cancel_before_the_first_run(void *arg)
{
    for (int i = 0; i < 200; i++) {
        int runs = 0;
        tn_task *task = tt_spawn(must_be_cancelled, &runs);
        tn_cancel(task); /* with one worker the task cannot have started */
        tt_check(tt_join(task) == &runs && runs == 1);
    }
    return arg;
}

Test(cancel, the_entry_runs_all_the_same)
{
    tn_options options = tn_options_default();
    tn_runtime *runtime;

    options.workers = 1;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, cancel_before_the_first_run, NULL, NULL), 0);
    tt_runtime_destroy(runtime);
}

static void *sleep_for_good(void *arg)
{
    atomic_fetch_add((atomic_uint *)arg, 1);
    tt_check(tn_sleep(3600 * TN_S) == TN_ECANCELED);
    tt_check(tn_sleep(3600 * TN_S) == TN_ECANCELED); /* level-triggered */
    tt_check(tn_checkpoint() == TN_ECANCELED);
    return arg;
}

static void *yield_for_good(void *arg)
{
    atomic_fetch_add((atomic_uint *)arg, 1);
    while (tn_yield() == 0)
        ;
    tt_check(tn_yield() == TN_ECANCELED);
    return arg;
}

static void *join_for_good(void *arg)
{
    tn_task *sleeper = tt_spawn(sleep_for_good, arg);

    tt_check(tn_join(sleeper, NULL) == TN_ECANCELED);
    tt_check(tn_join(sleeper, NULL) == TN_ECANCELED);
    tn_cancel(sleeper);
    while (!tn_task_is_finished(sleeper))
        tt_check(tn_yield() == TN_ECANCELED);
    tt_check(tn_join(sleeper, NULL) == TN_ECANCELED); /* the joiner's cancellation wins, and it keeps the handle */
    tn_task_release(sleeper);
    return arg;
}

static void *cancel_at_once_or_later(void *arg)
{
    tn_entry_fn entry = (tn_entry_fn)arg;

    for (unsigned long i = 0; i < tt_scaled(500); i++) {
        atomic_uint started = 0;
        tn_task *task = tt_spawn(entry, &started);
        /* In even rounds the task waits by now, or is about to. In odd rounds it may not have started. */
        while (i % 2 == 0 && atomic_load(&started) == 0)
            tt_check(tn_yield() == 0);
        tn_cancel(task);
        tt_check(tt_join(task) == &started);
    }
    return NULL;
}

Test(cancel, in_a_sleep)
{
    tt_run(cancel_at_once_or_later, (void *)sleep_for_good);
}

Test(cancel, in_a_yield)
{
    tt_run(cancel_at_once_or_later, (void *)yield_for_good);
}

Test(cancel, in_a_join)
{
    tt_run(cancel_at_once_or_later, (void *)join_for_good);
}

static void *cancel_itself(void *arg)
{
    tn_cancel(tn_self());
    tt_check(tn_sleep(TN_S) == TN_ECANCELED);
    return arg;
}

Test(cancel, a_task_may_cancel_itself)
{
    tt_run(cancel_itself, NULL);
}

static void *cancel_the_finished(void *arg)
{
    tn_task *task = tt_spawn(echo, arg);

    while (!tn_task_is_finished(task))
        tn_yield();
    tn_cancel(task);
    tn_cancel(task);
    tt_check(tt_join(task) == arg);
    return NULL;
}

Test(cancel, of_a_finished_task_changes_nothing)
{
    int local = 0;

    tt_run(cancel_the_finished, &local);
}

Test(cancel, from_a_plain_thread)
{
    tn_runtime *runtime = tt_runtime_create();

    for (unsigned long i = 0; i < tt_scaled(2000); i++) {
        atomic_uint count = 0;
        tn_task *task = tt_spawn_on(runtime, i % 2 ? sleep_for_good : yield_for_good, &count);
        while (i % 3 == 0 && atomic_load(&count) == 0)
            tn_yield();
        tn_cancel(task);
        cr_assert_eq(tt_join(task), &count);
    }
    tt_runtime_destroy(runtime);
}

/* --- Cancellation in a race with completion ------------------------------------------------------------------------------- */

typedef struct {
    _Atomic(tn_task *) offered; /* the cancelling thread takes the handle from here */
    atomic_bool over;
} duel;

static void *cancel_what_is_offered(void *arg)
{
    duel *d = arg;

    while (!atomic_load(&d->over)) {
        tn_task *task = atomic_exchange(&d->offered, NULL);
        if (task == NULL)
            continue;
        tn_cancel(task);
        tn_task_release(task);
    }
    return NULL;
}

static void offer(duel *d, tn_task *task)
{
    tn_task *left = atomic_exchange(&d->offered, tn_task_retain(task));

    tn_task_release(left);
}

static void *sometimes_suspend(void *arg)
{
    switch ((uintptr_t)arg % 4) {
    case 0:
        break;
    case 1:
        (void)tn_yield();
        break;
    case 2:
        (void)tn_sleep(1);
        break;
    default:
        (void)tn_checkpoint();
        break;
    }
    return arg;
}

static void *race_with_completion(void *arg)
{
    duel *d = arg;

    for (uintptr_t i = 0; i < tt_scaled(100000); i++) {
        tn_task *task = tt_spawn(sometimes_suspend, (void *)(i % 64 == 2 ? i : i & ~(uintptr_t)2));
        offer(d, task);
        (void)tt_join(task);
    }
    return NULL;
}

Test(cancel, races_with_completion)
{
    duel d = {.offered = NULL};
    pthread_t thread = tt_thread_start(cancel_what_is_offered, &d);
    tn_runtime *runtime = tt_runtime_create();

    cr_assert_eq(tn_block_on(runtime, race_with_completion, &d, NULL), 0);
    atomic_store(&d.over, true);
    tt_thread_join(thread);
    tn_task_release(atomic_load(&d.offered));
    tt_runtime_destroy(runtime);
}

/* --- Stackless tasks ------------------------------------------------------------------------------------------------------ */

/* Ready at its `ready_at`-th poll. Wakes itself, or stores its waker for another thread. */
typedef struct {
    tn_future base;
    atomic_uint *drops;
    unsigned polls;
    unsigned ready_at;
    bool wakes_itself;
    bool on_heap;
} counting_future;

static int counting_poll(tn_future *self, tn_waker *waker)
{
    counting_future *future = (counting_future *)(void *)self;

    if (++future->polls >= future->ready_at)
        return 42;
    if (future->wakes_itself)
        tn_waker_wake_by_ref(waker);
    return TN_PENDING;
}

static void counting_drop(tn_future *self)
{
    counting_future *future = (counting_future *)(void *)self;

    atomic_fetch_add(future->drops, 1);
    if (future->on_heap)
        free(future);
}

static const tn_future_ops counting_ops = {counting_poll, counting_drop};

static tn_task *spawn_counting(tn_runtime *runtime, atomic_uint *drops, unsigned ready_at, bool wakes_itself)
{
    counting_future *future = calloc(1, sizeof *future);
    tn_task *task = NULL;

    tt_check(future != NULL);
    *future = (counting_future){{&counting_ops}, drops, 0, ready_at, wakes_itself, true};
    tt_check(tn_spawn_future(runtime, NULL, &task, &future->base) == 0);
    return task;
}

Test(cancel, a_stackless_task_is_dropped_once)
{
    tn_runtime *runtime = tt_runtime_create();
    atomic_uint drops = 0;
    unsigned rounds = (unsigned)tt_scaled(5000);

    for (unsigned i = 0; i < rounds; i++) {
        tn_task *task = spawn_counting(runtime, &drops, 1000000, i % 2);
        tn_cancel(task);
        tn_cancel(task);
        cr_assert_eq((intptr_t)tt_join(task), TN_ECANCELED);
        cr_assert_eq(atomic_load(&drops), i + 1);
    }
    tt_runtime_destroy(runtime);
    cr_assert_eq(atomic_load(&drops), rounds);
}

Test(cancel, a_stackless_task_that_ends_is_dropped_once)
{
    tn_runtime *runtime = tt_runtime_create();
    atomic_uint drops = 0;

    for (unsigned i = 0; i < tt_scaled(5000); i++) {
        tn_task *task = spawn_counting(runtime, &drops, 1 + i % 5, true);
        cr_assert_eq((intptr_t)tt_join(task), 42);
        cr_assert_eq(atomic_load(&drops), i + 1); /* dropped before the join returned */
    }
    tt_runtime_destroy(runtime);
}

Test(cancel, a_detached_stackless_task_is_dropped_once)
{
    tn_runtime *runtime = tt_runtime_create();
    atomic_uint drops = 0;
    unsigned rounds = (unsigned)tt_scaled(5000);

    for (unsigned i = 0; i < rounds; i++) {
        tn_task *task = spawn_counting(runtime, &drops, i % 2 ? 3 : 1000000, true);
        if (i % 2 == 0)
            tn_cancel(task);
        tn_task_release(task);
    }
    tt_runtime_destroy(runtime);
    cr_assert_eq(atomic_load(&drops), rounds);
}

static void *race_with_polls(void *arg)
{
    duel *d = arg;
    atomic_uint drops = 0;
    unsigned rounds = (unsigned)tt_scaled(100000);

    for (unsigned i = 0; i < rounds; i++) {
        tn_task *task = spawn_counting(NULL, &drops, 1 + i % 4, true);
        intptr_t result;
        offer(d, task);
        result = (intptr_t)tt_join(task);
        tt_check(result == 42 || result == TN_ECANCELED);
        tt_check(atomic_load(&drops) == i + 1);
    }
    return NULL;
}

Test(cancel, races_with_polls)
{
    duel d = {.offered = NULL};
    pthread_t thread = tt_thread_start(cancel_what_is_offered, &d);
    tn_runtime *runtime = tt_runtime_create();

    cr_assert_eq(tn_block_on(runtime, race_with_polls, &d, NULL), 0);
    atomic_store(&d.over, true);
    tt_thread_join(thread);
    tn_task_release(atomic_load(&d.offered));
    tt_runtime_destroy(runtime);
}

Test(cancel, a_failed_spawn_leaves_the_future)
{
    atomic_uint drops = 0;
    counting_future future = {.base = {&counting_ops}, .drops = &drops, .ready_at = 1};
    tn_task *task = NULL;

    cr_assert_eq(tn_spawn_future(NULL, NULL, &task, &future.base), TN_EINVAL);
    cr_assert_eq(atomic_load(&drops), 0);
    cr_assert_eq(future.polls, 0);
}

/* --- Awaiting ------------------------------------------------------------------------------------------------------------- */

static void *await_cancelled(void *arg)
{
    atomic_uint drops = 0;
    counting_future future = {.base = {&counting_ops}, .drops = &drops, .ready_at = 1000};
    (void)arg;

    tn_cancel(tn_self());
    tt_check(tn_await(&future.base) == TN_ECANCELED);
    tt_check(future.polls == 0 && atomic_load(&drops) == 1);
    return NULL;
}

Test(cancel, await_drops_the_future)
{
    tt_run(await_cancelled, NULL);
}

static void *await_until_cancelled(void *arg)
{
    atomic_uint drops = 0;
    counting_future future = {.base = {&counting_ops}, .drops = &drops, .ready_at = 1000};

    atomic_store((atomic_bool *)arg, true);
    tt_check(tn_await(&future.base) == TN_ECANCELED);
    tt_check(future.polls <= 1 && atomic_load(&drops) == 1); /* 0: cancelled before the first poll */
    return arg;
}

Test(cancel, of_an_await_that_nobody_wakes)
{
    tn_runtime *runtime = tt_runtime_create();

    for (unsigned long i = 0; i < tt_scaled(500); i++) {
        atomic_bool waits = false;
        tn_task *task = tt_spawn_on(runtime, await_until_cancelled, &waits);
        while (!atomic_load(&waits))
            tn_yield();
        tt_block_thread(i % 10 == 0 ? TN_MS : 0);
        tn_cancel(task);
        cr_assert_eq(tt_join(task), &waits);
    }
    tt_runtime_destroy(runtime);
}
