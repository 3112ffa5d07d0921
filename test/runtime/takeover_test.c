/* SPDX-License-Identifier: MIT */
/* Taking cores from workers that are inside a task, at every possible moment: no task is lost, none runs twice.
 * A plain thread does the work of the monitor, which finds stuck workers. */
/* ctest: timeout=120 */
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/tls.h"
#include "sched/runtime.h"
#include "support/runtime.h"
#include "watch/monitor.h"
#include "watch/stuck.h"

/* The monitor takes no core: the test does. */
static tn_options options_here(void)
{
    tn_options options = tt_options();

    options.stuck_after_ns = UINT64_MAX;
    return options;
}

static tn_runtime *create_here(void)
{
    tn_options options = options_here();
    tn_runtime *runtime;

    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    return runtime;
}

typedef struct {
    tn_runtime *runtime;
    unsigned pause_us; /* longest pause between two attempts */
    atomic_bool over;
    unsigned long attempts;
    atomic_ulong taken;
    unsigned threads_max;
} taker;

static unsigned list_workers(tn_runtime *runtime, tni_worker **workers, unsigned max)
{
    unsigned count = 0;

    tni_os_mutex_lock(&runtime->lock);
    for (tni_worker *worker = runtime->workers; worker != NULL && count < max; worker = worker->next_worker)
        workers[count++] = worker;
    tni_os_mutex_unlock(&runtime->lock);
    return count;
}

static void *take_cores(void *arg)
{
    taker *t = arg;
    uint64_t random = tni_random_seed();
    tni_worker *workers[256];

    while (!atomic_load(&t->over)) {
        unsigned count = list_workers(t->runtime, workers, 256);
        t->threads_max = count > t->threads_max ? count : t->threads_max;
        t->attempts++;
        (void)tni_worker_provide_replacements(t->runtime, 1);
        atomic_fetch_add(&t->taken, tni_worker_replace(workers[tni_random_next(&random) % count]));
        if (t->pause_us > 0)
            tt_block_thread(tni_random_next(&random) % t->pause_us * TN_US);
    }
    return NULL;
}

/* --- What the tasks do ---------------------------------------------------------------------------------------------------- */

typedef struct {
    atomic_ulong begun;
    atomic_ulong ended;
    unsigned long rounds;
} load;

static void *child(void *arg)
{
    load *l = arg;

    atomic_fetch_add(&l->ended, 1);
    return NULL;
}

/* A child that suspends in different ways. */
static void *wandering_child(void *arg)
{
    load *l = arg;
    unsigned long turn = atomic_load(&l->begun);

    tt_check((turn % 3 == 0 ? tn_sleep(turn % 7 * 100 * TN_US) : tn_yield()) == 0);
    if (turn % 5 == 0)
        tt_block_thread(50 * TN_US);
    tt_check(tn_yield() == 0);
    atomic_fetch_add(&l->ended, 1);
    return NULL;
}

static tn_task *begin_child(load *l, tn_entry_fn entry)
{
    atomic_fetch_add(&l->begun, 1);
    return tt_spawn(entry, l);
}

/* A stackless task that its parent wakes. */
typedef struct {
    tn_future base;
    load *shared;
    _Atomic(tn_waker *) waker;
    atomic_bool ready;
} signal_future;

static int signal_poll(tn_future *self, tn_waker *waker)
{
    signal_future *future = (signal_future *)(void *)self;
    tn_waker *old = atomic_exchange(&future->waker, tn_waker_retain(waker));

    if (old != NULL)
        tn_waker_release(old);
    return atomic_load(&future->ready) ? 5 : TN_PENDING;
}

static void signal_drop(tn_future *self)
{
    signal_future *future = (signal_future *)(void *)self;
    tn_waker *old = atomic_exchange(&future->waker, NULL);

    if (old != NULL)
        tn_waker_release(old);
    atomic_fetch_add(&future->shared->ended, 1);
}

static const tn_future_ops signal_ops = {signal_poll, signal_drop};

