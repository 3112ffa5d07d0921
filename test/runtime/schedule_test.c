/* SPDX-License-Identifier: MIT */
/* Scheduling: no task starves, none is lost or run twice, pinned tasks stay on their thread, forced migration moves tasks. */
/* ctest: timeout=120 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/config.h"
#include "support/runtime.h"

/* These tests check where tasks run, and in what order. A hand-over to a replacement thread would change that. */
static tn_options without_spares(void)
{
    tn_options options = tt_options();

    options.stuck_after_ns = UINT64_MAX;
    return options;
}

static tn_runtime *create(unsigned workers, bool no_migration)
{
    tn_options options = without_spares();
    tn_runtime *runtime = NULL;

    if (workers > 0)
        options.workers = workers;
    if (no_migration)
        options.force_migration = false;
    options.no_migration = no_migration;
    tt_check(tn_runtime_create(&runtime, &options) == 0);
    return runtime;
}

static tn_runtime *create_stealing(void)
{
    tn_options options = without_spares();
    tn_runtime *runtime = NULL;

    options.force_migration = false; /* it moves tasks between workers, so that none steals */
    tt_check(tn_runtime_create(&runtime, &options) == 0);
    return runtime;
}

static void *add_one(void *arg)
{
    atomic_fetch_add((atomic_ulong *)arg, 1);
    return NULL;
}

/* --- Starvation ----------------------------------------------------------------------------------------------------------- */

/* Tasks that keep a core busy without end, and the tasks that must still run. */
typedef struct {
    tn_runtime *runtime;
    atomic_bool over;
    atomic_ulong slept;
    atomic_ulong spawned;
    atomic_ulong turns;
    _Atomic(tn_waker *) wakers[2]; /* of the two futures that wake each other */
} busy;

static void *yield_on(void *arg)
{
    busy *b = arg;

    while (!atomic_load(&b->over)) {
        atomic_fetch_add_explicit(&b->turns, 1, memory_order_relaxed);
        tt_check(tn_yield() == 0);
    }
    return NULL;
}

/* One of a pair: each poll wakes the other future, through the LIFO slot. */
typedef struct {
    tn_future base;
    busy *shared;
    int index;
} ping_future;

static int ping_poll(tn_future *self, tn_waker *waker)
{
    ping_future *ping = (ping_future *)(void *)self;
    busy *b = ping->shared;
    tn_waker *other;

    atomic_fetch_add_explicit(&b->turns, 1, memory_order_relaxed);
    if (atomic_load(&b->wakers[ping->index]) == NULL)
        atomic_store(&b->wakers[ping->index], tn_waker_retain(waker));
    other = atomic_load(&b->wakers[1 - ping->index]);
    if (atomic_load(&b->over)) {
        if (other != NULL)
            tn_waker_wake_by_ref(other);
        return 0;
    }
    tn_waker_wake_by_ref(other != NULL ? other : waker);
    return TN_PENDING;
}

static void ping_drop(tn_future *self)
{
    (void)self;
}

static const tn_future_ops ping_ops = {ping_poll, ping_drop};

static void *sleep_now_and_then(void *arg)
{
    busy *b = arg;

    while (!atomic_load(&b->over)) {
        tt_check(tn_sleep(TN_MS) == 0);
        atomic_fetch_add(&b->slept, 1);
    }
    return NULL;
}

/* Called on a plain thread: each spawned task must run although every core is busy. */
static void others_get_through(busy *b)
{
    uint64_t limit_ns = tn_now() + 30 * TN_S;

    cr_assert_eq(tn_spawn_on(b->runtime, NULL, NULL, sleep_now_and_then, b), 0);
    for (unsigned long i = 1; i <= 20; i++) {
        cr_assert_eq(tn_spawn_on(b->runtime, NULL, NULL, add_one, &b->spawned), 0);
        while (atomic_load(&b->spawned) < i || atomic_load(&b->slept) < i) {
            cr_assert_lt(tn_now(), limit_ns, "%lu spawned ran, %lu slept, %lu turns", atomic_load(&b->spawned),
                         atomic_load(&b->slept), atomic_load(&b->turns));
            tn_yield();
        }
    }
    cr_assert_gt(atomic_load(&b->turns), 20);
    atomic_store(&b->over, true);
}

