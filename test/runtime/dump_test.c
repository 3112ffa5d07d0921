/* SPDX-License-Identifier: MIT */
/* Dumps: their text, while tasks run and while all are stuck. Deadlocks: found, with no false reports. */
/* ctest: timeout=120 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <tn/async.h>
#include <tn/combine.h>
#include <tn/net.h>
#include <tn/scope.h>

#include "sched/runtime.h"
#include "support/manual.h"
#include "support/runtime.h"

enum { HOUR_S = 3600 };

/* --- A text to which lines are added ---------------------------------------------------------------------------------------- */

typedef struct {
    char text[16384];
    size_t length;
    unsigned lines;
} page;

static void add_line(void *ctx, const char *line)
{
    page *p = ctx;
    size_t length = strlen(line);

    tt_check(strchr(line, '\n') == NULL);
    p->lines++;
    if (p->length + length + 2 > sizeof p->text)
        return;
    memcpy(p->text + p->length, line, length);
    p->length += length;
    p->text[p->length++] = '\n';
    p->text[p->length] = '\0';
}

static unsigned count_of(const char *text, const char *what)
{
    unsigned count = 0;

    for (const char *at = strstr(text, what); at != NULL; at = strstr(at + 1, what))
        count++;
    return count;
}

static tn_task *spawn_named(tn_runtime *runtime, const char *name, tn_entry_fn entry, void *arg)
{
    tn_spawn_options options = tn_spawn_options_default();
    tn_task *task;

    options.name = name;
    tt_check(tn_spawn_on(runtime, &options, &task, entry, arg) == 0);
    return task;
}

/* --- The text of a dump ----------------------------------------------------------------------------------------------------- */

static void *sleep_deep(void *arg)
{
    (void)tn_sleep(HOUR_S * TN_S);
    return arg;
}

static void *join_it(void *arg)
{
    TN_SHIELD(shield, TN_NEVER);

    tt_check(tn_join(arg, NULL) == 0);
    return arg;
}

static void *await_it(void *arg)
{
    (void)tn_await(&((tt_manual *)arg)->base);
    return NULL;
}

typedef struct {
    tn_runtime *runtime;
    const char *what[4];
    page page;
} expectation;

static bool says_all(void *arg)
{
    expectation *e = arg;

    e->page.length = 0;
    tn_dump(e->runtime, add_line, &e->page);
    for (int i = 0; i < 4; i++)
        if (e->what[i] != NULL && strstr(e->page.text, e->what[i]) == NULL)
            return false;
    return true;
}

Test(dump, says_what_each_task_waits_for)
{
    tn_runtime *runtime = tt_runtime_create();
    static expectation e = {.what = {"\"sleeper\" (fiber): waits for sleep, for ", "\"joiner\" (fiber): waits for join",
                                     "\"future\" (stackless): waits for sleep", "\"manual\" (fiber): waits for "}};
    tn_spawn_options options = tn_spawn_options_default();
    tn_sleep_future sleep;
    tt_manual manual;
    tn_task *tasks[4];

    e.runtime = runtime;
    tasks[0] = spawn_named(runtime, "sleeper", sleep_deep, NULL);
    tasks[1] = spawn_named(runtime, "joiner", join_it, tn_task_retain(tasks[0]));
    tn_sleep_init(&sleep, tn_now() + HOUR_S * TN_S);
    options.name = "future";
    cr_assert_eq(tn_spawn_future(runtime, &options, &tasks[2], &sleep.base), 0);
    tt_manual_init(&manual);
    tasks[3] = spawn_named(runtime, "manual", await_it, &manual);
    cr_assert(tt_wait_until(says_all, &e, 30 * TN_S), "%s", e.page.text);
    cr_assert_eq(count_of(e.page.text, "spawned at"), 4);
    cr_assert_eq(count_of(e.page.text, "entry "), 3);
    cr_assert_eq(count_of(e.page.text, "entry sleep_deep+0x0 ("), 1, "%s", e.page.text); /* a static function */
    cr_assert_eq(count_of(e.page.text, "entry await_it+0x0 ("), 1, "%s", e.page.text);
    cr_assert(count_of(e.page.text, "    #1 ") >= 3, "%s", e.page.text); /* at least two frames per fiber */
    cr_assert(strstr(e.page.text, "4 tasks") != NULL);
    for (int i = 0; i < 4; i++)
        tn_cancel(tasks[i]);
    for (int i = 0; i < 4; i++)
        tn_task_release(tasks[i]);
    tt_runtime_destroy(runtime);
}

