/* SPDX-License-Identifier: MIT */
/* A random mix of all task operations, made by tasks and plain threads, in several runtimes. As many tasks must end as were
 * spawned.
 *   TN_TEST_SEED=N   repeats the choices of a run (not its timing); each run prints its seed */
/* ctest: timeout=300 serial */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "sched/runtime.h"
#include "support/runtime.h"

#define STALL_LIMIT_NS (20 * TN_S)

typedef struct {
    tn_runtime *runtime;
    tn_runtime *other;   /* a second runtime, in which a tenth of the tasks are spawned */
    unsigned depth;      /* generations of fibers below those that the threads spawn */
    bool takes_cores;    /* whether a thread takes cores from workers that are inside a task */
    atomic_ulong budget; /* tasks that may still be spawned */
    atomic_ulong begun;
    atomic_ulong ended;
    atomic_ulong dropped; /* futures */
    atomic_ulong futures;
    atomic_bool over;
} mix;

typedef struct {
    mix *m;
    uint64_t random;
    unsigned depth;
} job;

static uint64_t draw(uint64_t *random, uint64_t below)
{
    uint64_t x = *random;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *random = x;
    return (x * UINT64_C(0x2545F4914F6CDD1D) >> 33) % below;
}

/* --- The watchdog --------------------------------------------------------------------------------------------------------- */

static void dump(const tn_runtime *runtime)
{
    for (unsigned i = 0; i <= tn_runtime_workers(runtime); i++) {
        tn_counters c;
        tt_check(tn_runtime_counters(runtime, i, &c) == 0);
        fprintf(stderr, "core %u: spawned %lu finished %lu polls %lu steals %lu/%lu parks %lu wakes %lu", i, c.spawned,
                c.finished, c.polls, c.steals, c.steal_attempts, c.parks, c.wakes);
        fprintf(stderr, " overflows %lu injected %lu driver %lu/%lu timers %lu\n", c.overflows, c.injector_takes, c.driver_polls,
                c.driver_events, c.timers_fired);
    }
}

static void *watch(void *arg)
{
    mix *m = arg;
    unsigned long last = 0;
    uint64_t since_ns = tn_now();

    while (!atomic_load(&m->over)) {
        unsigned long ended = atomic_load(&m->ended) + atomic_load(&m->dropped);
        if (ended != last)
            since_ns = tn_now();
        last = ended;
        if (tn_now() - since_ns > STALL_LIMIT_NS) {
            fprintf(stderr, "nothing ended for 20 s: %lu begun, %lu ended, %lu futures, %lu dropped\n", atomic_load(&m->begun),
                    atomic_load(&m->ended), atomic_load(&m->futures), atomic_load(&m->dropped));
            dump(m->runtime);
            dump(m->other);
            abort();
        }
        tt_block_thread(20 * TN_MS);
    }
    return NULL;
}

/* --- Futures -------------------------------------------------------------------------------------------------------------- */

/* Ready after some polls. Wakes itself at once, or by its timer. Allocated on the heap; frees itself. */
typedef struct {
    tn_future base;
    mix *m;
    tn_sleep_future sleep;
    unsigned polls_left;
    bool sleeps;
} step_future;

static int step_poll(tn_future *self, tn_waker *waker)
{
    step_future *future = (step_future *)(void *)self;

    if (future->sleeps) {
        if (future->sleep.base.ops->poll(&future->sleep.base, waker) == TN_PENDING)
            return TN_PENDING;
        future->sleeps = false;
    }
    if (future->polls_left-- == 0)
        return 7;
    tn_waker_wake(tn_waker_retain(waker));
    return TN_PENDING;
}

static void step_drop(tn_future *self)
{
    step_future *future = (step_future *)(void *)self;

    atomic_fetch_add(&future->m->dropped, 1);
    free(future);
}

static const tn_future_ops step_ops = {step_poll, step_drop};

static step_future *new_step(mix *m, uint64_t *random)
{
    step_future *future = calloc(1, sizeof *future);

    tt_check(future != NULL);
    future->base.ops = &step_ops;
    future->m = m;
    future->polls_left = (unsigned)draw(random, 4);
    future->sleeps = draw(random, 3) == 0;
    tn_sleep_init(&future->sleep, tn_now() + draw(random, 2000) * TN_US);
    atomic_fetch_add(&m->futures, 1);
    return future;
}

/* --- Tasks ---------------------------------------------------------------------------------------------------------------- */