Test(schedule, yielding_tasks_starve_nobody)
{
    for (unsigned workers = 0; workers < 2; workers++) {
        busy b = {.runtime = create(workers, false)};
        for (unsigned i = 0; i < 2 * tn_runtime_workers(b.runtime); i++)
            cr_assert_eq(tn_spawn_on(b.runtime, NULL, NULL, yield_on, &b), 0);
        others_get_through(&b);
        tt_runtime_destroy(b.runtime);
    }
}

Test(schedule, tasks_that_wake_each_other_starve_nobody)
{
    for (unsigned workers = 0; workers < 2; workers++) {
        busy b = {.runtime = create(workers, false)};
        ping_future pings[2] = {{{&ping_ops}, &b, 0}, {{&ping_ops}, &b, 1}};
        tn_task *tasks[2];
        for (int i = 0; i < 2; i++)
            cr_assert_eq(tn_spawn_future(b.runtime, NULL, &tasks[i], &pings[i].base), 0);
        others_get_through(&b);
        for (int i = 0; i < 2; i++)
            tt_join(tasks[i]);
        tt_runtime_destroy(b.runtime);
        for (int i = 0; i < 2; i++)
            tn_waker_release(atomic_load(&b.wakers[i]));
    }
}

/* A task that spawns and joins without end. Each child goes through the LIFO slot. */
static void *spawn_on(void *arg)
{
    busy *b = arg;
    atomic_ulong count = 0;

    while (!atomic_load(&b->over)) {
        tt_join(tt_spawn(add_one, &count));
        atomic_fetch_add_explicit(&b->turns, 1, memory_order_relaxed);
    }
    return NULL;
}

Test(schedule, spawning_tasks_starve_nobody)
{
    for (unsigned workers = 0; workers < 2; workers++) {
        busy b = {.runtime = create(workers, false)};
        for (unsigned i = 0; i < 2 * tn_runtime_workers(b.runtime); i++)
            cr_assert_eq(tn_spawn_on(b.runtime, NULL, NULL, spawn_on, &b), 0);
        others_get_through(&b);
        tt_runtime_destroy(b.runtime);
    }
}

/* The child is in the LIFO slot of a worker whose task returns only when the child has run. */
static void *wait_for_child_without_leaving(void *arg)
{
    atomic_ulong count = 0;
    uint64_t limit_ns = tn_now() + 20 * TN_S;
    (void)arg;

    tt_check(tn_spawn(NULL, add_one, &count) == 0);
    while (atomic_load(&count) == 0)
        tt_check(tn_now() < limit_ns);
    return NULL;
}

Test(schedule, a_child_of_a_stuck_worker_runs_elsewhere)
{
    tn_runtime *runtime = create_stealing();

    if (tn_runtime_workers(runtime) > 1)
        for (int i = 0; i < 20; i++)
            cr_assert_eq(tn_block_on(runtime, wait_for_child_without_leaving, NULL, NULL), 0);
    tt_runtime_destroy(runtime);
}

/* --- Fairness ------------------------------------------------------------------------------------------------------------- */

enum { YIELDERS = 8 };

typedef struct {
    unsigned long turns[YIELDERS];
    unsigned long limit;
    unsigned started;
} fair;

typedef struct {
    fair *all;
    int index;
} fair_arg;

