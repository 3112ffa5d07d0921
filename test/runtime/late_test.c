/* SPDX-License-Identifier: MIT */
/* Workers that get no processor: other workers are woken in their place, and process their queues, loops and timers.
 *
 * A signal freezes a worker: its handler does not return until the test allows it. For the kernel and for the runtime, the
 * worker is where it was interrupted: asleep in its loop, or in the scheduler. In late_hog_test a real-time thread takes the
 * processor. */
/* ctest: timeout=240 serial */
#include <stdlib.h>

#include "late_stand.h"
#include "sched/schedule.h"
#include "support/runtime.h"
#include "support/sanitizers.h"

/* --- Spawns from outside ---------------------------------------------------------------------------------------------------- */

/* Each worker is frozen once, so one of them is the worker that is chosen first. */
static void spawns_beside_one_that_is_frozen(uint64_t rest_ns)
{
    tn_runtime *runtime = create(note_thread, false);

    for (unsigned i = 0; i < tn_runtime_workers(runtime); i++) {
        cr_assert(tt_wait_until(all_are_parked, runtime, LIMIT_NS));
        tt_block_thread(rest_ns);
        freeze_asleep(runtime, i);
        cr_assert(spawns_run(runtime, 3, LIMIT_NS), "worker %u", i);
        thaw();
    }
    tt_runtime_destroy(runtime);
}

Test(late, a_spawn_from_outside_does_not_wait_for_the_one_that_was_chosen)
{
    spawns_beside_one_that_is_frozen(TN_MS);
}

Test(late, nor_when_the_monitor_rests)
{
    spawns_beside_one_that_is_frozen(2 * TNI_MONITOR_REST_NS);
}

/* --- One worker that is never out of work ----------------------------------------------------------------------------------- */

typedef struct {
    atomic_bool over;
    atomic_bool runs;
    unsigned core; /* index of the core that runs the task */
    tn_task *task;
} busy;

static void *yield_until_over(void *arg)
{
    busy *b = arg;

    b->core = tni_core_enter()->index;
    tni_core_leave();
    atomic_store(&b->runs, true);
    while (!atomic_load(&b->over))
        tt_check(tn_yield() == 0);
    return NULL;
}

static bool is_busy(void *arg)
{
    return atomic_load(&((busy *)arg)->runs);
}

static void keep_one_busy(busy *b, tn_runtime *runtime)
{
    tn_spawn_options options = tn_spawn_options_default();

    options.pinned = true;
    cr_assert_eq(tn_spawn_on(runtime, &options, &b->task, yield_until_over, b), 0);
    cr_assert(tt_wait_until(is_busy, b, LIMIT_NS));
}

static void stop_busy(busy *b)
{
    atomic_store(&b->over, true);
    if (b->task != NULL)
        tt_join(b->task);
}

/* --- Connections ------------------------------------------------------------------------------------------------------------ */

static void connections_beside_one_that_is_frozen(uint64_t rest_ns, bool beside_a_busy_one)
{
    tn_runtime *runtime = create(note_thread, false);
    static lines l;
    static busy b;

    lines_open(&l, runtime);
    if (beside_a_busy_one)
        keep_one_busy(&b, runtime);
    for (unsigned i = 0; i < tn_runtime_workers(runtime); i++) {
        bool served;
        if (beside_a_busy_one && i == b.core)
            continue;
        tt_block_thread(rest_ns);
        freeze_asleep(runtime, i);
        served = lines_answer(&l, LIMIT_MS) && lines_answer(&l, LIMIT_MS);
        thaw();
        cr_assert(served, "worker %u", i);
        cr_assert(lines_answer(&l, LIMIT_MS), "worker %u is back", i);
    }
    stop_busy(&b);
    lines_close(&l);
    tt_runtime_destroy(runtime);
}

Test(late, connections_of_its_loop_are_served)
{
    connections_beside_one_that_is_frozen(5 * TN_MS, false);
}

Test(late, connections_are_served_when_the_monitor_rests)
{
    connections_beside_one_that_is_frozen(2 * TNI_MONITOR_REST_NS, false);
}

Test(late, connections_are_served_beside_one_that_is_never_out_of_work)
{
    connections_beside_one_that_is_frozen(5 * TN_MS, true);
}

/* --- Timers ----------------------------------------------------------------------------------------------------------------- */

#define NAP_NS (20 * TN_MS)

typedef struct {
    atomic_bool over;
    atomic_uint ticks[CONNECTIONS_MAX];
    tn_task *tasks[CONNECTIONS_MAX];
    unsigned count;
} clocks;

static clocks all_clocks;

