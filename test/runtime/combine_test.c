/* SPDX-License-Identifier: MIT */
/* Select, race, join, timeout, intervals: what each returns, which futures are dropped, which continue. */
/* ctest: timeout=120 */
#include <stdatomic.h>

#include <tn/combine.h>
#include <tn/scope.h>

#include "support/manual.h"
#include "support/runtime.h"

enum { HOUR_S = 3600, BRANCHES = 4 };

typedef struct {
    tt_manual branch[BRANCHES];
    tn_future *futures[BRANCHES];
} fan;

static void fan_init(fan *f)
{
    for (int i = 0; i < BRANCHES; i++) {
        tt_manual_init(&f->branch[i]);
        f->futures[i] = &f->branch[i].base;
    }
}

static unsigned drops(fan *f)
{
    unsigned sum = 0;

    for (int i = 0; i < BRANCHES; i++) {
        tt_check(atomic_load(&f->branch[i].drops) <= 1);
        sum += atomic_load(&f->branch[i].drops);
    }
    return sum;
}

/* --- Select ----------------------------------------------------------------------------------------------------------------- */

static void *wake_later(void *arg)
{
    tt_manual *manual = arg;

    while (!tt_manual_was_polled(manual))
        tt_check(tn_yield() == 0);
    tt_manual_ready(manual, 9);
    return NULL;
}

static void *select_one(void *arg)
{
    fan f;
    int result = 0;
    tn_task *task;

    fan_init(&f);
    task = tt_spawn(wake_later, &f.branch[2]);
    tt_check(tn_select(f.futures, BRANCHES, &result) == 2 && result == 9);
    (void)tt_join(task);
    tt_check(drops(&f) == 0);
    f.futures[2] = NULL; /* it is not polled again */
    tt_manual_set(&f.branch[1], -7);
    tt_check(tn_select(f.futures, BRANCHES, &result) == 1 && result == -7);
    tt_check(tn_select(f.futures, BRANCHES, NULL) == 1);
    for (int i = 0; i < BRANCHES; i++)
        tn_future_drop(&f.branch[i].base);
    tt_check(drops(&f) == BRANCHES);
    return arg;
}

Test(select, answers_one_and_drops_nothing)
{
    tt_run(select_one, NULL);
}

Test(select, in_a_plain_thread)
{
    tn_runtime *runtime = tt_runtime_create();
    fan f;
    int result = 0;
    tn_task *task;

    fan_init(&f);
    task = tt_spawn_on(runtime, wake_later, &f.branch[3]);
    cr_assert_eq(tn_select(f.futures, BRANCHES, &result), 3);
    cr_assert_eq(result, 9);
    (void)tt_join(task);
    for (int i = 0; i < BRANCHES; i++)
        tn_future_drop(&f.branch[i].base);
    tt_runtime_destroy(runtime);
}

static void *select_fairly(void *arg)
{
    unsigned chosen[BRANCHES] = {0};
    fan f;

    fan_init(&f);
    for (int i = 0; i < BRANCHES; i++)
        tt_manual_set(&f.branch[i], 0);
    for (int i = 0; i < 4000; i++) {
        int index = tn_select(f.futures, BRANCHES, NULL);
        tt_check(index >= 0 && index < BRANCHES);
        chosen[index]++;
    }
    for (int i = 0; i < BRANCHES; i++)
        tt_check(chosen[i] > 800 && chosen[i] < 1200); /* 1000 expected; 200 are 7 standard deviations */
    for (int i = 0; i < 100; i++)
        tt_check(tn_select_biased(f.futures, BRANCHES, NULL) == 0);
    for (int i = 0; i < BRANCHES; i++)
        tn_future_drop(&f.branch[i].base);
    return arg;
}

Test(select, starts_at_random_or_at_the_first)
{
    tt_run(select_fairly, NULL);
}