static void *take_turns(void *arg)
{
    fair_arg *mine = arg;
    fair *f = mine->all;

    f->started++;
    while (f->started < YIELDERS)
        tn_yield();
    while (f->turns[mine->index] < f->limit) {
        unsigned long turn = ++f->turns[mine->index];
        for (int i = 0; i < YIELDERS; i++) /* one worker: the turns differ by 2 at most */
            tt_check(f->turns[i] + 2 >= turn && f->turns[i] <= turn + 2);
        tn_yield();
    }
    return NULL;
}

static void *yield_fairly(void *arg)
{
    fair f = {.limit = tt_scaled(20000)};
    fair_arg args[YIELDERS];
    tn_task *tasks[YIELDERS];
    (void)arg;

    for (int i = 0; i < YIELDERS; i++) {
        args[i] = (fair_arg){&f, i};
        tasks[i] = tt_spawn(take_turns, &args[i]);
    }
    for (int i = 0; i < YIELDERS; i++)
        tt_join(tasks[i]);
    return NULL;
}

Test(schedule, yields_go_round)
{
    tn_runtime *runtime = create(1, false);

    cr_assert_eq(tn_block_on(runtime, yield_fairly, NULL, NULL), 0);
    tt_runtime_destroy(runtime);
}

/* --- Where tasks run ------------------------------------------------------------------------------------------------------ */

static void *stay_here(void *arg)
{
    pid_t thread = gettid();
    (void)arg;

    for (int i = 0; i < 200; i++) {
        tt_check((i % 8 == 0 ? tn_sleep((uint64_t)i % 3 * TN_MS / 2) : tn_yield()) == 0);
        tt_check(gettid() == thread);
    }
    return NULL;
}

static void *roam(void *arg)
{
    for (int i = 0; i < 2000; i++)
        tt_check(tn_yield() == 0);
    return arg;
}

static void *spawn_pinned(void *arg)
{
    tn_spawn_options options = tn_spawn_options_default();
    tn_task *pinned[40];
    tn_task *others[40];
    (void)arg;

    options.pinned = true;
    for (int i = 0; i < 40; i++) {
        tt_check(tn_spawn_on(NULL, &options, &pinned[i], stay_here, NULL) == 0);
        others[i] = tt_spawn(roam, NULL);
    }
    for (int i = 0; i < 40; i++) {
        tt_join(pinned[i]);
        tt_join(others[i]);
    }
    return NULL;
}

Test(schedule, pinned_tasks_stay_on_their_thread)
{
    tt_run(spawn_pinned, NULL);
}

Test(schedule, without_migration_all_tasks_stay)
{
    tn_runtime *runtime = create(0, true);
    tn_task *tasks[100];

    for (int i = 0; i < 100; i++)
        tasks[i] = tt_spawn_on(runtime, stay_here, NULL);
    for (int i = 0; i < 100; i++)
        tt_join(tasks[i]);
    tt_runtime_destroy(runtime);
}

static void *move_each_time(void *arg)
{
    (void)arg;
    for (int i = 0; i < 200; i++) {
        pid_t thread = gettid();
        tt_check((i % 8 == 0 ? tn_sleep(TN_MS / 2) : tn_yield()) == 0);
        tt_check(gettid() != thread);
    }
    return NULL;
}

Test(schedule, forced_migration_moves_at_every_resume)
{
    tn_options options = tt_options();
    tn_runtime *runtime;
    tn_task *tasks[20];

    options.force_migration = true;
    options.stuck_after_ns = UINT64_MAX; /* else a slow worker may lose its core and get the next one */
    options.workers = options.workers < 2 ? 2 : options.workers;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    for (int i = 0; i < 20; i++)
        tasks[i] = tt_spawn_on(runtime, move_each_time, NULL);
    for (int i = 0; i < 20; i++)
        tt_join(tasks[i]);
    tt_runtime_destroy(runtime);
}

/* --- Queues that overflow ------------------------------------------------------------------------------------------------- */

static unsigned char *runs; /* one per task, written only by this task */

