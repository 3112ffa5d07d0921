/* SPDX-License-Identifier: MIT */
/* The reporter checks for cycles of waits (watch/wait_graph.h) while fibers take and release locks, are cancelled, and end. A
 * cycle that stays is reported, once; what is reported existed at one moment; and each fiber continues as without checks. */
#include "watch/wait_graph.h"

#include <string.h>

#include <tn/mutex.h>
#include <tn/rwlock.h>
#include <tn/scope.h>

#include "model.h"
#include "small_runtime.h"
#include "until.h"
#include "watch/reporter.h"

typedef struct {
    tn_runtime *runtime;
    tn_mutex mutex[2];
    tn_rwlock rwlock;
    tn_task *first; /* fibers */
    tn_task *second;
    tn_task **started;
    tn_entry_fn entry;
    tni_wait bell[2]; /* what a fiber waits for outside the graph */
    tni_a32 rung[2];
    uint32_t cancelled; /* plain: the worker's */
    uint32_t reports;   /* plain: of the thread that checks */
} house;

static house *current; /* set by setup */

/* Only mutexes, and joins, are in a real cycle here. */
static void note_line(const char *line)
{
    if (strncmp(line, "cycle of waits", strlen("cycle of waits")) == 0)
        current->reports++;
    if (strstr(line, "): waits for ") != NULL)
        model_check(strstr(line, "waits for mutex,") != NULL || strstr(line, "waits for join,") != NULL);
}

static void *nothing(void *arg)
{
    return arg;
}

/* Runs all fibers until they rest. */
static void settle(house *h)
{
    model_check(tn_block_on(h->runtime, nothing, NULL, NULL) == 0);
}

/* By a fiber, so that the header comes from the core. */
static void *spawn(void *arg)
{
    house *h = arg;

    model_check(tn_spawn(h->started, h->entry, h) == 0);
    return NULL;
}

static void start(house *h, tn_task **task, tn_entry_fn entry)
{
    h->started = task;
    h->entry = entry;
    model_check(tn_block_on(h->runtime, spawn, h, NULL) == 0);
    model_name(&(*task)->state, 8, task == &h->first ? "first.state" : "second.state");
    settle(h);
}

static void await_ring(house *h, unsigned i)
{
    until_future future = {.base = {.ops = &until_ops}, .bell = &h->bell[i], .rung = &h->rung[i]};

    model_check(tn_await(&future.base) == 0);
}

static void ring_bell(house *h, unsigned i)
{
    (void)tni_a32_fetch_add(&h->rung[i], 1, TNI_RELEASE);
    (void)tni_wait_wake(&h->bell[i]);
}

static void create(house *h)
{
    current = h;
    model_log = note_line;
    h->runtime = small_runtime_create();
    h->runtime->options.flavor = TN_MULTI_THREAD; /* the graph is for these alone */
    h->runtime->options.report_wait_cycles = true;
    model_check(tni_wait_graph_create(h->runtime) == 0);
    h->runtime->options.flavor = TN_CURRENT_THREAD;
    model_name(&h->mutex[0], 4, "mutex0.word");
    model_name(&h->mutex[1], 4, "mutex1.word");
    model_name_of(h->rung[0]);
    model_name_of(h->rung[1]);
}

/* --- A cycle that closes, and stays -------------------------------------------------------------------------------------- */

/* Holds mutex 0. */
static void *lock_up(void *arg)
{
    house *h = arg;

    model_check(tn_mutex_lock(&h->mutex[0]) == 0);
    if (tn_mutex_lock(&h->mutex[1]) == 0)
        tn_mutex_unlock(&h->mutex[1]);
    else
        h->cancelled++;
    tn_mutex_unlock(&h->mutex[0]);
    return NULL;
}

/* Holds mutex 1, and then asks for mutex 0. */
static void *lock_down(void *arg)
{
    house *h = arg;

    model_check(tn_mutex_lock(&h->mutex[1]) == 0);
    await_ring(h, 0);
    model_check(tn_mutex_lock(&h->mutex[0]) == 0);
    tn_mutex_unlock(&h->mutex[0]);
    tn_mutex_unlock(&h->mutex[1]);
    return NULL;
}

static void setup_open(void *state)
{
    house *h = state;

    create(h);
    start(h, &h->second, lock_down);
    start(h, &h->first, lock_up);
    ring_bell(h, 0);
}

/* Takes mutex 0. */
static void *lock_one(void *arg)
{
    house *h = arg;

    model_check(tn_mutex_lock(&h->mutex[0]) == 0);
    tn_mutex_unlock(&h->mutex[0]);
    return NULL;
}