static void *tick(void *arg)
{
    atomic_uint *ticks = arg;

    tt_burn(2 * TN_MS); /* as in echo */
    while (!atomic_load(&all_clocks.over)) {
        tt_check(tn_sleep(NAP_NS) == 0);
        atomic_fetch_add(ticks, 1);
    }
    return NULL;
}

/* Returns whether each timer fires twice more. */
static bool clocks_tick(clocks *c)
{
    unsigned before[CONNECTIONS_MAX];

    for (unsigned i = 0; i < c->count; i++)
        before[i] = atomic_load(&c->ticks[i]);
    for (unsigned i = 0; i < c->count; i++) {
        at_least wanted = {&c->ticks[i], before[i] + 2};
        if (!tt_wait_until(has_count, &wanted, LIMIT_NS))
            return false;
    }
    return true;
}

static void timers_beside_one_that_is_frozen(bool beside_a_busy_one)
{
    tn_runtime *runtime = create(note_thread, false);
    clocks *c = &all_clocks;
    static busy b;

    c->count = A_WORKER * tn_runtime_workers(runtime);
    for (unsigned i = 0; i < c->count; i++)
        c->tasks[i] = tt_spawn_on(runtime, tick, &c->ticks[i]);
    if (beside_a_busy_one)
        keep_one_busy(&b, runtime);
    for (unsigned i = 0; i < tn_runtime_workers(runtime); i++) {
        bool fired;
        if (beside_a_busy_one && i == b.core)
            continue;
        cr_assert(clocks_tick(c));
        freeze_asleep(runtime, i);
        fired = clocks_tick(c);
        thaw();
        cr_assert(fired, "worker %u", i);
    }
    atomic_store(&c->over, true);
    stop_busy(&b);
    for (unsigned i = 0; i < c->count; i++)
        tt_join(c->tasks[i]);
    tt_runtime_destroy(runtime);
}

Test(late, timers_of_its_core_go_off)
{
    timers_beside_one_that_is_frozen(false);
}

Test(late, timers_go_off_beside_one_that_is_never_out_of_work)
{
    timers_beside_one_that_is_frozen(true);
}

/* --- Queues ----------------------------------------------------------------------------------------------------------------- */

enum { YIELDERS = 64, FREEZES = 5 };

typedef struct {
    atomic_bool over;
    atomic_uint rounds[YIELDERS];
    unsigned before[YIELDERS];
} crowd;

static crowd all_yielders;

static void *yield_on(void *arg)
{
    atomic_uint *rounds = arg;

    while (!atomic_load(&all_yielders.over)) {
        atomic_fetch_add(rounds, 1);
        tt_check(tn_yield() == 0);
    }
    return NULL;
}

/* All tasks have run three more times, except for the one that the frozen worker is running. */
static bool all_but_one_go_on(void *arg)
{
    crowd *c = arg;
    unsigned waiting = 0;

    for (unsigned i = 0; i < YIELDERS; i++)
        waiting += atomic_load(&c->rounds[i]) - c->before[i] < 3;
    return waiting <= 1;
}

/* No worker is ever out of work, so none comes to steal. A frozen worker may hold a lock that others need. This happens
 * sometimes, but not most of the time. ThreadSanitizer handles a signal at the end of an intercepted call, often that of
 * pthread_mutex_lock, so under it the worker may hold a lock each time: the test then only checks what comes after. */
Test(late, what_is_in_its_queues_goes_to_others)
{
    tn_runtime *runtime = create(note_thread, false);
    tn_task *tasks[YIELDERS];
    unsigned good = 0;

    for (unsigned i = 0; i < YIELDERS; i++)
        tasks[i] = tt_spawn_on(runtime, yield_on, &all_yielders.rounds[i]);
    for (unsigned i = 0; i < FREEZES; i++) {
        tt_block_thread(20 * TN_MS);
        freeze(runtime, i % tn_runtime_workers(runtime));
        for (unsigned k = 0; k < YIELDERS; k++)
            all_yielders.before[k] = atomic_load(&all_yielders.rounds[k]);
        good += tt_wait_until(all_but_one_go_on, &all_yielders, TT_TSAN ? LIMIT_NS / 50 : LIMIT_NS / 2);
        thaw();
        cr_assert(tt_wait_until(all_but_one_go_on, &all_yielders, 20 * TN_S));
    }
    atomic_store(&all_yielders.over, true);
    for (unsigned i = 0; i < YIELDERS; i++)
        tt_join(tasks[i]);
    tt_runtime_destroy(runtime);
    if (!TT_TSAN)
        cr_assert_gt(good, FREEZES / 2, "%u of %u times", good, FREEZES);
}

