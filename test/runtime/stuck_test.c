/* SPDX-License-Identifier: MIT */
/* Tasks that block their threads or compute without end: other tasks continue, on replacement threads. */
/* ctest: timeout=120 */
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <tn.h>

#include "sched/runtime.h"
#include "support/runtime.h"

#define LIMIT_NS (60 * TN_S)

static uint64_t cores_handed_over(const tn_runtime *runtime)
{
    tn_counters counters;
    uint64_t taken = 0;

    for (unsigned i = 0; i < tn_runtime_workers(runtime); i++) {
        tt_check(tn_runtime_counters(runtime, i, &counters) == 0);
        taken += counters.cores_handed_over;
    }
    return taken;
}

static tn_runtime *create(const tn_options *options)
{
    tn_runtime *runtime;

    cr_assert_eq(tn_runtime_create(&runtime, options), 0);
    return runtime;
}

/* Forced migration sends each task to one worker, where it would wait for the task that keeps that worker. */
static tn_options options_here(void)
{
    tn_options options = tt_options();

    options.force_migration = false;
    return options;
}

/* --- Every worker is kept until other tasks have run ---------------------------------------------------------------------- */

typedef struct {
    atomic_uint inside; /* tasks that keep their thread */
    atomic_bool over;   /* the tasks stop when it is set */
    atomic_ulong ticks;
    void (*keep)(void);
    tn_entry_fn keep_entry; /* entry function that declares the blocking */
    uint64_t limit_ns;
} stand;

static void sleep_some(void)
{
    tt_block_thread(TN_MS);
}

static void compute_some(void)
{
    tt_burn(100 * TN_US);
}

static void *keep_thread(void *arg)
{
    stand *s = arg;

    atomic_fetch_add(&s->inside, 1);
    while (!atomic_load(&s->over)) {
        tt_check(tn_now() < s->limit_ns);
        s->keep();
    }
    return NULL;
}

static void *tick(void *arg)
{
    stand *s = arg;

    while (!atomic_load(&s->over)) {
        atomic_fetch_add(&s->ticks, 1);
        tt_check(tn_sleep(TN_MS) == 0);
    }
    return NULL;
}

static bool enough_ticks(void *arg)
{
    stand *s = arg;

    return atomic_load(&s->ticks) >= 20;
}

/* Without a hand-over there would be no ticks: the workers are kept until there are enough. */
static void others_go_on(void (*keep)(void), unsigned workers, unsigned keepers)
{
    tn_options options = options_here();
    stand s = {.keep = keep, .limit_ns = tn_now() + LIMIT_NS};
    tn_task *tasks[64];
    tn_task *ticker;
    tn_runtime *runtime;

    options.workers = workers != 0 ? workers : options.workers;
    runtime = create(&options);
    for (unsigned i = 0; i < keepers; i++)
        tasks[i] = tt_spawn_on(runtime, keep_thread, &s);
    while (atomic_load(&s.inside) < keepers)
        tn_yield();
    ticker = tt_spawn_on(runtime, tick, &s);
    cr_assert(tt_wait_until(enough_ticks, &s, LIMIT_NS / 2));
    cr_assert_geq(cores_handed_over(runtime), 1);
    atomic_store(&s.over, true);
    for (unsigned i = 0; i < keepers; i++)
        tt_join(tasks[i]);
    tt_join(ticker);
    tt_runtime_destroy(runtime);
}

Test(stuck, others_go_on_beside_sleepers)
{
    others_go_on(sleep_some, 0, 32);
}

Test(stuck, others_go_on_beside_computers)
{
    others_go_on(compute_some, 0, 20);
}

Test(stuck, others_go_on_with_one_worker)
{
    others_go_on(sleep_some, 1, 1);
    others_go_on(sleep_some, 1, 8);
}

/* --- Sockets of a stuck worker's loop -------------------------------------------------------------------------------------- */

static void *echo(void *arg)
{
    tn_stream *stream = arg;
    char buf[16];
    ssize_t n;

    while ((n = tn_read(stream, buf, sizeof buf)) > 0)
        tt_check(tn_write_all(stream, buf, (size_t)n) == 0);
    tn_stream_close(stream);
    return NULL;
}

static void *serve_one(void *arg)
{
    tn_listener *listener = arg;
    tn_stream *stream;

    tt_check(tn_accept(listener, &stream) == 0);
    return echo(stream);
}

