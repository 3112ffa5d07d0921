/* SPDX-License-Identifier: MIT */
/* Reports of tasks that wait for each other in a cycle (tn_options.report_wait_cycles). */
/* ctest: timeout=180 */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <tn.h>
#include <tn/sync.h>

#include "base/holders.h"
#include "sched/runtime.h"
#include "support/runtime.h"

enum { TASKS_MAX = 8, TEXT_SIZE = 1 << 16 };

/* The lines of the log. */
typedef struct {
    pthread_mutex_t lock;
    size_t length;
    char text[TEXT_SIZE];
    tt_gate deadlocks;
} lines;

static void keep_line(void *ctx, tn_log_level level, const char *message)
{
    lines *l = ctx;

    (void)level;
    pthread_mutex_lock(&l->lock);
    if (l->length + strlen(message) + 2 < sizeof l->text)
        l->length += (size_t)snprintf(l->text + l->length, sizeof l->text - l->length, "%s\n", message);
    pthread_mutex_unlock(&l->lock);
}

static void note_deadlock(void *ctx, tn_runtime *runtime)
{
    lines *l = ctx;

    (void)runtime;
    tt_gate_open(&l->deadlocks);
}

static unsigned count_of(lines *l, const char *text)
{
    unsigned count = 0;

    pthread_mutex_lock(&l->lock);
    for (const char *at = strstr(l->text, text); at != NULL; at = strstr(at + 1, text))
        count++;
    pthread_mutex_unlock(&l->lock);
    return count;
}

/* Waits until so many lines have the text. */
static void wait_for_lines(lines *l, const char *text, unsigned count)
{
    uint64_t until_ns = tn_now() + 60 * TN_S;

    while (count_of(l, text) < count && tn_now() < until_ns)
        (void)tn_sleep(TN_MS);
    cr_assert(count_of(l, text) >= count, "not %u lines with \"%s\":\n%s", count, text, l->text);
}

typedef struct {
    lines lines;
    tn_runtime *runtime;
} stand;

static void stand_create(stand *s, tn_options options)
{
    s->lines = (lines){.lock = PTHREAD_MUTEX_INITIALIZER, .deadlocks = TT_GATE_INIT};
    options.log = keep_line;
    options.log_ctx = &s->lines;
    options.on_deadlock = note_deadlock;
    options.deadlock_ctx = &s->lines;
    cr_assert_eq(tn_runtime_create(&s->runtime, &options), 0);
}

static void stand_init(stand *s, bool on)
{
    tn_options options = tt_options();

    options.report_wait_cycles = on;
    stand_create(s, options);
}

/* --- Locks in a ring -------------------------------------------------------------------------------------------------------- */

typedef enum { MUTEX, WRITER } lock_kind;

/* Task i holds lock i and asks for lock i + 1. */
typedef struct {
    lock_kind kind;
    unsigned count;
    tn_mutex mutex[TASKS_MAX];
    tn_rwlock rwlock[TASKS_MAX];
    atomic_uint holding;
    atomic_uint turn;
    tn_task *tasks[TASKS_MAX];
} ring;

static int ring_lock(ring *r, unsigned i)
{
    return r->kind == MUTEX ? tn_mutex_lock(&r->mutex[i]) : tn_rwlock_write(&r->rwlock[i]);
}

static void ring_unlock(ring *r, unsigned i)
{
    if (r->kind == MUTEX)
        tn_mutex_unlock(&r->mutex[i]);
    else
        tn_rwlock_write_unlock(&r->rwlock[i]);
}

static void *ring_member(void *arg)
{
    ring *r = arg;
    unsigned i = atomic_fetch_add(&r->turn, 1);
    char name[24];
    int rc;

    (void)snprintf(name, sizeof name, "member-%u", i);
    tn_task_set_name(name);
    tn_task_note("asks for the next lock");
    tt_check_eq(ring_lock(r, i), 0);
    atomic_fetch_add(&r->holding, 1);
    while (atomic_load(&r->holding) < r->count)
        tn_yield();
    rc = ring_lock(r, (i + 1) % r->count);
    if (rc == 0)
        ring_unlock(r, (i + 1) % r->count);
    ring_unlock(r, i);
    return (void *)(intptr_t)rc;
}

static void ring_start(ring *r, tn_runtime *runtime, lock_kind kind, unsigned count)
{
    *r = (ring){.kind = kind, .count = count};
    for (unsigned i = 0; i < count; i++)
        r->tasks[i] = tt_spawn_on(runtime, ring_member, r);
}