static void wake_a_stackless_child(load *l)
{
    signal_future future = {.base = {&signal_ops}, .shared = l};
    tn_task *task = NULL;
    tn_waker *waker;

    atomic_fetch_add(&l->begun, 1);
    tt_check(tn_spawn_future(NULL, NULL, &task, &future.base) == 0);
    tt_check(tn_yield() == 0);
    atomic_store(&future.ready, true);
    waker = atomic_exchange(&future.waker, NULL);
    if (waker != NULL)
        tn_waker_wake(waker);
    tt_check((intptr_t)tt_join(task) == 5);
}

/* The core may have been taken after this. Everything that follows must work without it. */
static void block_a_while(unsigned long round)
{
    if (round % 4 == 0)
        tt_block_thread(round % 32 * 20 * TN_US);
    else
        tt_burn(round % 16 * TN_US);
}

static void *parent(void *arg)
{
    load *l = arg;

    for (unsigned long round = 0; round < l->rounds; round++) {
        tn_task *children[8];
        block_a_while(round);
        for (int i = 0; i < 8; i++)
            children[i] = begin_child(l, i % 2 ? child : wandering_child);
        block_a_while(round + 1);
        wake_a_stackless_child(l);
        for (int i = 0; i < 8; i++)
            tt_join(children[i]);
        if (round % 8 == 0)
            tt_check(tn_sleep(TN_MS / 2) == 0);
    }
    return NULL;
}

static void *many_parents(void *arg)
{
    tn_task *parents[12];

    for (int i = 0; i < 12; i++)
        parents[i] = tt_spawn(parent, arg);
    for (int i = 0; i < 12; i++)
        tt_join(parents[i]);
    return NULL;
}

/* Repeats until a core was taken: on a loaded machine the taker may not run during one round. */
static void run_against_taker(tn_runtime *runtime, unsigned pause_us, unsigned long rounds)
{
    load l = {.rounds = rounds};
    taker t = {.runtime = runtime, .pause_us = pause_us};
    pthread_t thread = tt_thread_start(take_cores, &t);
    uint64_t limit_ns = tn_now() + 30 * TN_S;
    unsigned long times = 0;

    do {
        cr_assert_eq(tn_block_on(runtime, many_parents, &l, NULL), 0);
        times++;
    } while (atomic_load(&t.taken) == 0 && tn_now() < limit_ns);
    atomic_store(&t.over, true);
    tt_thread_join(thread);
    cr_assert_eq(atomic_load(&l.begun), times * 12 * rounds * 9);
    cr_assert_eq(atomic_load(&l.ended), atomic_load(&l.begun));
    cr_log_info("%lu of %lu attempts took a core; %u threads", atomic_load(&t.taken), t.attempts, t.threads_max);
    cr_assert_gt(atomic_load(&t.taken), 0, "of %lu attempts none took a core", t.attempts);
    /* A worker that lost its core is the next replacement thread. A taker that never pauses also starts some in excess. */
    cr_assert_leq(t.threads_max, 2 * tn_runtime_workers(runtime) + 12 + (pause_us > 0 ? 4 : 150));
    tt_runtime_destroy(runtime);
}

Test(takeover, without_pause)
{
    run_against_taker(create_here(), 0, tt_scaled(200));
}

Test(takeover, with_short_pauses)
{
    run_against_taker(create_here(), 50, tt_scaled(200));
}

Test(takeover, with_long_pauses)
{
    run_against_taker(create_here(), 2000, tt_scaled(200));
}

Test(takeover, of_few_stacks)
{
    tn_options options = options_here();
    tn_runtime *runtime;

    options.stacks_max = 40; /* 12 parents and the first task keep theirs while they wait for children */
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    run_against_taker(runtime, 50, tt_scaled(100));
}

/* --- A task whose core was taken while it was blocked --------------------------------------------------------------------- */

typedef struct {
    tni_worker *worker;
    atomic_bool inside;
    atomic_bool taken;
    atomic_ulong count;
} blocked;

static void *add_to_count(void *arg)
{
    atomic_fetch_add((atomic_ulong *)arg, 1);
    return NULL;
}