Test(dump, names_the_tasks_that_wait_for_a_stack)
{
    static expectation e = {.what = {"\"sleeper\" (fiber): waits for sleep, for ", "\"waiter\" (fiber): waits for a stack"}};
    tn_options options = tt_options();
    tn_task *tasks[2];

    options.stacks_max = 1;
    cr_assert_eq(tn_runtime_create(&e.runtime, &options), 0);
    tasks[0] = spawn_named(e.runtime, "sleeper", sleep_deep, NULL);
    cr_assert(tt_wait_until(says_all, &(expectation){.runtime = e.runtime, .what = {e.what[0]}}, 30 * TN_S));
    tasks[1] = spawn_named(e.runtime, "waiter", sleep_deep, NULL);
    cr_assert(tt_wait_until(says_all, &e, 30 * TN_S), "%s", e.page.text);
    tn_cancel(tasks[0]);
    e.what[0] = NULL;
    e.what[1] = "\"waiter\" (fiber): waits for sleep, for ";
    cr_assert(tt_wait_until(says_all, &e, 30 * TN_S), "%s", e.page.text);
    tn_cancel(tasks[1]);
    for (int i = 0; i < 2; i++)
        tn_task_release(tasks[i]);
    tt_runtime_destroy(e.runtime);
}

/* The test blocks every worker with a task. */
static void *block_worker(void *arg)
{
    tt_gate *gates = arg;

    tt_gate_open(&gates[0]);
    tt_gate_wait(&gates[1], 1);
    return NULL;
}

Test(dump, works_while_all_workers_are_stuck)
{
    tn_runtime *runtime = tt_runtime_create();
    unsigned workers = tn_runtime_workers(runtime);
    tt_gate gates[2] = {TT_GATE_INIT, TT_GATE_INIT};
    static expectation e = {.what = {"\"sleeper\" (fiber): waits for sleep", NULL, NULL, NULL}};
    tn_task *sleeper = spawn_named(runtime, "sleeper", sleep_deep, NULL);

    e.runtime = runtime;
    cr_assert(tt_wait_until(says_all, &e, 30 * TN_S));
    for (unsigned i = 0; i < workers; i++)
        cr_assert_eq(tn_spawn_on(runtime, NULL, NULL, block_worker, gates), 0);
    tt_gate_wait(&gates[0], workers);
    e.what[1] = "runs, or is about to";
    cr_assert(says_all(&e), "%s", e.page.text);
    cr_assert_eq(count_of(e.page.text, "runs, or is about to"), workers);
    tt_gate_open(&gates[1]);
    tn_cancel(sleeper);
    tn_task_release(sleeper);
    tt_runtime_destroy(runtime);
}

/* The function that gets the lines may wait for the very task of its line: the dump has released the task by then. */
typedef struct {
    tt_manual event;
    tn_task *task;
    bool woken;
    bool ended;
} reader;

static bool task_has_ended(void *task)
{
    return tn_task_is_finished(task);
}

static void wake_who_is_named(void *ctx, const char *line)
{
    reader *r = ctx;

    if (strstr(line, "\"named\"") == NULL || r->woken)
        return;
    r->woken = true;
    tt_manual_ready(&r->event, 0);
    r->ended = tt_wait_until(task_has_ended, r->task, 10 * TN_S);
}