static void ring_cancel(ring *r)
{
    unsigned cancelled = 0;

    tn_cancel(r->tasks[0]);
    for (unsigned i = 0; i < r->count; i++)
        cancelled += tt_join(r->tasks[i]) != NULL;
    cr_assert_eq(cancelled, 1, "one cancelled wait breaks the cycle");
}

static void *identity(void *arg)
{
    return arg;
}

/* The cycle is reported with names, notes and places, while other tasks run; a second one too, and neither again. */
static void expect_reports(lock_kind kind, unsigned count)
{
    static stand s;
    static ring first;
    static ring second;
    char headline[64];

    stand_init(&s, true);
    ring_start(&first, s.runtime, kind, count);
    wait_for_lines(&s.lines, "cycle of waits", 1);
    cr_assert_eq(tt_join(tt_spawn_on(s.runtime, identity, &s)), &s, "other tasks run");
    (void)snprintf(headline, sizeof headline, "cycle of waits: %u task", count);
    wait_for_lines(&s.lines, headline, 1);
    wait_for_lines(&s.lines, kind == MUTEX ? "waits for mutex, for " : "waits for read-write lock, for ", 1);
    wait_for_lines(&s.lines, "note: asks for the next lock", 1);
    wait_for_lines(&s.lines, "ring_member", 1);
    for (unsigned i = 0; i < count; i++) {
        char name[40];
        (void)snprintf(name, sizeof name, "\"member-%u\" (fiber)", i);
        wait_for_lines(&s.lines, name, 1);
    }
    ring_start(&second, s.runtime, kind, count);
    wait_for_lines(&s.lines, headline, 2);
    cr_assert_eq(count_of(&s.lines, "cycle of waits:"), 2, "each once:\n%s", s.lines.text);
    ring_cancel(&first);
    ring_cancel(&second);
    tt_runtime_destroy(s.runtime);
}

Test(wait_cycles, two_mutexes)
{
    expect_reports(MUTEX, 2);
}

Test(wait_cycles, three_mutexes)
{
    expect_reports(MUTEX, 3);
}

Test(wait_cycles, writers)
{
    expect_reports(WRITER, 2);
}

Test(wait_cycles, a_mutex_locked_twice)
{
    expect_reports(MUTEX, 1);
}

/* --- A join ----------------------------------------------------------------------------------------------------------------- */

static void *lock_and_unlock(void *arg)
{
    int rc = tn_mutex_lock(arg);

    if (rc == 0)
        tn_mutex_unlock(arg);
    return NULL;
}

static void *join_inside_lock(void *arg)
{
    tn_mutex *mutex = arg;
    tn_task *child;
    int rc;

    tt_check_eq(tn_mutex_lock(mutex), 0);
    child = tt_spawn(lock_and_unlock, mutex);
    rc = tn_join(child, NULL);
    tn_mutex_unlock(mutex);
    if (rc != 0)
        tn_task_release(child);
    return (void *)(intptr_t)rc;
}

Test(wait_cycles, mutex_and_join)
{
    static stand s;
    tn_mutex mutex = TN_MUTEX_INIT;
    tn_task *task;

    stand_init(&s, true);
    task = tt_spawn_on(s.runtime, join_inside_lock, &mutex);
    wait_for_lines(&s.lines, "cycle of waits", 1);
    wait_for_lines(&s.lines, "cycle of waits: 2 tasks", 1);
    wait_for_lines(&s.lines, "waits for join, for ", 1);
    wait_for_lines(&s.lines, "waits for mutex, for ", 1);
    wait_for_lines(&s.lines, "    the task that it joins is task ", 1);
    wait_for_lines(&s.lines, "    the lock is held by task ", 1);
    tn_cancel(task);
    cr_assert_eq((intptr_t)tt_join(task), TN_ECANCELED);
    tt_runtime_destroy(s.runtime);
}

/* --- A cycle that closes after a long run ----------------------------------------------------------------------------------- */

typedef struct {
    tn_mutex mutex[2];
    atomic_bool held;
} long_run;

static void *lock_both(void *arg)
{
    long_run *l = arg;
    int rc;

    tt_check_eq(tn_mutex_lock(&l->mutex[0]), 0);
    while (!atomic_load(&l->held))
        (void)tn_yield();
    rc = tn_mutex_lock(&l->mutex[1]);
    if (rc == 0)
        tn_mutex_unlock(&l->mutex[1]);
    tn_mutex_unlock(&l->mutex[0]);
    return (void *)(intptr_t)rc;
}