/* --- The worker continues meanwhile ----------------------------------------------------------------------------------------- */

enum { PAIRS = 40 };

/* Two fibers that wake each other: through the LIFO slot, or through the run queue if the slot is full. */
typedef struct {
    tn_semaphore turns[2];
    unsigned long rounds;
    atomic_ulong done;
} pair;

typedef struct {
    pair *pair;
    unsigned side;
} player;

static void *play(void *arg)
{
    player *p = arg;

    for (unsigned long i = 0; i < p->pair->rounds; i++) {
        tt_check(tn_semaphore_acquire(&p->pair->turns[p->side], 1) == 0);
        atomic_fetch_add_explicit(&p->pair->done, 1, memory_order_relaxed);
        tn_semaphore_release(&p->pair->turns[!p->side], 1);
        if (i % 8 == 0)
            tt_check(tn_yield() == 0);
    }
    return NULL;
}

typedef struct {
    tn_runtime *runtime;
    atomic_bool over;
    unsigned long moves;
} mover;

/* Does what the monitor does for a late worker, for all cores and all the time. */
static void *evacuate_on(void *arg)
{
    mover *m = arg;

    for (unsigned i = 0; !atomic_load(&m->over); i = (i + 1) % m->runtime->core_count) {
        tni_core *core = m->runtime->cores[i];
        tni_schedule_evacuate(core);
        (void)tni_idle_search_end(&m->runtime->idle, i);
        if (tni_idle_unpark(&m->runtime->idle, i))
            tni_worker_unpark(tni_aptr_load(&core->worker, TNI_ACQUIRE));
        tni_schedule_wake_one(m->runtime);
        m->moves++;
    }
    return NULL;
}

Test(late, nothing_is_lost_or_run_twice_when_it_comes_back_meanwhile)
{
    static pair pairs[PAIRS];
    static player players[2 * PAIRS];
    tn_task *tasks[2 * PAIRS];
    mover m = {.runtime = create(note_thread, true)};
    pthread_t thread;

    for (unsigned i = 0; i < 2 * PAIRS; i++) {
        pair *p = &pairs[i / 2];
        players[i] = (player){p, i % 2};
        tn_semaphore_init(&p->turns[i % 2], i % 2 == 0);
        p->rounds = tt_scaled(3000);
    }
    thread = tt_thread_start(evacuate_on, &m);
    for (unsigned i = 0; i < 2 * PAIRS; i++)
        tasks[i] = tt_spawn_on(m.runtime, play, &players[i]);
    for (unsigned i = 0; i < 2 * PAIRS; i++)
        tt_join(tasks[i]);
    atomic_store(&m.over, true);
    tt_thread_join(thread);
    for (unsigned i = 0; i < PAIRS; i++)
        cr_assert_eq(atomic_load(&pairs[i].done), 2 * pairs[i].rounds);
    tt_runtime_destroy(m.runtime);
}

/* Workers are frozen at any point and continue after a few milliseconds. Meanwhile connections, timers and spawns go on. */
Test(late, all_goes_on_while_workers_come_and_go)
{
    tn_runtime *runtime = create(note_thread, true);
    unsigned seed = 1;
    static lines l;

    lines_open(&l, runtime);
    all_clocks.count = tn_runtime_workers(runtime);
    for (unsigned i = 0; i < all_clocks.count; i++)
        all_clocks.tasks[i] = tt_spawn_on(runtime, tick, &all_clocks.ticks[i]);
    for (unsigned long i = 0; i < tt_scaled(100); i++) {
        unsigned random = (unsigned)rand_r(&seed);
        atomic_uint done = 0;
        tn_task *task;
        freeze(runtime, random % tn_runtime_workers(runtime));
        for (unsigned k = 0; k < 3; k++)
            cr_assert_eq(write(l.ends[(random / 64 + k) % l.count], "x", 1), 1);
        task = tt_spawn_on(runtime, count_up, &done);
        tt_block_thread(random / 1024 % 8 * TN_MS);
        thaw();
        tt_join(task);
        for (unsigned k = 0; k < 3; k++) {
            struct pollfd answer = {.fd = l.ends[(random / 64 + k) % l.count], .events = POLLIN};
            char byte;
            cr_assert_eq(poll(&answer, 1, LIMIT_MS), 1);
            cr_assert_eq(read(answer.fd, &byte, 1), 1);
        }
    }
    cr_assert(clocks_tick(&all_clocks));
    atomic_store(&all_clocks.over, true);
    for (unsigned i = 0; i < all_clocks.count; i++)
        tt_join(all_clocks.tasks[i]);
    lines_close(&l);
    tt_runtime_destroy(runtime);
}