/* Holds mutex 0, and then joins the fiber that waits for it. */
static void *lock_and_join(void *arg)
{
    house *h = arg;

    model_check(tn_mutex_lock(&h->mutex[0]) == 0);
    await_ring(h, 0);
    h->cancelled += tn_join(h->second, NULL) != 0;
    tn_mutex_unlock(&h->mutex[0]);
    return NULL;
}

static void setup_join(void *state)
{
    house *h = state;

    create(h);
    start(h, &h->first, lock_and_join);
    start(h, &h->second, lock_one);
    ring_bell(h, 0);
}

static void work_first(void *state)
{
    house *h = state;

    tni_worker_drive(h->runtime->workers, h->first, TNI_FOREVER);
}

static void work_second(void *state)
{
    house *h = state;

    tni_worker_drive(h->runtime->workers, h->second, TNI_FOREVER);
}

/* Asks for checks as the monitor does, until there is a report, and then until no other check is needed. */
static void watch(void *state)
{
    house *h = state;
    uint64_t now_ns = tni_clock_ns();
    bool again;

    do {
        uint32_t asked = tni_a32_exchange(&h->runtime->reporter.news, 0, TNI_ACQUIRE);
        if (asked != 0)
            tni_wait_graph_check(h->runtime);
        tni_spin_hint();
        now_ns += TN_S;
        again = tni_wait_graph_request(h->runtime, now_ns);
    } while (again || h->reports == 0);
    tni_wait_graph_check(h->runtime);
    model_check(h->reports == 1);
    tn_cancel(h->first);
}

static void finish_reported(void *state)
{
    house *h = state;

    small_runtime_destroy(h->runtime);
    model_check(h->cancelled == 1 && h->reports == 1);
    tn_task_release(h->first);
    tn_task_release(h->second);
}

/* The cycle is there before the threads. */
static void setup_closed(void *state)
{
    house *h = state;

    setup_open(state);
    settle(h);
    model_name_of(h->runtime->reporter.news);
    model_check(tni_reporter_start(h->runtime) == 0);
}

/* Asks for checks until none is needed. */
static void ask(void *state)
{
    house *h = state;
    uint64_t now_ns = tni_clock_ns();

    do {
        tni_spin_hint();
        now_ns += TN_S;
    } while (tni_wait_graph_request(h->runtime, now_ns));
    tni_reporter_stop(h->runtime);
}

static void finish_asked(void *state)
{
    tn_cancel(((house *)state)->first);
    finish_reported(state);
}

/* --- A lock that is handed over ------------------------------------------------------------------------------------------ */

/* Gives up mutex 0, for which a thread waits, and then asks for mutex 1. */
static void *give(void *arg)
{
    house *h = arg;

    model_check(tn_mutex_lock(&h->mutex[0]) == 0);
    await_ring(h, 0);
    tn_mutex_unlock(&h->mutex[0]);
    model_check(tn_mutex_lock(&h->mutex[1]) == 0);
    tn_mutex_unlock(&h->mutex[1]);
    return NULL;
}

/* Holds mutex 1, and then asks for mutex 0: behind the thread, or before it. */
static void *wait_behind(void *arg)
{
    house *h = arg;

    model_check(tn_mutex_lock(&h->mutex[1]) == 0);
    await_ring(h, 1);
    model_check(tn_mutex_lock(&h->mutex[0]) == 0);
    tn_mutex_unlock(&h->mutex[0]);
    tn_mutex_unlock(&h->mutex[1]);
    return NULL;
}

static void setup_handed(void *state)
{
    house *h = state;

    create(h);
    start(h, &h->first, give);
    start(h, &h->second, wait_behind);
    ring_bell(h, 1);
    ring_bell(h, 0);
}

static void lock_in_thread(void *state)
{
    house *h = state;

    model_check(tn_mutex_lock(&h->mutex[0]) == 0);
    tn_mutex_unlock(&h->mutex[0]);
}

static void check_twice(void *state)
{
    house *h = state;

    tni_wait_graph_check(h->runtime);
    tni_wait_graph_check(h->runtime);
}

static void finish_handed(void *state)
{
    house *h = state;

    small_runtime_destroy(h->runtime);
    model_check(h->reports == 0);
    tn_task_release(h->first);
    tn_task_release(h->second);
}

/* --- A cycle that ends, and edges that follow ---------------------------------------------------------------------------- */