/* Computes for so long that several checks pass. */
static void *lock_both_slowly(void *arg)
{
    long_run *l = arg;
    uint64_t until_ns = tn_now() + 900 * TN_MS;

    tt_check_eq(tn_mutex_lock(&l->mutex[1]), 0);
    atomic_store(&l->held, true);
    while (tn_now() < until_ns)
        ;
    tt_check_eq(tn_mutex_lock(&l->mutex[0]), 0);
    tn_mutex_unlock(&l->mutex[0]);
    tn_mutex_unlock(&l->mutex[1]);
    return NULL;
}

/* No task begins a run after the cycle has closed. */
Test(wait_cycles, closed_by_a_long_run)
{
    static stand s;
    static long_run l;
    tn_task *tasks[2];

    stand_init(&s, true);
    tasks[0] = tt_spawn_on(s.runtime, lock_both, &l);
    tasks[1] = tt_spawn_on(s.runtime, lock_both_slowly, &l);
    wait_for_lines(&s.lines, "cycle of waits: 2 tasks", 1);
    tn_cancel(tasks[0]);
    cr_assert_eq((intptr_t)tt_join(tasks[0]), TN_ECANCELED);
    tt_join(tasks[1]);
    tt_runtime_destroy(s.runtime);
}

/* --- No cycle --------------------------------------------------------------------------------------------------------------- */

enum { LOCKS = 4, CROWD = 16 };

typedef struct {
    tn_mutex mutex[LOCKS];
    tn_rwlock rwlock;
    uint64_t until_ns;
    atomic_ulong rounds;
} crowd;

static void *lock_first(void *arg)
{
    crowd *c = arg;

    tt_check_eq(tn_mutex_lock(&c->mutex[0]), 0);
    (void)tn_yield();
    tn_mutex_unlock(&c->mutex[0]);
    return NULL;
}

/* Takes two locks in order, and writes. */
static void lock_in_order(crowd *c, unsigned low, uint64_t patience_ns)
{
    TN_SCOPE(patience, tn_now() + patience_ns);

    if (tn_mutex_lock(&c->mutex[low]) != 0)
        return;
    if (tn_mutex_lock(&c->mutex[low + 1]) == 0) {
        (void)tn_yield();
        if (tn_rwlock_write(&c->rwlock) == 0)
            tn_rwlock_write_unlock(&c->rwlock);
        tn_mutex_unlock(&c->mutex[low + 1]);
    }
    tn_mutex_unlock(&c->mutex[low]);
}

/* There are long chains of waits, some of which end by a deadline, and never a cycle. */
static void *crowd_member(void *arg)
{
    crowd *c = arg;

    for (unsigned at = 1; tn_now() < c->until_ns; at = at * 5 + 1) {
        lock_in_order(c, at % (LOCKS - 1), at % 3 == 0 ? TN_US : TN_S);
        if (at % 7 == 0)
            tt_join(tt_spawn(lock_first, c));
        atomic_fetch_add(&c->rounds, 1);
    }
    return NULL;
}

Test(wait_cycles, none_in_a_crowd)
{
    static stand s;
    static crowd c;
    tn_task *tasks[CROWD];

    stand_init(&s, true);
    c.until_ns = tn_now() + 1100 * TN_MS;
    for (int i = 0; i < CROWD; i++)
        tasks[i] = tt_spawn_on(s.runtime, crowd_member, &c);
    for (int i = 0; i < CROWD; i++)
        tt_join(tasks[i]);
    cr_assert(atomic_load(&c.rounds) > CROWD);
    cr_assert_eq(count_of(&s.lines, "cycle of waits"), 0, "%s", s.lines.text);
    tt_runtime_destroy(s.runtime);
}

/* --- A lock that is handed over --------------------------------------------------------------------------------------------- */

typedef struct {
    tn_mutex handed;
    tn_mutex other;
    atomic_int step;
} hand_over;

static void await_step(hand_over *h, int step)
{
    while (atomic_load(&h->step) < step)
        (void)tn_yield();
}

/* Long enough for several checks. */
static void *keep_worker(void *arg)
{
    uint64_t until_ns = tn_now() + 900 * TN_MS;

    while (tn_now() < until_ns)
        ;
    return arg;
}

static void *giver(void *arg)
{
    hand_over *h = arg;
    tn_task *hog;

    await_step(h, 1);
    tt_check_eq(tn_mutex_lock(&h->handed), 0);
    atomic_store(&h->step, 2);
    await_step(h, 4);
    tn_mutex_unlock(&h->handed);
    hog = tt_spawn(keep_worker, NULL); /* it runs before the receiver */
    tt_check_eq(tn_mutex_lock(&h->other), 0);
    tn_mutex_unlock(&h->other);
    tt_join(hog);
    return NULL;
}