static void *run_once(void *arg)
{
    tt_check(++runs[(uintptr_t)arg] == 1);
    return NULL;
}

static void *spawn_very_many(void *arg)
{
    uintptr_t count = (uintptr_t)arg;

    for (uintptr_t i = 0; i < count; i++)
        tt_check(tn_spawn(NULL, run_once, (void *)i) == 0);
    return NULL;
}

static tn_counters total(const tn_runtime *runtime)
{
    tn_counters sum = {0};

    for (unsigned i = 0; i <= tn_runtime_workers(runtime); i++) {
        tn_counters one;
        tt_check(tn_runtime_counters(runtime, i, &one) == 0);
        sum.spawned += one.spawned;
        sum.finished += one.finished;
        sum.polls += one.polls;
        sum.steals += one.steals;
        sum.overflows += one.overflows;
        sum.injector_takes += one.injector_takes;
    }
    return sum;
}

static bool is_quiet(void *arg)
{
    return tn_runtime_tasks(arg) == 0;
}

Test(schedule, an_overflowing_queue_loses_nothing)
{
    tn_runtime *runtime = tt_runtime_create();
    uintptr_t count = tt_scaled(1000000);
    tn_counters counters;

    runs = calloc(count, 1);
    cr_assert_not_null(runs);
    cr_assert_eq(tn_block_on(runtime, spawn_very_many, (void *)count, NULL), 0);
    cr_assert(tt_wait_until(is_quiet, runtime, 60 * TN_S));
    for (uintptr_t i = 0; i < count; i++)
        cr_assert_eq(runs[i], 1);
    counters = total(runtime);
    cr_assert_eq(counters.spawned, count + 1);
    cr_assert_eq(counters.finished, count + 1);
    cr_assert_eq(counters.polls >= count + 1, true);
    /* A sanitizer makes spawns so slow that the monitor moves them away before the queue is full. */
    cr_assert(TT_SANITIZED || counters.overflows > 0);
    cr_assert_eq(tn_runtime_counters(runtime, tn_runtime_workers(runtime) + 1, &counters), TN_EINVAL);
    tt_runtime_destroy(runtime);
    free(runs);
}

enum { SPILLED = TNI_DEQUE_CAPACITY + 200, KEPT = TNI_DEQUE_CAPACITY - TNI_OVERFLOW_BATCH };

static struct {
    unsigned order[SPILLED]; /* numbers of the tasks, in the order in which they ran */
    unsigned ran;
} spilled;

static void *note_order(void *arg)
{
    spilled.order[spilled.ran++] = (unsigned)(uintptr_t)arg;
    return NULL;
}

static void *spawn_more_than_fit(void *arg)
{
    (void)arg;
    for (uintptr_t i = 0; i < SPILLED; i++)
        tt_check(tn_spawn(NULL, note_order, (void *)i) == 0);
    return NULL;
}

/* The older tasks stay in the queue, in their order. The newest task of all may run before them, and some of the tasks that
 * were moved to the injector may run in between. */
Test(schedule, an_overflowing_queue_sends_the_newest_away)
{
    tn_options options = tt_options();
    tn_runtime *runtime;
    unsigned next = 0;
    unsigned others = 0;

    options.workers = 1;
    options.stuck_after_ns = UINT64_MAX;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, spawn_more_than_fit, NULL, NULL), 0);
    cr_assert(tt_wait_until(is_quiet, runtime, 60 * TN_S));
    cr_assert_eq(spilled.ran, SPILLED);
    cr_assert_gt(total(runtime).overflows, 0);
    for (unsigned i = 0; i < SPILLED && next < KEPT; i++)
        if (spilled.order[i] < KEPT)
            cr_assert_eq(spilled.order[i], next++);
        else
            others++;
    cr_assert_eq(next, KEPT);
    cr_assert_lt(others, KEPT / 2, "%u of the newer ones ran before", others);
    tt_runtime_destroy(runtime);
}