static void *use_runtime_without_core(void *arg)
{
    blocked *b = arg;
    tn_task *tasks[100];
    uint64_t limit_ns;

    b->worker = tni_tls_get()->worker;
    atomic_store(&b->inside, true);
    limit_ns = tn_now() + 20 * TN_S;
    while (!atomic_load(&b->taken))
        tt_check(tn_now() < limit_ns);
    /* The task has lost its core, and has not noticed: spawn, query, then join. */
    for (int i = 0; i < 100; i++)
        tasks[i] = tt_spawn(add_to_count, &b->count);
    tt_check(tn_self() != NULL && tn_runtime_current() != NULL && tn_checkpoint() == 0);
    for (int i = 0; i < 100; i++)
        tt_join(tasks[i]);
    tt_check(tn_sleep(TN_MS) == 0);
    return NULL;
}

static bool take(void *arg)
{
    blocked *b = arg;

    return tni_worker_provide_replacements(b->worker->runtime, 1) && tni_worker_replace(b->worker);
}

Test(takeover, a_task_without_core_goes_on)
{
    for (int i = 0; i < 20; i++) {
        tn_runtime *runtime = create_here();
        blocked b = {.worker = NULL};
        tn_task *task = tt_spawn_on(runtime, use_runtime_without_core, &b);
        while (!atomic_load(&b.inside))
            tn_yield();
        cr_assert(tt_wait_until(take, &b, 20 * TN_S));
        atomic_store(&b.taken, true);
        tt_join(task);
        cr_assert_eq(atomic_load(&b.count), 100);
        tt_runtime_destroy(runtime);
    }
}

/* The tasks in the queues of the taken core continue at once. */
typedef struct {
    blocked shared;
    atomic_ulong count;
} queued;

static void *leave_a_full_queue(void *arg)
{
    queued *q = arg;
    uint64_t limit_ns = tn_now() + 20 * TN_S;

    for (int i = 0; i < 1000; i++)
        tt_check(tn_spawn(NULL, add_to_count, &q->count) == 0);
    q->shared.worker = tni_tls_get()->worker;
    atomic_store(&q->shared.inside, true);
    while (atomic_load(&q->count) < 1000) /* never leaves its worker */
        tt_check(tn_now() < limit_ns);
    return NULL;
}

Test(takeover, what_was_queued_runs_on)
{
    tn_options options = options_here();

    options.workers = 1; /* no other worker can steal them */
    for (int i = 0; i < 20; i++) {
        queued q = {.count = 0};
        tn_runtime *runtime;
        tn_task *task;
        cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
        task = tt_spawn_on(runtime, leave_a_full_queue, &q);
        while (!atomic_load(&q.shared.inside))
            tn_yield();
        cr_assert(tt_wait_until(take, &q.shared, 20 * TN_S));
        tt_join(task);
        tt_runtime_destroy(runtime);
    }
}

/* Pinned tasks stay on their thread even if it has no core. */
static void *pinned_without_core(void *arg)
{
    blocked *b = arg;
    pid_t thread = gettid();

    use_runtime_without_core(b);
    tt_check(gettid() == thread);
    for (int i = 0; i < 100; i++) {
        tt_check(tn_yield() == 0);
        tt_check(gettid() == thread);
    }
    tt_check(tn_sleep(2 * TN_MS) == 0);
    tt_check(gettid() == thread);
    return NULL;
}

Test(takeover, pinned_tasks_stay_on_their_thread)
{
    tn_spawn_options options = tn_spawn_options_default();

    options.pinned = true;
    for (int i = 0; i < 20; i++) {
        tn_runtime *runtime = create_here();
        blocked b = {.worker = NULL};
        tn_task *task = NULL;
        cr_assert_eq(tn_spawn_on(runtime, &options, &task, pinned_without_core, &b), 0);
        while (!atomic_load(&b.inside))
            tn_yield();
        cr_assert(tt_wait_until(take, &b, 20 * TN_S));
        atomic_store(&b.taken, true);
        tt_join(task);
        tt_runtime_destroy(runtime);
    }
}

/* --- When a core is taken ------------------------------------------------------------------------------------------------- */

/* The test does the work of the monitor, with its own clock, on which hours pass. In real time no step takes that long. */
enum { SLEEPERS = 40 };
#define HOUR_NS (3600 * TN_S)

typedef struct {
    tn_runtime *runtime;
    tni_core *core;
    uint64_t now_ns;
    uint64_t due_ns;
    tn_task *tasks[SLEEPERS];
    unsigned count;
    atomic_uint inside;
    atomic_bool over;
    tt_gate gate;
} watched;