Test(dump, its_reader_may_wait_for_a_task)
{
    static reader r;
    tn_runtime *runtime = tt_runtime_create();

    tt_manual_init(&r.event);
    r.task = spawn_named(runtime, "named", await_it, &r.event);
    cr_assert(tt_wait_until(tt_manual_was_polled, &r.event, 30 * TN_S));
    tt_block_thread(20 * TN_MS); /* usually the task is suspended by then */
    tn_dump(runtime, wake_who_is_named, &r);
    cr_assert(r.woken && r.ended);
    tn_task_release(r.task);
    tt_runtime_destroy(runtime);
}

/* The dump borrows tasks again and again. No wake and no end of a task may be lost. */
typedef struct {
    tn_runtime *runtime;
    atomic_bool stop;
    page page;
} dumper;

static void *dump_on_and_on(void *arg)
{
    dumper *d = arg;

    do {
        d->page.length = 0;
        tn_dump(d->runtime, add_line, &d->page);
    } while (!atomic_load(&d->stop));
    return NULL;
}

static void *nap(void *arg)
{
    for (unsigned long i = tt_scaled(200); i > 0; i--)
        tt_check(tn_sleep(i % 3 == 0 ? TN_MS : 1) == 0);
    return arg;
}

static void *nap_together(void *arg)
{
    tn_task *tasks[16];

    for (int i = 0; i < 16; i++)
        tasks[i] = tt_spawn(nap, NULL);
    for (int i = 0; i < 16; i++)
        (void)tt_join(tasks[i]);
    return arg;
}

Test(dump, against_tasks_that_run)
{
    static dumper d;
    pthread_t thread;

    d.runtime = tt_runtime_create();
    thread = tt_thread_start(dump_on_and_on, &d);
    cr_assert_eq(tn_block_on(d.runtime, nap_together, NULL, NULL), 0);
    atomic_store(&d.stop, true);
    tt_thread_join(thread);
    cr_assert(d.page.lines > 0);
    tt_runtime_destroy(d.runtime);
}

/* --- Deadlocks -------------------------------------------------------------------------------------------------------------- */

typedef struct {
    page page;
    tt_gate reported;
    atomic_uint times;
} verdict;

static void on_deadlock(void *ctx, tn_runtime *runtime)
{
    verdict *v = ctx;

    if (atomic_fetch_add(&v->times, 1) == 0)
        tn_dump(runtime, add_line, &v->page);
    tt_gate_open(&v->reported);
}

static tn_runtime *create_watched(verdict *v)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    options.on_deadlock = on_deadlock;
    options.deadlock_ctx = v;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    return runtime;
}

/* Workers that wake only to trim memory end no deadlock. */
Test(deadlock, is_reported_once_while_memory_is_trimmed)
{
    static verdict v = {.reported = TT_GATE_INIT};
    tn_options options = tt_options();
    tn_runtime *runtime;
    tt_manual never;
    tn_task *task;

    options.on_deadlock = on_deadlock;
    options.deadlock_ctx = &v;
    options.trim_interval_ns = 200 * TN_MS;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    tt_manual_init(&never);
    task = spawn_named(runtime, "waits", await_it, &never);
    tt_gate_wait(&v.reported, 1);
    tt_block_thread(800 * TN_MS);
    cr_assert_eq(atomic_load(&v.times), 1);
    tn_cancel(task);
    tn_task_release(task);
    tt_runtime_destroy(runtime);
}

Test(deadlock, tasks_that_wait_for_each_other_are_named)
{
    static verdict v = {.reported = TT_GATE_INIT};
    tn_runtime *runtime = create_watched(&v);
    tt_manual never[2];
    tn_task *tasks[2];

    for (int i = 0; i < 2; i++) {
        tt_manual_init(&never[i]);
        tasks[i] = spawn_named(runtime, i == 0 ? "Tweedledum" : "Tweedledee", await_it, &never[i]);
    }
    tt_gate_wait(&v.reported, 1);
    cr_assert(strstr(v.page.text, "\"Tweedledum\" (fiber): waits for") != NULL, "%s", v.page.text);
    cr_assert(strstr(v.page.text, "\"Tweedledee\" (fiber): waits for") != NULL, "%s", v.page.text);
    for (int i = 0; i < 2; i++) {
        tn_cancel(tasks[i]);
        tn_task_release(tasks[i]);
    }
    tt_runtime_destroy(runtime);
}