typedef struct {
    stand stand;
    char address[TN_ADDRESS_SIZE];
    tn_listener *listener;
} server;

/* Makes 20 round trips while every worker is kept. */
static void *talk(void *arg)
{
    server *v = arg;
    tn_stream *stream;
    char buf[16];

    tt_check(tn_tcp_connect(NULL, &stream, v->address) == 0);
    for (int i = 0; i < 20; i++) {
        tt_check(tn_write_all(stream, "ping", 4) == 0);
        for (ssize_t got = 0, n; got < 4; got += n) {
            n = tn_read(stream, buf, sizeof buf);
            tt_check(n > 0);
        }
    }
    tn_stream_close(stream);
    return NULL;
}

static void *open_and_serve(void *arg)
{
    server *v = arg;
    tn_task *session;
    tn_task *client;
    tn_task *keepers[32];

    tt_check(tn_tcp_listen(&v->listener, "127.0.0.1:0", NULL) == 0);
    tt_check(tn_listener_address(v->listener, v->address, sizeof v->address) == 0);
    session = tt_spawn(serve_one, v->listener);
    for (int i = 0; i < 32; i++)
        keepers[i] = tt_spawn(keep_thread, &v->stand);
    client = tt_spawn(talk, v);
    tt_join(client);
    atomic_store(&v->stand.over, true);
    tt_join(session);
    for (int i = 0; i < 32; i++)
        tt_join(keepers[i]);
    tn_listener_close(v->listener);
    return NULL;
}

Test(stuck, sockets_are_served)
{
    server v = {.stand = {.keep = sleep_some, .limit_ns = tn_now() + LIMIT_NS}};

    tn_options options = options_here();
    tn_runtime *runtime = create(&options);

    cr_assert_eq(tn_block_on(runtime, open_and_serve, &v, NULL), 0);
    tt_runtime_destroy(runtime);
}

/* --- Stacks in the cache of a stuck core ----------------------------------------------------------------------------------- */

enum { CACHED = 40, STACKS = 640 };

static void *sleep_long(void *arg)
{
    (void)tn_sleep(3600 * TN_S);
    return arg;
}

static void *open_late(void *arg)
{
    atomic_store((atomic_bool *)arg, true);
    return NULL;
}

/* Fills this core's stack cache and lets other tasks take all other stacks. Then it keeps its thread until a task has run for
 * which there was no stack. */
static void *keep_stacks(void *arg)
{
    uint64_t limit_ns = tn_now() + LIMIT_NS;
    atomic_bool late = false;
    tn_task *tasks[CACHED];

    for (int i = 0; i < CACHED; i++)
        tasks[i] = tt_spawn(sleep_long, NULL);
    (void)tn_sleep(TN_MS);
    for (int i = 0; i < CACHED; i++) {
        tn_cancel(tasks[i]);
        tt_join(tasks[i]);
    }
    for (int i = 0; i < STACKS - 5; i++)
        tt_check(tn_spawn(NULL, sleep_long, NULL) == 0);
    tt_check(tn_spawn(NULL, open_late, &late) == 0);
    while (!atomic_load(&late)) {
        tt_check(tn_now() < limit_ns);
        tt_block_thread(TN_MS);
    }
    return arg;
}

Test(stuck, stacks_are_given_up)
{
    tn_options options = options_here();
    tn_runtime *runtime;

    options.workers = 2;
    options.stacks_max = STACKS;
    runtime = create(&options);
    cr_assert_eq(tn_block_on(runtime, keep_stacks, NULL, NULL), 0);
    cr_assert_eq(tn_runtime_destroy(runtime, TN_SHUTDOWN_CANCEL, LIMIT_NS), 0);
}

/* --- Limits ---------------------------------------------------------------------------------------------------------------- */

static void *block_shortly(void *arg)
{
    tt_block_thread(8 * TN_MS);
    atomic_fetch_add((atomic_ulong *)arg, 1);
    return NULL;
}

static void *block_in_many(void *arg)
{
    enum { COUNT = 1000 };
    static tn_task *tasks[COUNT];
    unsigned long count = tt_scaled(COUNT);

    for (unsigned long i = 0; i < count; i++)
        tasks[i] = tt_spawn(block_shortly, arg);
    for (unsigned long i = 0; i < count; i++)
        tt_join(tasks[i]);
    tt_check(atomic_load((atomic_ulong *)arg) == count);
    return NULL;
}