static void *receiver(void *arg)
{
    hand_over *h = arg;

    await_step(h, 2);
    atomic_store(&h->step, 3);
    return lock_and_unlock(&h->handed);
}

static void *next_in_line(void *arg)
{
    hand_over *h = arg;

    tt_check_eq(tn_mutex_lock(&h->other), 0);
    atomic_store(&h->step, 1);
    await_step(h, 3);
    atomic_store(&h->step, 4);
    (void)lock_and_unlock(&h->handed);
    tn_mutex_unlock(&h->other);
    return NULL;
}

/* The receiver has been granted the lock and has not run for long. Its last holder waits for the task that waits behind the
 * receiver: no cycle. */
Test(wait_cycles, none_while_the_new_holder_has_not_run)
{
    static stand s;
    static hand_over h;
    tn_options options = tt_options();
    tn_task *tasks[3];

    options.workers = 1;
    options.force_migration = false;
    options.stuck_after_ns = UINT64_MAX;
    options.report_wait_cycles = true;
    stand_create(&s, options);
    tasks[0] = tt_spawn_on(s.runtime, giver, &h);
    tasks[1] = tt_spawn_on(s.runtime, receiver, &h);
    tasks[2] = tt_spawn_on(s.runtime, next_in_line, &h);
    for (int i = 0; i < 3; i++)
        tt_join(tasks[i]);
    cr_assert_eq(count_of(&s.lines, "cycle of waits"), 0, "%s", s.lines.text);
    tt_runtime_destroy(s.runtime);
}

/* --- Off -------------------------------------------------------------------------------------------------------------------- */

Test(wait_cycles, off_records_and_reports_nothing)
{
    static stand s;
    static ring r;

    stand_init(&s, false);
    cr_assert(!tni_holders_are_recorded());
    cr_assert_null(s.runtime->wait_graph);
    ring_start(&r, s.runtime, MUTEX, 2);
    tt_gate_wait(&s.lines.deadlocks, 1);
    cr_assert_eq(count_of(&s.lines, "cycle of waits"), 0);
    ring_cancel(&r);
    tt_runtime_destroy(s.runtime);
}

/* A mutex that was taken before the mode began has no recorded holder, and works. */
Test(wait_cycles, switched_on_while_locks_are_held)
{
    static stand off;
    static stand on;
    static ring r;
    tn_mutex mutex = TN_MUTEX_INIT;

    stand_init(&off, false);
    cr_assert_eq(tn_mutex_try_lock(&mutex), 0);
    stand_init(&on, true);
    tn_mutex_unlock(&mutex);
    cr_assert_eq(tn_mutex_try_lock(&mutex), 0);
    cr_assert_eq(tn_mutex_try_lock(&mutex), TN_EAGAIN);
    tn_mutex_unlock(&mutex);
    tn_mutex_fini(&mutex);
    ring_start(&r, off.runtime, MUTEX, 2);
    tt_gate_wait(&off.lines.deadlocks, 1);
    cr_assert_eq(count_of(&off.lines, "cycle of waits"), 0, "a runtime without the option");
    cr_assert_eq(count_of(&on.lines, "cycle of waits"), 0, "nor another one for it");
    ring_cancel(&r);
    tt_runtime_destroy(off.runtime);
    tt_runtime_destroy(on.runtime);
}

/* --- The end ---------------------------------------------------------------------------------------------------------------- */

static void *lock_for_good(void *arg)
{
    ring *r = arg;
    unsigned i = atomic_fetch_add(&r->turn, 1);

    tn_mutex_lock_always(&r->mutex[i]);
    atomic_fetch_add(&r->holding, 1);
    while (atomic_load(&r->holding) < r->count)
        tn_yield();
    tn_mutex_lock_always(&r->mutex[(i + 1) % r->count]);
    return NULL;
}

/* The runtime is destroyed at any moment of a cycle: before it is found, while it is reported, after that. */
Test(wait_cycles, destroyed_while_blocked)
{
    for (unsigned i = 0; i < 4; i++) {
        static stand s;
        static ring r;
        stand_init(&s, true);
        r = (ring){.count = 2};
        for (unsigned t = 0; t < 2; t++) {
            r.tasks[t] = tt_spawn_on(s.runtime, lock_for_good, &r);
            tn_task_release(r.tasks[t]);
        }
        if (i == 0)
            wait_for_lines(&s.lines, "cycle of waits", 1);
        cr_assert_eq(tn_runtime_destroy(s.runtime, TN_SHUTDOWN_CANCEL, i * 180 * TN_MS), 2);
    }
}