/* Cases without a deadlock: a timer, a socket, an async handle, a hold, no task. When the reason goes away, it is found. */
typedef struct {
    verdict verdict;
    tn_runtime *runtime;
    tt_manual never;
} suspect;

static void expect_none_then_one(suspect *s, void (*prepare)(suspect *), void (*clear)(suspect *))
{
    tn_task *task;

    s->verdict = (verdict){.reported = TT_GATE_INIT};
    s->runtime = create_watched(&s->verdict);
    tt_manual_init(&s->never);
    prepare(s);
    task = spawn_named(s->runtime, "waits", await_it, &s->never);
    /* The monitor checks after 50 ms. If it is later than 200 ms, this checks nothing, but does not fail. */
    tt_block_thread(200 * TN_MS);
    cr_assert_eq(atomic_load(&s->verdict.times), 0);
    clear(s);
    tt_manual_wake(&s->never); /* a task runs, so the monitor checks again */
    tt_gate_wait(&s->verdict.reported, 1);
    tn_cancel(task);
    tn_task_release(task);
    tt_runtime_destroy(s->runtime);
}

static void hold(suspect *s)
{
    tn_runtime_hold(s->runtime);
}

static void unhold(suspect *s)
{
    tn_runtime_unhold(s->runtime);
}

static tn_async *the_signal;

static void open_signal(suspect *s)
{
    cr_assert_eq(tn_async_open(&the_signal, s->runtime), 0);
}

static void close_signal(suspect *s)
{
    (void)s;
    tn_async_close(the_signal);
}

static tn_task *the_sleeper;

static void start_sleeper(suspect *s)
{
    the_sleeper = tt_spawn_on(s->runtime, sleep_deep, NULL);
}

static void end_sleeper(suspect *s)
{
    (void)s;
    tn_cancel(the_sleeper);
    (void)tt_join(the_sleeper);
}

Test(deadlock, who_expects_something_is_not_reported)
{
    static suspect s;

    expect_none_then_one(&s, hold, unhold);
    expect_none_then_one(&s, open_signal, close_signal);
    expect_none_then_one(&s, start_sleeper, end_sleeper);
}

/* The task has lost its core, and all cores are parked. */
static void *block_without_a_core(void *arg)
{
    tn_block_begin(TN_BLOCK_EAGER);
    tt_gate_wait(arg, 1);
    tn_block_end();
    return arg;
}

Test(deadlock, a_task_that_runs_without_a_core_is_waited_for)
{
    static verdict v = {.reported = TT_GATE_INIT};
    tn_runtime *runtime = create_watched(&v);
    tt_gate gate = TT_GATE_INIT;
    tn_task *blocked = tt_spawn_on(runtime, block_without_a_core, &gate);
    tt_manual never;
    tn_task *waits;

    tt_manual_init(&never);
    waits = spawn_named(runtime, "waits", await_it, &never);
    tt_block_thread(200 * TN_MS); /* the monitor checks after 50 ms */
    cr_assert_eq(atomic_load(&v.times), 0);
    tt_gate_open(&gate);
    tt_gate_wait(&v.reported, 1); /* meanwhile no worker with a core has run a task */
    (void)tt_join(blocked);
    tn_cancel(waits);
    tn_task_release(waits);
    tt_runtime_destroy(runtime);
}