Test(stuck, a_thousand_with_a_cap)
{
    tn_options options = options_here();
    atomic_ulong count = 0;
    tn_runtime *runtime;

    options.replacement_threads_max = 5;
    runtime = create(&options);
    cr_assert_eq(tn_block_on(runtime, block_in_many, &count, NULL), 0);
    cr_assert_leq(tni_a32_load(&runtime->threads, TNI_RELAXED), tn_runtime_workers(runtime) + 5);
    tt_runtime_destroy(runtime);
}

typedef struct {
    char text[4096];
    pthread_mutex_t lock;
} messages;

static void keep_message(void *ctx, tn_log_level level, const char *message)
{
    messages *m = ctx;

    (void)level;
    pthread_mutex_lock(&m->lock);
    strncat(m->text, message, sizeof m->text - strlen(m->text) - 1);
    pthread_mutex_unlock(&m->lock);
}

static unsigned times_said(messages *m, const char *text)
{
    unsigned times = 0;

    pthread_mutex_lock(&m->lock);
    for (const char *at = m->text; (at = strstr(at, text)) != NULL; at++)
        times++;
    pthread_mutex_unlock(&m->lock);
    return times;
}

static bool has_said_that_none_is_left(void *arg)
{
    return times_said(arg, "no replacement thread is left") > 0;
}

Test(stuck, the_cap_is_reported)
{
    static messages m = {.lock = PTHREAD_MUTEX_INITIALIZER};
    tn_options options = options_here();
    stand s = {.keep = sleep_some, .limit_ns = tn_now() + LIMIT_NS};
    tn_task *tasks[64];
    tn_runtime *runtime;
    unsigned count;

    options.log = keep_message;
    options.log_ctx = &m;
    options.replacement_threads_max = 1;
    runtime = create(&options);
    count = tn_runtime_workers(runtime) + 8;
    for (unsigned i = 0; i < count; i++)
        tasks[i] = tt_spawn_on(runtime, keep_thread, &s);
    cr_assert(tt_wait_until(has_said_that_none_is_left, &m, LIMIT_NS / 2));
    atomic_store(&s.over, true);
    for (unsigned i = 0; i < count; i++)
        tt_join(tasks[i]);
    tt_runtime_destroy(runtime);
}

static bool has_named_it(void *arg)
{
    return times_said(arg, "\"the culprit\"") > 0;
}

Test(stuck, it_is_reported_once)
{
    static messages m = {.lock = PTHREAD_MUTEX_INITIALIZER};
    tn_options options = options_here();
    tn_spawn_options named = tn_spawn_options_default();
    stand s = {.keep = sleep_some, .limit_ns = tn_now() + LIMIT_NS};
    tn_runtime *runtime;
    tn_task *task;

    options.log = keep_message;
    options.log_ctx = &m;
    options.report_stuck_ns = 5 * TN_MS;
    options.stuck_after_ns = UINT64_MAX;
    runtime = create(&options);
    named.name = "the culprit";
    cr_assert_eq(tn_spawn_on(runtime, &named, &task, keep_thread, &s), 0);
    cr_assert(tt_wait_until(has_named_it, &m, LIMIT_NS / 2));
    tt_block_thread(50 * TN_MS);
    atomic_store(&s.over, true);
    tt_join(task);
    cr_assert_eq(times_said(&m, "\"the culprit\""), 1);
    cr_assert_eq(cores_handed_over(runtime), 0);
    tt_runtime_destroy(runtime);
}

/* --- Pinned tasks ---------------------------------------------------------------------------------------------------------- */

static void *stay_on_thread(void *arg)
{
    stand *s = arg;
    pthread_t thread = pthread_self();

    for (int i = 0; i < 10; i++) {
        unsigned long ticks = atomic_load(&s->ticks);
        while (atomic_load(&s->ticks) < ticks + 3) { /* until other tasks have run, on any thread */
            tt_check(tn_now() < s->limit_ns);
            tt_block_thread(TN_MS);
        }
        tt_check(tn_yield() == 0);
        tt_check(pthread_equal(thread, pthread_self()));
        tt_check(tn_sleep(TN_MS) == 0);
        tt_check(pthread_equal(thread, pthread_self()));
    }
    return NULL;
}