static void watched_begin(watched *w)
{
    tn_options options = options_here();

    options.workers = 1;
    options.stuck_after_ns = HOUR_NS;
    options.force_migration = false; /* with it, a task that was spawned earlier may run */
    cr_assert_eq(tn_runtime_create(&w->runtime, &options), 0);
    tni_monitor_stop(w->runtime);
    w->core = w->runtime->cores[0];
    w->now_ns = tni_clock_ns();
}

static void watched_spawn(watched *w, tn_entry_fn entry)
{
    w->tasks[w->count++] = tt_spawn_on(w->runtime, entry, w);
}

static void watched_end(watched *w)
{
    atomic_store(&w->over, true);
    tt_gate_open(&w->gate);
    for (unsigned i = 0; i < w->count; i++)
        tt_join(w->tasks[i]);
    tt_runtime_destroy(w->runtime);
}

static void *sleep_at_gate(void *arg)
{
    watched *w = arg;

    atomic_fetch_add(&w->inside, 1);
    tt_gate_wait(&w->gate, 1);
    return NULL;
}

static void *compute_until_over(void *arg)
{
    watched *w = arg;
    uint64_t limit_ns = tn_now() + 60 * TN_S;

    atomic_fetch_add(&w->inside, 1);
    while (!atomic_load(&w->over))
        tt_check(tn_now() < limit_ns);
    return NULL;
}

static unsigned long watched_taken(watched *w)
{
    tn_counters counters;

    cr_assert_eq(tn_runtime_counters(w->runtime, 0, &counters), 0);
    return counters.cores_handed_over;
}

/* Checks the core as the monitor does, `later_ns` later. Returns how many cores have been handed over by then. */
static unsigned long watched_look(watched *w, uint64_t later_ns)
{
    w->now_ns += later_ns;
    w->due_ns = UINT64_MAX;
    (void)tni_stuck_observe(w->core, w->now_ns, false, &w->due_ns);
    return watched_taken(w);
}

static bool has_spare(void *arg)
{
    tn_runtime *runtime = arg;
    bool has;

    tni_os_mutex_lock(&runtime->lock);
    has = runtime->replacement_count > 0;
    tni_os_mutex_unlock(&runtime->lock);
    return has;
}

static void provide_spare(watched *w)
{
    cr_assert(tni_worker_provide_replacements(w->runtime, 1));
    cr_assert(tt_wait_until(has_spare, w->runtime, 20 * TN_S));
}

static bool holder_sleeps(void *arg)
{
    watched *w = arg;
    tni_worker *holder = tni_aptr_load(&w->core->worker, TNI_ACQUIRE);

    return tni_worker_is_outside(holder) && tni_aptr_load(&holder->current, TNI_ACQUIRE) != NULL &&
           tni_os_thread_sleeps(holder->thread_id);
}

static bool holder_parks(void *arg)
{
    return tni_idle_is_parked(&((watched *)arg)->runtime->idle, ((watched *)arg)->core->index);
}

static bool watched_is_inside(watched *w, unsigned count)
{
    uint64_t limit_ns = tn_now() + 20 * TN_S;

    while (atomic_load(&w->inside) < count && tn_now() < limit_ns)
        tn_yield();
    return atomic_load(&w->inside) == count;
}

/* Expects that a task that has run for an hour loses its core. */
static void take_the_first(watched *w)
{
    cr_assert(watched_is_inside(w, 1) && tt_wait_until(holder_sleeps, w, 20 * TN_S));
    provide_spare(w);
    cr_assert_eq(watched_look(w, 0), 0);
    cr_assert_eq(watched_look(w, HOUR_NS / 2), 0);
    cr_assert_eq(watched_look(w, HOUR_NS / 2), 1);
    cr_assert_eq(w->due_ns - w->now_ns, HOUR_NS / 2);
}