Test(deadlock, an_empty_runtime_is_not_reported)
{
    static verdict v = {.reported = TT_GATE_INIT};
    tn_runtime *runtime = create_watched(&v);

    (void)tt_join(tt_spawn_on(runtime, nap, NULL));
    tt_block_thread(150 * TN_MS);
    cr_assert_eq(atomic_load(&v.times), 0);
    tt_runtime_destroy(runtime);
}

/* A spawn from outside has counted its task and is about to queue it. The test uses internals to stop the spawn there. */
Test(deadlock, a_task_on_its_way_in_is_waited_for)
{
    static verdict v = {.reported = TT_GATE_INIT};
    tn_runtime *runtime = create_watched(&v);

    tt_block_thread(100 * TN_MS); /* usually the monitor sleeps by then */
    tn_runtime_hold(runtime);
    cr_assert(tni_injector_begin(&runtime->injector, false));
    (void)tni_a64_fetch_add(&runtime->external.spawned, 1, TNI_RELAXED);
    tn_runtime_unhold(runtime); /* makes the monitor check again */
    tt_block_thread(200 * TN_MS);
    cr_assert_eq(atomic_load(&v.times), 0);
    (void)tni_a64_fetch_sub(&runtime->external.spawned, 1, TNI_RELAXED);
    tni_os_mutex_unlock(&runtime->injector.lock);
    tt_runtime_destroy(runtime);
}

/* tn_run writes the report to the log. */
static page logged;
static tt_gate logged_dump = TT_GATE_INIT;

static void note_log(void *ctx, tn_log_level level, const char *message)
{
    (void)ctx;
    if (level != TN_LOG_WARNING)
        return;
    add_line(&logged, message);
    if (strstr(message, "waits for") != NULL)
        tt_gate_open(&logged_dump);
}

static tt_manual lonely[2];

/* A plain thread that wakes the task twice, without a hold on the runtime. */
static void *rescue(void *arg)
{
    tt_gate_wait(&logged_dump, 1);
    tt_manual_ready(&lonely[0], 0);
    tt_block_thread(200 * TN_MS);
    tt_manual_ready(&lonely[1], 0);
    return arg;
}

static void *await_both(void *arg)
{
    tt_check(tn_await(&lonely[0].base) == 0 && tn_await(&lonely[1].base) == 0);
    return arg;
}

Test(deadlock, tn_run_writes_it_to_the_log_once)
{
    tn_options options = tt_options();
    pthread_t thread;

    tt_manual_init(&lonely[0]);
    tt_manual_init(&lonely[1]);
    options.log = note_log;
    thread = tt_thread_start(rescue, NULL);
    cr_assert_eq(tn_run(await_both, NULL, &options), 0);
    tt_thread_join(thread);
    cr_assert(strstr(logged.text, "deadlock: ") == logged.text, "%s", logged.text);
    cr_assert_eq(count_of(logged.text, "deadlock: "), 1);
}

/* Waits until the slot has a task, and joins it. The slot's handle belongs to the joiner. */
static void *join_other(void *arg)
{
    _Atomic(tn_task *) *slot = arg;
    tn_task *other;

    while ((other = atomic_load(slot)) == NULL)
        tt_check(tn_yield() == 0);
    if (tn_join(other, NULL) != 0)
        tn_task_release(other);
    return NULL;
}

Test(deadlock, a_ring_of_joins)
{
    static verdict v = {.reported = TT_GATE_INIT};
    tn_runtime *runtime = create_watched(&v);
    static _Atomic(tn_task *) ring[3];
    tn_task *mine[3];

    for (int i = 0; i < 3; i++) {
        mine[i] = tt_spawn_on(runtime, join_other, &ring[(i + 1) % 3]);
        atomic_store(&ring[i], tn_task_retain(mine[i]));
    }
    tt_gate_wait(&v.reported, 1);
    cr_assert_eq(count_of(v.page.text, "waits for join"), 3);
    for (int i = 0; i < 3; i++)
        tn_cancel(mine[i]);
    for (int i = 0; i < 3; i++)
        tn_task_release(mine[i]);
    tt_runtime_destroy(runtime);
}