static void *select_nothing(void *arg)
{
    tn_future *none[2] = {NULL, NULL};
    int results[2] = {5, 5};

    tt_check(tn_select(none, 2, NULL) == TN_EINVAL && tn_select(none, 0, NULL) == TN_EINVAL);
    tt_check(tn_race(none, 2, NULL) == TN_EINVAL);
    tt_check(tn_join_all(none, results, 2) == 0 && results[0] == 0 && results[1] == 0);
    tt_check(tn_join_all(none, results, 0) == 0);
    return arg;
}

Test(select, of_nothing_is_an_error)
{
    tt_run(select_nothing, NULL);
}

/* The sleep is created outside the loop, the interval's ticks inside. */
static void *consume_until(void *arg)
{
    uint64_t end_ns = tn_now() + 20 * TN_MS;
    tn_sleep_future time;
    tn_interval interval;
    tn_interval_future tick;
    tn_future *futures[2] = {&tick.base, &time.base};
    unsigned ticks = 0;

    tn_sleep_init(&time, end_ns);
    tn_interval_init(&interval, tn_now(), TN_MS, TN_MISSED_BURST);
    tn_interval_tick_init(&tick, &interval);
    while (tn_select_biased(futures, 2, NULL) == 0) {
        tn_future_drop(&tick.base);
        tn_interval_tick_init(&tick, &interval);
        ticks++;
    }
    tt_check(tn_now() >= end_ns && ticks >= 20);
    tn_future_drop(&tick.base);
    tn_future_drop(&time.base);
    return arg;
}

Test(select, a_sleep_outside_the_loop_goes_on_where_it_was)
{
    tt_run(consume_until, NULL);
}

/* A wake and the cancellation of the selecting task, in both orders. With one worker the task finds both when it runs. */
static void *select_into(void *arg)
{
    fan *f = arg;

    return (void *)(intptr_t)tn_select(f->futures, BRANCHES, NULL);
}

static void *select_cancelled(void *arg)
{
    fan f;
    tn_task *task;

    for (int cancel_first = 0; cancel_first < 2; cancel_first++) {
        fan_init(&f);
        task = tt_spawn(select_into, &f);
        while (!tt_manual_was_polled(&f.branch[0]))
            tt_check(tn_yield() == 0);
        if (cancel_first)
            tn_cancel(task);
        tt_manual_ready(&f.branch[0], 0);
        if (!cancel_first)
            tn_cancel(task);
        tt_check((intptr_t)tt_join(task) == TN_ECANCELED && drops(&f) == 0);
        tt_check(tn_select(f.futures, BRANCHES, NULL) == 0); /* nothing was lost */
        for (int i = 0; i < BRANCHES; i++)
            tn_future_drop(&f.branch[i].base);
    }
    return arg;
}

static void run_on_one_worker(tn_entry_fn entry)
{
    tn_options options = tn_options_default();
    tn_runtime *runtime;

    options.flavor = TN_CURRENT_THREAD;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, entry, NULL, NULL), 0);
    tt_runtime_destroy(runtime);
}

Test(select, cancelled_loses_nothing)
{
    run_on_one_worker(select_cancelled);
}

/* --- Race ------------------------------------------------------------------------------------------------------------------- */

static void *race_drops(void *arg)
{
    fan f;
    int result = 0;
    tn_task *task;

    fan_init(&f);
    task = tt_spawn(wake_later, &f.branch[1]);
    tt_check(tn_race(f.futures, BRANCHES, &result) == 1 && result == 9);
    tt_check(drops(&f) == BRANCHES);
    (void)tt_join(task);
    for (int i = 0; i < BRANCHES; i++)
        tt_check(atomic_load(&f.branch[i].waker) == NULL); /* a late event finds no waker */
    return arg;
}

Test(race, drops_all)
{
    tt_run(race_drops, NULL);
}

static void *race_in_scope(void *arg)
{
    fan f;
    TN_SCOPE(scope, tn_now() + TN_MS);

    fan_init(&f);
    tt_check(tn_race(f.futures, BRANCHES, NULL) == TN_ETIMEDOUT && drops(&f) == BRANCHES);
    return arg;
}

Test(race, a_deadline_drops_all)
{
    tt_run(race_in_scope, NULL);
}