static void *run_job(void *arg);

/* Takes one task from the budget. */
static bool may_spawn(mix *m)
{
    unsigned long left = atomic_load(&m->budget);

    while (left > 0)
        if (atomic_compare_exchange_weak(&m->budget, &left, left - 1))
            return true;
    return false;
}

static tn_task *spawn_job(mix *m, uint64_t *random, unsigned depth, tn_runtime *where)
{
    tn_spawn_options options = tn_spawn_options_default();
    job *child = malloc(sizeof *child);
    tn_task *task = NULL;

    tt_check(child != NULL);
    *child = (job){m, draw(random, UINT32_MAX) * 2 + 1, depth};
    options.pinned = draw(random, 8) == 0;
    options.name = draw(random, 4) == 0 ? "stress" : NULL;
    options.stack_size_bytes = draw(random, 16) == 0 ? (size_t)64 * 1024 : 0;
    atomic_fetch_add(&m->begun, 1);
    tt_check(tn_spawn_on(where, &options, &task, run_job, child) == 0);
    return task;
}

static tn_task *spawn_future(mix *m, uint64_t *random, tn_runtime *where)
{
    step_future *future = new_step(m, random);
    tn_task *task = NULL;

    tt_check(tn_spawn_future(where, NULL, &task, &future->base) == 0);
    return task;
}

/* Joins the task, or releases the handle. */
static void settle_with(tn_task *task, uint64_t *random)
{
    int rc;

    switch (draw(random, 6)) {
    case 0:
        tn_task_release(task);
        return;
    case 1:
        tn_cancel(task);
        break;
    default:
        break;
    }
    rc = tn_join(task, NULL);
    tt_check(rc == 0 || rc == TN_ECANCELED);
    if (rc == TN_ECANCELED) /* the calling task was cancelled */
        tn_task_release(task);
}

static tn_runtime *somewhere(mix *m, uint64_t *random)
{
    return draw(random, 10) == 0 ? m->other : m->runtime;
}

static void spawn_and_settle(mix *m, uint64_t *random, unsigned depth)
{
    tn_task *tasks[8];
    unsigned count = 0;

    for (unsigned wanted = (unsigned)draw(random, 8) + 1; count < wanted && may_spawn(m); count++) {
        bool fiber = depth > 0 && draw(random, 3) != 0;
        tn_runtime *where = somewhere(m, random);
        tasks[count] = fiber ? spawn_job(m, random, depth - 1, where) : spawn_future(m, random, where);
    }
    if (draw(random, 4) == 0)
        (void)tn_yield();
    while (count > 0)
        settle_with(tasks[--count], random);
}

static void one_step(mix *m, uint64_t *random, unsigned depth)
{
    switch (draw(random, 12)) {
    case 0:
        (void)tn_sleep(draw(random, 3000) * TN_US);
        break;
    case 1:
    case 2:
        (void)tn_yield();
        break;
    case 3:
        if (draw(random, 16) == 0)
            tt_block_thread(draw(random, 500) * TN_US);
        break;
    case 4:
        tt_burn(draw(random, 50) * TN_US);
        break;
    case 5: {
        step_future *future = new_step(m, random);
        int rc = tn_await(&future->base);
        tt_check(rc == 7 || rc == TN_ECANCELED);
        break;
    }
    case 6:
        if (tn_self() != NULL && draw(random, 32) == 0)
            tn_cancel(tn_self());
        break;
    default:
        spawn_and_settle(m, random, depth);
        break;
    }
}

static void *run_job(void *arg)
{
    job mine = *(job *)arg;

    free(arg);
    for (uint64_t steps = draw(&mine.random, 5) + 1; steps > 0; steps--)
        one_step(mine.m, &mine.random, mine.depth);
    atomic_fetch_add(&mine.m->ended, 1);
    return NULL;
}

typedef struct {
    mix *m;
    uint64_t seed;
} thread_arg;

static void *run_thread(void *arg)
{
    thread_arg *mine = arg;
    uint64_t random = mine->seed;

    while (atomic_load(&mine->m->budget) > 0)
        one_step(mine->m, &random, mine->m->depth);
    return NULL;
}

/* --- The test ------------------------------------------------------------------------------------------------------------- */