Test(takeover, again_and_again_sooner)
{
    static watched w = {.gate = TT_GATE_INIT};
    uint64_t check_interval_ns = HOUR_NS / 2;

    watched_begin(&w);
    for (unsigned i = 0; i < SLEEPERS; i++)
        watched_spawn(&w, sleep_at_gate);
    take_the_first(&w);
    for (unsigned taken = 1; taken < SLEEPERS - 1; taken++) {
        cr_assert(watched_is_inside(&w, taken + 1) && tt_wait_until(holder_sleeps, &w, 20 * TN_S));
        provide_spare(&w);
        cr_assert_eq(watched_look(&w, check_interval_ns), taken + 1);
        check_interval_ns = check_interval_ns / 2 > TNI_STUCK_CHECK_MIN_NS ? check_interval_ns / 2 : TNI_STUCK_CHECK_MIN_NS;
        cr_assert_eq(w.due_ns - w.now_ns, check_interval_ns);
    }
    watched_end(&w);
}

/* Each check that finds no stuck task doubles the time until the next one. */
Test(takeover, no_hurry_when_nobody_is_stuck)
{
    static watched w = {.gate = TT_GATE_INIT};
    uint64_t check_interval_ns;

    watched_begin(&w);
    for (unsigned i = 0; i < 4; i++)
        watched_spawn(&w, sleep_at_gate);
    take_the_first(&w);
    cr_assert(watched_is_inside(&w, 2) && tt_wait_until(holder_sleeps, &w, 20 * TN_S));
    provide_spare(&w);
    cr_assert_eq(watched_look(&w, HOUR_NS / 2), 2);
    tt_gate_open(&w.gate);
    for (unsigned i = 0; i < w.count; i++)
        tt_join(w.tasks[i]);
    w.count = 0;
    cr_assert(tt_wait_until(holder_parks, &w, 20 * TN_S)); /* a holder on its way there is expected soon */
    for (check_interval_ns = HOUR_NS / 2; check_interval_ns < HOUR_NS; check_interval_ns *= 2) {
        cr_assert_eq(watched_look(&w, w.due_ns - w.now_ns), 2);
        cr_assert_eq(w.due_ns - w.now_ns, check_interval_ns);
    }
    cr_assert_eq(watched_look(&w, w.due_ns - w.now_ns), 2);
    cr_assert_eq(w.due_ns, UINT64_MAX);
    watched_end(&w);
}

static bool is_taken_at_last(void *arg)
{
    return watched_look(arg, 0) == 2;
}

/* A task that computes keeps its core for the whole time: its thread may only lack a processor. */
Test(takeover, who_computes_has_all_its_time)
{
    static watched w = {.gate = TT_GATE_INIT};

    watched_begin(&w);
    watched_spawn(&w, sleep_at_gate);
    cr_assert(watched_is_inside(&w, 1));
    watched_spawn(&w, compute_until_over);
    watched_spawn(&w, compute_until_over);
    take_the_first(&w);
    cr_assert(watched_is_inside(&w, 2));
    provide_spare(&w);
    cr_assert_eq(watched_look(&w, HOUR_NS / 2), 1);
    cr_assert_eq(watched_look(&w, HOUR_NS / 4), 1);
    w.now_ns += HOUR_NS / 4;
    cr_assert(tt_wait_until(is_taken_at_last, &w, 20 * TN_S)); /* true when its thread has had the processor */
    watched_end(&w);
}

/* --- Until the runtime is destroyed --------------------------------------------------------------------------------------- */

static void *block_often(void *arg)
{
    for (int i = 0; i < 20; i++) {
        tt_block_thread(200 * TN_US);
        tn_yield();
    }
    return arg;
}

/* The taker stops just before the runtime is destroyed. Replacement threads exist then, and some have just started. */
Test(takeover, destroy_comes_soon_after)
{
    for (unsigned long i = 0; i < tt_scaled(60); i++) {
        taker t = {.runtime = create_here()};
        pthread_t thread = tt_thread_start(take_cores, &t);
        tn_task *tasks[8];
        for (int k = 0; k < 8; k++)
            tasks[k] = tt_spawn_on(t.runtime, block_often, NULL);
        tt_join(tasks[0]);
        atomic_store(&t.over, true);
        tt_thread_join(thread);
        for (int k = 1; k < 8; k++)
            tn_task_release(tasks[k]);
        tt_runtime_destroy(t.runtime);
    }
}