/* --- Join ------------------------------------------------------------------------------------------------------------------- */

static void *join_into(void *arg)
{
    fan *f = arg;
    int results[BRANCHES];

    tt_check(tn_join_all(f->futures, results, BRANCHES) == 0);
    for (int i = 0; i < BRANCHES; i++)
        tt_check(results[i] == i - 1); /* one result is an error */
    return NULL;
}

static void *join_all(void *arg)
{
    static const int order[BRANCHES] = {2, 0, 3, 1};
    tn_task *task;
    fan f;

    fan_init(&f);
    task = tt_spawn(join_into, &f);
    for (int i = 0; i < BRANCHES; i++) {
        while (!tt_manual_was_polled(&f.branch[order[i]]))
            tt_check(tn_yield() == 0);
        tt_check(!tn_task_is_finished(task));
        tt_manual_ready(&f.branch[order[i]], order[i] - 1);
    }
    (void)tt_join(task);
    tt_check(drops(&f) == BRANCHES);
    return arg;
}

Test(join_all, waits_for_all)
{
    tt_run(join_all, NULL);
}

static void *try_join(void *arg)
{
    int results[BRANCHES];
    tn_task *task;
    fan f;

    fan_init(&f);
    tt_manual_set(&f.branch[0], 4);
    task = tt_spawn(wake_later, &f.branch[3]);
    f.futures[2] = NULL;
    while (!tt_manual_was_polled(&f.branch[3])) {
        tt_manual_set(&f.branch[1], TN_EPIPE);
        tt_check(tn_try_join_all(f.futures, results, BRANCHES) == TN_EPIPE);
        tt_check(results[0] == 4 && results[1] == TN_EPIPE && results[2] == 0 && results[3] == TN_ECANCELED);
        tt_check(drops(&f) == 3 && atomic_load(&f.branch[3].polls) == 0); /* the first error ends the join at once */
        (void)tn_future_poll(&f.branch[3].base, (tn_waker *)(void *)tn_self());
    }
    (void)tt_join(task);
    tn_future_drop(&f.branch[2].base);
    return arg;
}

Test(join_all, the_first_error_drops_the_rest)
{
    tt_run(try_join, NULL);
}

/* As a future, which drops what is not ready when it is dropped. */
static void *try_join_as_a_future(void *arg)
{
    tn_join_all_future future;
    int results[BRANCHES];
    fan f;

    fan_init(&f);
    tt_manual_set(&f.branch[1], TN_EPIPE);
    tn_try_join_all_init(&future, f.futures, results, BRANCHES);
    tt_check(tn_timeout(&future.base, TN_NEVER) == TN_EPIPE && drops(&f) == BRANCHES);
    tt_check(results[0] == TN_ECANCELED && results[1] == TN_EPIPE);
    fan_init(&f);
    tt_manual_set(&f.branch[2], 2);
    tn_try_join_all_init(&future, f.futures, results, BRANCHES);
    tt_check(tn_timeout_for(&future.base, TN_MS) == TN_ETIMEDOUT && drops(&f) == BRANCHES);
    tt_check(results[2] == 2 && results[3] == TN_ECANCELED);
    return arg;
}

Test(join_all, a_future_drops_the_rest)
{
    try_join_as_a_future(NULL);
    tt_run(try_join_as_a_future, NULL);
}

static void *join_cancelled(void *arg)
{
    int results[BRANCHES];
    fan f;
    TN_SCOPE(scope, tn_now() + TN_MS);

    fan_init(&f);
    tt_manual_set(&f.branch[1], 6);
    tt_check(tn_join_all(f.futures, results, BRANCHES) == TN_ETIMEDOUT && drops(&f) == BRANCHES);
    tt_check(results[1] == 6 && results[0] == TN_ECANCELED && results[3] == TN_ECANCELED);
    return arg;
}

Test(join_all, a_deadline_drops_the_rest)
{
    tt_run(join_cancelled, NULL);
}

/* --- Timeouts, and nested combinators in a stackless task ------------------------------------------------------------------- */