Test(stuck, a_pinned_task_keeps_its_thread)
{
    tn_options options = options_here();
    tn_spawn_options pinned = tn_spawn_options_default();
    stand s = {.limit_ns = tn_now() + LIMIT_NS};
    tn_runtime *runtime;
    tn_task *task;
    tn_task *ticker;

    options.workers = 1;
    runtime = create(&options);
    pinned.pinned = true;
    cr_assert_eq(tn_spawn_on(runtime, &pinned, &task, stay_on_thread, &s), 0);
    ticker = tt_spawn_on(runtime, tick, &s);
    tt_join(task);
    atomic_store(&s.over, true);
    tt_join(ticker);
    tt_runtime_destroy(runtime);
}

/* --- Declared blocking ----------------------------------------------------------------------------------------------------- */

static void *keep_declared(void *arg)
{
    return tn_block_in_place(TN_BLOCK_LAZY, keep_thread, arg);
}

static void *keep_eagerly(void *arg)
{
    return tn_block_in_place(TN_BLOCK_EAGER, keep_thread, arg);
}

/* The monitor takes no core here: the hand-over is made only because the tasks declare that they block. */
static void declared(tn_entry_fn keeper)
{
    tn_options options = options_here();
    stand s = {.keep = sleep_some, .limit_ns = tn_now() + LIMIT_NS};
    tn_runtime *runtime;
    tn_task *tasks[32];
    tn_task *ticker;

    options.stuck_after_ns = UINT64_MAX;
    runtime = create(&options);
    for (unsigned i = 0; i < 32; i++)
        tasks[i] = tt_spawn_on(runtime, keeper, &s);
    ticker = tt_spawn_on(runtime, tick, &s);
    cr_assert(tt_wait_until(enough_ticks, &s, LIMIT_NS / 2));
    atomic_store(&s.over, true);
    for (unsigned i = 0; i < 32; i++)
        tt_join(tasks[i]);
    tt_join(ticker);
    tt_runtime_destroy(runtime);
}

Test(stuck, declared_lazily)
{
    declared(keep_declared);
}

Test(stuck, declared_eagerly)
{
    declared(keep_eagerly);
}

/* Tasks that have yielded are kept apart until the loop has been polled. They, too, are handed over with the core. */
static void *yield_often(void *arg)
{
    stand *s = arg;

    for (int i = 0; i < 100; i++)
        tt_check(tn_yield() == 0);
    atomic_store(&s->over, true);
    return NULL;
}

static void *yielder_and_keeper(void *arg)
{
    stand *s = arg;
    tn_task *yielder = tt_spawn(yield_often, s);
    tn_task *keeper = tt_spawn(s->keep_entry, s);

    tt_join(yielder);
    tt_join(keeper);
    return NULL;
}

Test(stuck, declared_while_others_have_yielded)
{
    tn_options options = options_here();

    options.workers = 1;
    options.stuck_after_ns = UINT64_MAX;
    for (int i = 0; i < 20; i++) {
        stand s = {.keep = sleep_some, .limit_ns = tn_now() + LIMIT_NS};
        tn_runtime *runtime = create(&options);
        s.keep_entry = i % 2 == 0 ? keep_eagerly : keep_declared;
        cr_assert_eq(tn_block_on(runtime, yielder_and_keeper, &s, NULL), 0);
        cr_assert(atomic_load(&s.over));
        tt_runtime_destroy(runtime);
    }
}

static void *nest(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++) {
        tn_block_begin(i % 3 == 0 ? TN_BLOCK_EAGER : TN_BLOCK_LAZY);
        tn_block_begin(TN_BLOCK_LAZY);
        tn_block_end();
        tn_block_end();
        if (i % 10 == 0)
            tt_check(tn_yield() == 0);
    }
    return NULL;
}

Test(stuck, declared_again_and_again)
{
    tn_block_begin(TN_BLOCK_EAGER); /* outside a worker: no effect */
    tn_block_end();
    tt_run(nest, NULL);
}

static void *suspend_while_declared(void *arg)
{
    (void)arg;
    tn_block_begin(TN_BLOCK_LAZY);
    (void)tn_sleep(TN_MS);
    return NULL;
}

static void suspend_in_child(void *arg)
{
    (void)arg;
    (void)tn_run(suspend_while_declared, NULL, NULL);
}

Test(stuck, declared_and_suspends)
{
    tt_child child = tt_fork(suspend_in_child, NULL);

    cr_assert(tt_child_aborted(&child, "between tn_block_begin and tn_block_end"), "%s", child.said);
}