/* Holds mutex 0 and the read-write lock, and waits for mutex 1. */
static void *hold_both(void *arg)
{
    house *h = arg;

    model_check(tn_mutex_lock(&h->mutex[0]) == 0);
    model_check(tn_rwlock_write(&h->rwlock) == 0);
    await_ring(h, 0);
    if (tn_mutex_lock(&h->mutex[1]) == 0) {
        tn_mutex_unlock(&h->mutex[1]);
        await_ring(h, 1);
    }
    tn_rwlock_write_unlock(&h->rwlock);
    tn_mutex_unlock(&h->mutex[0]);
    return NULL;
}

static void write_always(house *h)
{
    tn_rwlock_write_always(&h->rwlock);
    tn_rwlock_write_unlock(&h->rwlock);
}

/* The wait that closes the cycle is cancelled. It releases mutex 1, and then waits for the read-write lock of the first. */
static void *end_cycle(void *arg)
{
    house *h = arg;

    model_check(tn_mutex_lock(&h->mutex[1]) == 0);
    model_check(tn_mutex_lock(&h->mutex[0]) == TN_ECANCELED);
    tn_mutex_unlock(&h->mutex[1]);
    write_always(h);
    return NULL;
}

/* There is a cycle, and a check has found it. */
static void close_cycle(house *h, tn_entry_fn other)
{
    start(h, &h->first, hold_both);
    start(h, &h->second, other);
    ring_bell(h, 0);
    settle(h);
    tni_wait_graph_check(h->runtime);
}

static void setup_ending(void *state)
{
    create(state);
    close_cycle(state, end_cycle);
}

static void cancel_and_work(void *state)
{
    tn_cancel(((house *)state)->second);
    work_second(state);
}

/* The cycle that there was may be reported; a wait that came when it was over is not in it. */
static void check_and_ring(void *state)
{
    house *h = state;

    tni_wait_graph_check(h->runtime);
    ring_bell(h, 1);
}

static void finish_ended(void *state)
{
    house *h = state;

    model_check(tn_task_is_finished(h->second) && h->reports <= 1);
    small_runtime_destroy(h->runtime);
    tn_task_release(h->first);
    tn_task_release(h->second);
}

/* --- A header that becomes another task ---------------------------------------------------------------------------------- */

/* Ends with mutex 1 locked. */
static void *end_locked(void *arg)
{
    house *h = arg;

    model_check(tn_mutex_lock(&h->mutex[1]) == 0);
    model_check(tn_mutex_lock(&h->mutex[0]) == TN_ECANCELED);
    return NULL;
}

static void *write_once(void *arg)
{
    write_always(arg);
    return NULL;
}

/* When the second has ended: starts another one, which waits for the first as the second did. It gets the header of the second,
 * unless a check holds that just then. */
static void *replace_second(void *arg)
{
    house *h = arg;

    model_check(tn_join(h->second, NULL) == 0);
    model_check(tn_spawn(&h->second, write_once, h) == 0);
    return NULL;
}

static void setup_reused(void *state)
{
    create(state);
    close_cycle(state, end_locked);
}

static void cancel_and_replace(void *state)
{
    house *h = state;

    tn_cancel(h->second);
    model_check(tn_block_on(h->runtime, replace_second, h, NULL) == 0);
    settle(h);
}

static void check_once(void *state)
{
    tni_wait_graph_check(((house *)state)->runtime);
}

/* The first waits for mutex 1 for ever. */
static void finish_reused(void *state)
{
    house *h = state;

    model_check(h->reports <= 1);
    tn_cancel(h->first);
    small_runtime_destroy(h->runtime);
    tn_task_release(h->first);
    tn_task_release(h->second);
}

#define CASE(what, before, after, ...) \
    { \
        .name = "waits." what, .state_bytes = sizeof(house), .bound = 1, .setup = before, .threads = {__VA_ARGS__}, \
        .finish = after, .no_chance = true \
    }

const model_scenario model_scenarios[] = {
    CASE("found", setup_open, finish_reported, work_second, watch),
    CASE("asked", setup_closed, finish_asked, ask),
    CASE("join", setup_join, finish_reported, work_first, watch),
    {
        .name = "waits.handed",
        .state_bytes = sizeof(house),
        .no_preemptions = true,
        .setup = setup_handed,
        .threads = {work_first, lock_in_thread, check_twice},
        .finish = finish_handed,
        .no_chance = true,
    },
    CASE("ended", setup_ending, finish_ended, cancel_and_work, check_and_ring),
    CASE("reused", setup_reused, finish_reused, cancel_and_replace, check_once),
    {0},
};