static void *timeouts(void *arg)
{
    tt_manual manual;
    uint64_t end_ns = tn_now() + 3 * TN_MS;

    tt_manual_init(&manual);
    tt_check(tn_timeout(&manual.base, end_ns) == TN_ETIMEDOUT && tn_now() >= end_ns);
    tt_check(atomic_load(&manual.drops) == 1);
    tt_manual_init(&manual);
    tt_manual_set(&manual, 3);
    tt_check(tn_timeout(&manual.base, 0) == 3); /* a ready future wins over a deadline in the past */
    tt_check(atomic_load(&manual.drops) == 1);
    tt_manual_init(&manual);
    tt_manual_set(&manual, 3);
    tt_check(tn_timeout(&manual.base, TN_NEVER) == 3);
    return arg;
}

Test(timeout, bounds_a_future)
{
    tt_run(timeouts, NULL);
}

static void *relative_timeouts(void *arg)
{
    tt_manual manual;
    tn_timeout_future timeout;
    uint64_t begin_ns = tn_now();

    tt_manual_init(&manual);
    tt_check(tn_timeout_for(&manual.base, 3 * TN_MS) == TN_ETIMEDOUT && tn_now() - begin_ns >= 3 * TN_MS);
    tt_check(atomic_load(&manual.drops) == 1);
    tt_manual_init(&manual);
    tt_check(tn_timeout_for(&manual.base, 0) == TN_ETIMEDOUT && atomic_load(&manual.polls) == 1);
    tt_manual_init(&manual);
    tt_manual_set(&manual, 3);
    tt_check(tn_timeout_for(&manual.base, 0) == 3); /* a ready future wins over a timeout of 0 */
    tt_manual_init(&manual);
    tn_timeout_for_init(&timeout, &manual.base, 3 * TN_MS);
    tt_check(tn_sleep(5 * TN_MS) == 0); /* not polled yet, so the timeout has not begun */
    begin_ns = tn_now();
    tt_check(tn_await(&timeout.base) == TN_ETIMEDOUT && tn_now() - begin_ns >= 3 * TN_MS);
    return arg;
}

Test(timeout, a_relative_one_begins_with_the_first_poll)
{
    tt_run(relative_timeouts, NULL);
}

static void *set_soon(void *arg)
{
    while (!tt_manual_was_polled(arg))
        tt_check(tn_yield() == 0);
    tt_manual_ready(arg, 4);
    return NULL;
}

static void *endless_timeout(void *arg)
{
    tt_manual manual;
    tn_task *task;

    tt_manual_init(&manual);
    tt_check(tn_spawn(&task, set_soon, &manual) == 0);
    tt_check(tn_timeout_for(&manual.base, TN_NEVER) == 4);
    (void)tt_join(task);
    return arg;
}

Test(timeout, the_longest_relative_one_does_not_wrap)
{
    tt_run(endless_timeout, NULL);
}

/* A timeout around a race between a join and a manual future, polled as a stackless task. */
typedef struct {
    fan f;
    tn_sleep_future sleep;
    tn_join_all_future join;
    int results[2];
    tn_future *joined[2];
    tn_select_future race;
    tn_future *raced[2];
    tn_timeout_future timeout;
} nest;

static void nest_init(nest *n, uint64_t sleep_ns, uint64_t deadline_ns)
{
    fan_init(&n->f);
    tt_manual_set(&n->f.branch[0], 1);
    tn_sleep_init(&n->sleep, tn_now() + sleep_ns);
    n->joined[0] = &n->f.branch[0].base;
    n->joined[1] = &n->sleep.base;
    tn_join_all_init(&n->join, n->joined, n->results, 2);
    n->raced[0] = &n->f.branch[1].base;
    n->raced[1] = &n->join.base;
    tn_race_init(&n->race, n->raced, 2);
    tn_timeout_init(&n->timeout, &n->race.base, tn_now() + deadline_ns);
}