/* --- Many workers --------------------------------------------------------------------------------------------------------- */

enum { LONG_TASKS = 600 };

typedef struct {
    _Atomic pid_t threads[LONG_TASKS];
    atomic_ulong done;
} shared_work;

static shared_work work;

static void *work_a_while(void *arg)
{
    uintptr_t index = (uintptr_t)arg;

    tt_burn(200 * TN_US);
    tt_check(atomic_exchange(&work.threads[index], gettid()) == 0);
    atomic_fetch_add(&work.done, 1);
    return NULL;
}

static void *produce(void *arg)
{
    tn_task *tasks[LONG_TASKS];
    (void)arg;

    for (uintptr_t i = 0; i < LONG_TASKS; i++)
        tasks[i] = tt_spawn(work_a_while, (void *)i);
    for (uintptr_t i = 0; i < LONG_TASKS; i++)
        tt_join(tasks[i]);
    return NULL;
}

Test(schedule, the_others_help_who_produces)
{
    tn_runtime *runtime = create_stealing();
    bool several = false;

    cr_assert_eq(tn_block_on(runtime, produce, NULL, NULL), 0);
    cr_assert_eq(atomic_load(&work.done), LONG_TASKS);
    for (int i = 1; i < LONG_TASKS; i++)
        several = several || atomic_load(&work.threads[i]) != atomic_load(&work.threads[0]);
    cr_assert_eq(several, tn_runtime_workers(runtime) > 1);
    cr_assert(!several || total(runtime).steals > 0 || total(runtime).injector_takes > 1);
    tt_runtime_destroy(runtime);
}

/* In each round all workers must sleep and wake again: a lost wake hangs the test. */
static void *fan_out(void *arg)
{
    atomic_ulong count = 0;
    tn_task *tasks[32];
    (void)arg;

    for (int i = 0; i < 32; i++)
        tasks[i] = tt_spawn(add_one, &count);
    for (int i = 0; i < 32; i++)
        tt_join(tasks[i]);
    tt_check(atomic_load(&count) == 32);
    return NULL;
}

Test(schedule, bursts_with_pauses)
{
    tn_runtime *runtime = tt_runtime_create();

    for (unsigned long i = 0; i < tt_scaled(3000); i++) {
        cr_assert_eq(tn_block_on(runtime, fan_out, NULL, NULL), 0);
        if (i % 16 == 0)
            tt_block_thread(i % 5 * 100 * TN_US);
    }
    tt_runtime_destroy(runtime);
}

/* --- Counters ------------------------------------------------------------------------------------------------------------- */

static void *read_counters(void *arg)
{
    busy *b = arg;
    tn_counters last = {0};

    while (!atomic_load(&b->over)) {
        tn_counters now = total(b->runtime);
        tt_check(now.spawned >= last.spawned && now.finished >= last.finished && now.polls >= last.polls);
        tt_check(tn_runtime_tasks(b->runtime) < 1000000);
        last = now;
    }
    return NULL;
}

static void *spawn_in_waves(void *arg)
{
    busy *b = arg;

    for (unsigned long i = 0; i < tt_scaled(2000); i++)
        fan_out(NULL);
    atomic_store(&b->over, true);
    return NULL;
}

Test(schedule, counters_can_be_read_meanwhile)
{
    busy b = {.runtime = tt_runtime_create()};
    pthread_t reader = tt_thread_start(read_counters, &b);
    tn_counters counters;

    cr_assert_eq(tn_block_on(b.runtime, spawn_in_waves, &b, NULL), 0);
    tt_thread_join(reader);
    cr_assert_eq(tn_runtime_tasks(b.runtime), 0);
    counters = total(b.runtime);
    cr_assert_eq(counters.spawned, counters.finished);
    cr_assert_eq(counters.spawned, tt_scaled(2000) * 32 + 1);
    tt_runtime_destroy(b.runtime);
}