static uint64_t choose_seed(void)
{
    const char *given = getenv("TN_TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : tn_now();

    fprintf(stderr, "TN_TEST_SEED=%lu\n", seed);
    return seed | 1;
}

static void *take_cores(void *arg)
{
    mix *m = arg;
    uint64_t random = tn_now() | 1;

    while (m->takes_cores && atomic_load(&m->ended) < atomic_load(&m->begun) + atomic_load(&m->budget)) {
        tni_worker *workers[64];
        unsigned count = 0;
        tni_os_mutex_lock(&m->runtime->lock);
        for (tni_worker *worker = m->runtime->workers; worker != NULL && count < 64; worker = worker->next_worker)
            workers[count++] = worker;
        tni_os_mutex_unlock(&m->runtime->lock);
        (void)tni_worker_provide_replacements(m->runtime, 1);
        (void)tni_worker_replace(workers[draw(&random, count)]);
        tt_block_thread(draw(&random, 100) * TN_US);
    }
    return NULL;
}

/* Tasks of either runtime may spawn in the other one, so both must be without tasks before one is destroyed. */
static void wait_for_quiet(mix *m)
{
    while (tn_runtime_tasks(m->runtime) + tn_runtime_tasks(m->other) > 0 || tn_runtime_tasks(m->runtime) > 0)
        tt_block_thread(TN_MS);
}

static void run_threads(mix *m)
{
    uint64_t seed = choose_seed();
    thread_arg args[3];
    pthread_t threads[3];
    pthread_t taker = tt_thread_start(take_cores, m);

    for (unsigned i = 0; i < 3; i++) {
        args[i] = (thread_arg){m, seed * (i + 1) | 1};
        threads[i] = tt_thread_start(run_thread, &args[i]);
    }
    for (int i = 0; i < 3; i++)
        tt_thread_join(threads[i]);
    wait_for_quiet(m);
    tt_thread_join(taker);
}

static void run_mix(const tn_options *options, mix m, tn_shutdown how)
{
    pthread_t watchdog;

    cr_assert_eq(tn_runtime_create(&m.runtime, options), 0);
    m.other = tt_runtime_create();
    watchdog = tt_thread_start(watch, &m);
    run_threads(&m);
    cr_assert_eq(tn_runtime_destroy(m.runtime, how, 60 * TN_S), 0);
    cr_assert_eq(tn_runtime_destroy(m.other, how, 60 * TN_S), 0);
    atomic_store(&m.over, true);
    tt_thread_join(watchdog);
    cr_log_info("%lu tasks, %lu futures", atomic_load(&m.begun), atomic_load(&m.futures));
    cr_assert_eq(atomic_load(&m.ended), atomic_load(&m.begun));
    cr_assert_eq(atomic_load(&m.dropped), atomic_load(&m.futures));
}

static mix of(unsigned long operations, unsigned depth, bool takes_cores)
{
    mix m = {.budget = tt_scaled(operations), .depth = depth, .takes_cores = takes_cores};

    return m;
}

Test(mixed_stress, usual)
{
    tn_options options = tt_options();

    run_mix(&options, of(200000, 4, false), TN_SHUTDOWN_WAIT);
}

Test(mixed_stress, many_workers)
{
    tn_options options = tt_options();

    options.workers = 16;
    run_mix(&options, of(200000, 4, false), TN_SHUTDOWN_CANCEL);
}

Test(mixed_stress, migrating)
{
    tn_options options = tt_options();

    options.force_migration = true;
    run_mix(&options, of(50000, 4, false), TN_SHUTDOWN_WAIT);
}

Test(mixed_stress, without_migration)
{
    tn_options options = tt_options();

    options.force_migration = false;
    options.no_migration = true;
    run_mix(&options, of(50000, 4, false), TN_SHUTDOWN_WAIT);
}

/* The fibers do not wait for other fibers. Otherwise all stacks could belong to tasks that wait for tasks without a stack. */
Test(mixed_stress, few_stacks)
{
    tn_options options = tt_options();

    options.stacks_max = 16;
    run_mix(&options, of(50000, 1, false), TN_SHUTDOWN_WAIT);
}

Test(mixed_stress, cores_are_taken)
{
    tn_options options = tt_options();

    run_mix(&options, of(100000, 4, true), TN_SHUTDOWN_WAIT);
}

Test(mixed_stress, cores_are_taken_from_many_workers)
{
    tn_options options = tt_options();

    options.workers = 16;
    run_mix(&options, of(100000, 4, true), TN_SHUTDOWN_CANCEL);
}