static void *nested(void *arg)
{
    nest n;
    tn_task *task;

    nest_init(&n, 5 * TN_MS, HOUR_S * TN_S);
    tt_check(tn_spawn_future(NULL, NULL, &task, &n.timeout.base) == 0);
    tt_check((intptr_t)tt_join(task) == 1 && n.race.result == 0); /* the join won; it ends after its sleep */
    tt_check(atomic_load(&n.f.branch[0].drops) == 1 && atomic_load(&n.f.branch[1].drops) == 1);
    nest_init(&n, HOUR_S * TN_S, 5 * TN_MS);
    tt_check(tn_spawn_future(NULL, NULL, &task, &n.timeout.base) == 0);
    tt_check((intptr_t)tt_join(task) == TN_ETIMEDOUT);
    tt_check(atomic_load(&n.f.branch[0].drops) == 1 && atomic_load(&n.f.branch[1].drops) == 1);
    nest_init(&n, HOUR_S * TN_S, HOUR_S * TN_S);
    tt_check(tn_spawn_future(NULL, NULL, &task, &n.timeout.base) == 0);
    while (!tt_manual_was_polled(&n.f.branch[1]))
        tt_check(tn_yield() == 0);
    tn_cancel(task);
    tt_check((intptr_t)tt_join(task) == TN_ECANCELED);
    tt_check(atomic_load(&n.f.branch[0].drops) == 1 && atomic_load(&n.f.branch[1].drops) == 1);
    return arg;
}

Test(timeout, combinators_nest_in_stackless_tasks)
{
    tt_run(nested, NULL);
}

/* --- Interval --------------------------------------------------------------------------------------------------------------- */

static void expect_ticks(tn_missed missed, const unsigned *periods, unsigned count)
{
    const uint64_t period_ns = 100 * TN_S;
    uint64_t first_ns = tn_now() - 250 * TN_S; /* three ticks are due: 250, 150 and 50 s ago */
    tn_interval interval;

    tn_interval_init(&interval, first_ns, period_ns, missed);
    for (unsigned i = 0; i < count; i++) {
        uint64_t due_ns = 0;
        tt_check(tn_interval_tick(&interval, &due_ns) == 0);
        tt_check(due_ns == first_ns + periods[i] * period_ns);
    }
    if (missed == TN_MISSED_DELAY) {
        tt_check(interval.next_ns > tn_now() + period_ns - 60 * TN_S && interval.next_ns <= tn_now() + period_ns);
    } else {
        tt_check(interval.next_ns == first_ns + 3 * period_ns);
    }
    {
        TN_SCOPE(scope, tn_now() + TN_MS);
        uint64_t next_ns = interval.next_ns;
        tt_check(tn_interval_tick(&interval, NULL) == TN_ETIMEDOUT && interval.next_ns == next_ns); /* the tick is not lost */
    }
}

static void *missed_ticks(void *arg)
{
    static const unsigned all[] = {0, 1, 2};
    static const unsigned one[] = {0};

    expect_ticks(TN_MISSED_BURST, all, 3);
    expect_ticks(TN_MISSED_DELAY, one, 1);
    expect_ticks(TN_MISSED_SKIP, one, 1);
    return arg;
}

Test(interval, what_becomes_of_missed_ticks)
{
    tt_run(missed_ticks, NULL);
}

static void *steady_ticks(void *arg)
{
    uint64_t first_ns = tn_now() + TN_MS;
    tn_interval interval;

    tn_interval_init(&interval, first_ns, 2 * TN_MS, TN_MISSED_BURST);
    for (unsigned i = 0; i < 5; i++) {
        uint64_t due_ns = 0;
        tt_check(tn_interval_tick(&interval, &due_ns) == 0);
        tt_check(due_ns == first_ns + i * 2 * TN_MS && tn_now() >= due_ns);
    }
    tn_interval_init(&interval, UINT64_MAX - 1, UINT64_MAX, TN_MISSED_SKIP); /* never expires, and does not wrap around */
    {
        TN_SCOPE(scope, tn_now() + TN_MS);
        tt_check(tn_interval_tick(&interval, NULL) == TN_ETIMEDOUT);
    }
    return arg;
}

Test(interval, ticks_are_never_early)
{
    tt_run(steady_ticks, NULL);
}
