/* SPDX-License-Identifier: MIT */
/* Destroying a runtime: waiting, cancelling, giving up. What is left when destroy gives up is freed in the end. */
/* ctest: timeout=120 serial */
#include <stdatomic.h>

#include <tn/blocking.h>

#include "support/allocator.h"
#include "support/runtime.h"

static unsigned threads_before; /* threads of the test; Criterion may have one */
static bool counted;            /* before the first runtime: a thread that has ended may still be listed later */

static void *do_nothing(void *arg)
{
    return arg;
}

static tn_runtime *create_counted(tt_allocator *allocator)
{
    tn_options options = tt_options();
    tn_runtime *runtime = NULL;

    if (!counted) {
        tt_thread_join(tt_thread_start(do_nothing, NULL)); /* a sanitizer's own thread starts with the first one */
        threads_before = tt_threads();
        counted = true;
    }
    tt_allocator_init(allocator);
    options.allocator = &allocator->as_option;
    tt_check(tn_runtime_create(&runtime, &options) == 0);
    return runtime;
}

static bool all_is_freed(void *arg)
{
    tt_allocator *allocator = arg;

    return atomic_load(&allocator->blocks) == 0 && tt_threads() == threads_before;
}

/* --- Waiting and cancelling ----------------------------------------------------------------------------------------------- */

typedef struct {
    atomic_ulong alive;
    atomic_ulong ended;
    atomic_ulong cancelled;
    tt_gate gate;
    tn_runtime *runtime;
} shared;

/* clang-format off */
#define SHARED_INIT {.gate = TT_GATE_INIT}
/* clang-format on */

static void *spawn_generations(void *arg)
{
    shared *s = arg;
    unsigned long number = atomic_fetch_add(&s->alive, 1);

    if (number < 500) {
        if (tn_sleep(TN_MS / 4) == TN_ECANCELED)
            atomic_fetch_add(&s->cancelled, 1);
        tt_check(tn_spawn(NULL, spawn_generations, s) == 0);
        tt_check(tn_spawn(NULL, spawn_generations, s) == 0);
    }
    atomic_fetch_add(&s->ended, 1);
    return NULL;
}

Test(shutdown, waits_for_children_of_children)
{
    shared s = SHARED_INIT;
    tn_runtime *runtime = tt_runtime_create();

    cr_assert_eq(tn_spawn_on(runtime, NULL, NULL, spawn_generations, &s), 0);
    tt_runtime_destroy(runtime);
    cr_assert_geq(atomic_load(&s.alive), 501);
    cr_assert_eq(atomic_load(&s.ended), atomic_load(&s.alive));
    cr_assert_eq(atomic_load(&s.cancelled), 0);
}

Test(shutdown, children_are_born_cancelled)
{
    shared s = SHARED_INIT;
    tn_runtime *runtime = tt_runtime_create();

    cr_assert_eq(tn_spawn_on(runtime, NULL, NULL, spawn_generations, &s), 0);
    cr_assert_eq(tn_runtime_destroy(runtime, TN_SHUTDOWN_CANCEL, 30 * TN_S), 0);
    cr_assert_eq(atomic_load(&s.ended), atomic_load(&s.alive));
    /* The first task may have slept to its end. Its children were created after the cancellation, or the walk found them. */
    cr_assert_geq(atomic_load(&s.cancelled) + 1, 500);
}

static void *sleep_until_cancelled(void *arg)
{
    shared *s = arg;

    atomic_fetch_add(&s->alive, 1);
    tt_check(tn_sleep(3600 * TN_S) == TN_ECANCELED);
    atomic_fetch_add(&s->ended, 1);
    return NULL;
}

Test(shutdown, cancel_ends_all_sleepers)
{
    for (int round = 0; round < 20; round++) {
        shared s = SHARED_INIT;
        tn_runtime *runtime = tt_runtime_create();
        unsigned long count = tt_scaled(2000);
        for (unsigned long i = 0; i < count; i++)
            cr_assert_eq(tn_spawn_on(runtime, NULL, NULL, sleep_until_cancelled, &s), 0);
        cr_assert_eq(tn_runtime_destroy(runtime, TN_SHUTDOWN_CANCEL, 30 * TN_S), 0);
        cr_assert_eq(atomic_load(&s.ended), count);
    }
}

/* --- Spawning from outside during the shutdown ---------------------------------------------------------------------------- */

static void *hold_open(void *arg)
{
    shared *s = arg;

    while (tt_gate_opened(&s->gate) == 0)
        tt_check(tn_sleep(TN_MS) == 0);
    return NULL;
}

static void *count_end(void *arg)
{
    atomic_fetch_add(&((shared *)arg)->ended, 1);
    return NULL;
}

static void *destroy_it(void *arg)
{
    shared *s = arg;

    tt_check(tn_runtime_destroy(s->runtime, TN_SHUTDOWN_WAIT, 60 * TN_S) == 0);
    return NULL;
}

static void *spawn_until_refused(void *arg)
{
    shared *s = arg;
    uint64_t limit_ns = tn_now() + 20 * TN_S;

    for (;;) {
        tn_task *task = NULL;
        int rc = tn_spawn_on(s->runtime, NULL, &task, count_end, s);
        if (rc == TN_ESHUTDOWN) {
            tt_check(task == NULL && tn_spawn_on(s->runtime, NULL, NULL, count_end, s) == TN_ESHUTDOWN);
            return NULL;
        }
        tt_check(rc == 0 && tn_now() < limit_ns);
        atomic_fetch_add(&s->alive, 1);
        tn_task_release(task);
    }
}

Test(shutdown, spawns_from_outside_are_refused)
{
    for (int round = 0; round < 30; round++) {
        shared s = SHARED_INIT;
        tt_allocator allocator;
        pthread_t spawners[3];
        pthread_t destroyer;
        s.runtime = create_counted(&allocator);
        cr_assert_eq(tn_spawn_on(s.runtime, NULL, NULL, hold_open, &s), 0); /* keeps the runtime alive meanwhile */
        for (int i = 0; i < 3; i++)
            spawners[i] = tt_thread_start(spawn_until_refused, &s);
        tt_block_thread((uint64_t)round % 4 * TN_MS);
        destroyer = tt_thread_start(destroy_it, &s);
        for (int i = 0; i < 3; i++)
            tt_thread_join(spawners[i]);
        tt_gate_open(&s.gate);
        tt_thread_join(destroyer);
        cr_assert_eq(atomic_load(&s.ended), atomic_load(&s.alive)); /* every accepted spawn has run */
        cr_assert_eq(atomic_load(&allocator.blocks), 0);
    }
}

/* --- Giving up ------------------------------------------------------------------------------------------------------------ */

static void *never_woken(void *arg)
{
    atomic_fetch_add(&((shared *)arg)->alive, 1);
    while (tn_sleep(3600 * TN_S) != 0)
        if (tn_sleep(TN_MS) == TN_ECANCELED) /* ignores the cancellation */
            (void)tn_yield();
    return NULL;
}

static void *hang(void *arg)
{
    atomic_fetch_add(&((shared *)arg)->alive, 1);
    (void)tn_sleep(3600 * TN_S);
    return NULL;
}

Test(shutdown, gives_up_on_suspended_tasks)
{
    for (int round = 0; round < 10; round++) {
        shared s = SHARED_INIT;
        tt_allocator allocator;
        tn_runtime *runtime = create_counted(&allocator);
        for (int i = 0; i < 100; i++)
            cr_assert_eq(tn_spawn_on(runtime, NULL, NULL, hang, &s), 0);
        while (atomic_load(&s.alive) < 100)
            tn_yield();
        cr_assert_eq(tn_runtime_destroy(runtime, TN_SHUTDOWN_WAIT, (uint64_t)round % 2 * 5 * TN_MS), 100);
        /* A worker that gets no processor within destroy's grace of 200 ms frees the rest when it leaves. */
        cr_assert(tt_wait_until(all_is_freed, &allocator, 30 * TN_S));
    }
}

/* Tasks that never end and never suspend for long are queued or running when destroy gives up. */
Test(shutdown, gives_up_on_tasks_that_do_not_listen)
{
    for (int round = 0; round < 10; round++) {
        shared s = SHARED_INIT;
        tt_allocator allocator;
        tn_runtime *runtime = create_counted(&allocator);
        for (int i = 0; i < 20; i++)
            cr_assert_eq(tn_spawn_on(runtime, NULL, NULL, never_woken, &s), 0);
        cr_assert_eq(tn_runtime_destroy(runtime, TN_SHUTDOWN_CANCEL, 5 * TN_MS), 20);
        cr_assert(tt_wait_until(all_is_freed, &allocator, 20 * TN_S));
    }
}

static void *stuck_in_a_loop(void *arg)
{
    shared *s = arg;

    atomic_fetch_add(&s->alive, 1);
    while (tt_gate_opened(&s->gate) == 0)
        ;
    return NULL;
}

static void *stuck_in_a_call(void *arg)
{
    shared *s = arg;

    atomic_fetch_add(&s->alive, 1);
    tt_gate_wait(&s->gate, 1);
    return NULL;
}

/* Continues to use the runtime after destroy has given up. */
static void *stuck_then_busy(void *arg)
{
    shared *s = arg;
    shared more = SHARED_INIT;

    atomic_fetch_add(&s->alive, 1);
    tt_gate_wait(&s->gate, 1);
    for (int i = 0; i < 300; i++)
        tt_check(tn_spawn(NULL, count_end, &more) == 0);
    tt_check(tn_self() != NULL && tn_runtime_current() != NULL);
    (void)tn_checkpoint();
    (void)tn_yield(); /* never returns */
    return NULL;
}

static void *stuck_then_asleep(void *arg)
{
    shared *s = arg;

    atomic_fetch_add(&s->alive, 1);
    tt_gate_wait(&s->gate, 1);
    (void)tn_sleep(TN_MS); /* never returns */
    return NULL;
}

static void give_up_on(tn_entry_fn entry, unsigned count)
{
    for (int round = 0; round < 3; round++) {
        static shared s; /* the tasks live longer than this frame */
        static tt_allocator allocator;
        tn_runtime *runtime;
        s = (shared)SHARED_INIT;
        runtime = create_counted(&allocator);
        for (unsigned i = 0; i < count; i++)
            cr_assert_eq(tn_spawn_on(runtime, NULL, NULL, entry, &s), 0);
        for (uint64_t limit_ns = tn_now() + 20 * TN_S; atomic_load(&s.alive) < count;)
            cr_assert_lt(tn_now(), limit_ns);
        cr_assert_eq(tn_runtime_destroy(runtime, TN_SHUTDOWN_CANCEL, 10 * TN_MS), count);
        cr_assert_gt(atomic_load(&allocator.blocks), 0); /* the tasks may still use it */
        tt_gate_open(&s.gate);
        cr_assert(tt_wait_until(all_is_freed, &allocator, 20 * TN_S));
    }
}

static unsigned worker_count(void)
{
    return tt_options().workers;
}

Test(shutdown, gives_up_on_a_task_in_a_loop)
{
    give_up_on(stuck_in_a_loop, 1);
}

Test(shutdown, gives_up_on_all_workers)
{
    give_up_on(stuck_in_a_call, worker_count());
}

Test(shutdown, gives_up_on_a_task_that_then_spawns)
{
    give_up_on(stuck_then_busy, 1);
    give_up_on(stuck_then_busy, worker_count());
}

Test(shutdown, gives_up_on_a_task_that_then_sleeps)
{
    give_up_on(stuck_then_asleep, 1);
    give_up_on(stuck_then_asleep, worker_count());
}

/* Gives up on a task and a job that are stuck. Returns how long that took. */
static uint64_t give_up_after(uint64_t timeout_ns)
{
    static shared s; /* the tasks live longer than this frame */
    static tt_allocator allocator;
    tn_runtime *runtime;
    uint64_t began_ns;
    uint64_t took_ns;

    s = (shared)SHARED_INIT;
    runtime = create_counted(&allocator);
    cr_assert_eq(tn_spawn_on(runtime, NULL, NULL, stuck_in_a_call, &s), 0);
    cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, NULL, stuck_in_a_call, &s), 0);
    while (atomic_load(&s.alive) < 2)
        tn_yield();
    began_ns = tn_now();
    cr_assert_eq(tn_runtime_destroy(runtime, TN_SHUTDOWN_CANCEL, timeout_ns), 2);
    took_ns = tn_now() - began_ns;
    tt_gate_open(&s.gate);
    cr_assert(tt_wait_until(all_is_freed, &allocator, 20 * TN_S));
    return took_ns;
}

/* The best of several tries counts, because other programs may take the processor. */
Test(shutdown, gives_up_in_time)
{
    uint64_t best_ns = UINT64_MAX;

    for (int i = 0; i < 10 && best_ns > 140 * TN_MS; i++) {
        uint64_t took_ns = give_up_after(100 * TN_MS);
        cr_assert_geq(took_ns, 100 * TN_MS);
        best_ns = took_ns < best_ns ? took_ns : best_ns;
    }
    cr_assert_leq(best_ns, 140 * TN_MS, "%lu ms", (unsigned long)(best_ns / TN_MS));
}

/* Ends before the time limit of destroy. */
static void *slow_to_end(void *arg)
{
    (void)arg;
    tt_block_thread(100 * TN_MS);
    return NULL;
}

Test(shutdown, waits_for_slow_tasks)
{
    tn_runtime *runtime = tt_runtime_create();

    for (int i = 0; i < 3; i++)
        cr_assert_eq(tn_spawn_on(runtime, NULL, NULL, slow_to_end, NULL), 0);
    cr_assert_eq(tn_runtime_destroy(runtime, TN_SHUTDOWN_CANCEL, UINT64_MAX), 0);
}

/* --- Many runtimes -------------------------------------------------------------------------------------------------------- */

static void *spawn_some(void *arg)
{
    for (int i = 0; i < 10; i++)
        tt_check(tn_spawn(NULL, count_end, arg) == 0);
    return arg;
}

Test(shutdown, a_thousand_runtimes_leave_nothing)
{
    unsigned long rounds = tt_scaled(1000);
    unsigned files = 0;
    size_t bytes = 0;

    for (unsigned long i = 0; i < rounds; i++) {
        shared s = SHARED_INIT;
        tt_allocator allocator;
        tn_runtime *runtime = create_counted(&allocator);
        if (i % 3 != 0)
            cr_assert_eq(tn_block_on(runtime, spawn_some, &s, NULL), 0);
        cr_assert_eq(tn_runtime_destroy(runtime, i % 2 ? TN_SHUTDOWN_WAIT : TN_SHUTDOWN_CANCEL, 30 * TN_S), 0);
        cr_assert_eq(atomic_load(&s.ended), i % 3 != 0 ? 10 : 0);
        cr_assert_eq(atomic_load(&allocator.blocks), 0);
        if (i == rounds / 10) {
            files = tt_files();
            bytes = tt_resident_bytes();
        }
    }
    tt_expect_threads(threads_before);
    cr_assert_eq(tt_files(), files);
    cr_log_info("%zu KiB, %zu KiB after %lu more", bytes / 1024, tt_resident_bytes() / 1024, rounds - rounds / 10);
    if (!TT_SANITIZED) /* sanitizers keep freed memory for a while */
        cr_assert_lt(tt_resident_bytes(), bytes + 4 * 1024 * 1024);
}

/* --- Two runtimes --------------------------------------------------------------------------------------------------------- */

typedef struct {
    tn_runtime *here;
    tn_runtime *there;
    unsigned long rounds;
} pair;

static void *echo(void *arg)
{
    return arg;
}

static void *sleep_and_echo(void *arg)
{
    tt_check(tn_sleep(TN_MS / 5) == 0);
    return arg;
}

static void *spawn_over_there(void *arg)
{
    pair *p = arg;

    for (unsigned long i = 0; i < p->rounds; i++) {
        tn_task *task = tt_spawn_on(p->there, i % 64 == 0 ? sleep_and_echo : echo, p);
        tt_check(tn_runtime_current() == p->here);
        tt_check(tt_join(task) == p);
    }
    return NULL;
}

Test(shutdown, two_runtimes_wake_each_other)
{
    tn_runtime *a = tt_runtime_create();
    tn_runtime *b = tt_runtime_create();
    pair from_a = {a, b, tt_scaled(2000)};
    pair from_b = {b, a, tt_scaled(2000)};
    tn_task *tasks[8];

    for (int i = 0; i < 8; i++)
        tasks[i] = i % 2 ? tt_spawn_on(a, spawn_over_there, &from_a) : tt_spawn_on(b, spawn_over_there, &from_b);
    for (int i = 0; i < 8; i++)
        tt_join(tasks[i]);
    tt_runtime_destroy(a);
    tt_runtime_destroy(b);
}

static void *destroy_own_runtime(void *arg)
{
    (void)tn_runtime_destroy(tn_runtime_current(), TN_SHUTDOWN_WAIT, 0);
    return arg;
}

static void run_destroy_inside(void *arg)
{
    tt_run(destroy_own_runtime, arg);
}

Test(shutdown, of_ones_own_runtime_aborts)
{
    tt_child child = tt_fork(run_destroy_inside, NULL);

    cr_assert(tt_child_aborted(&child, "tn_runtime_destroy in one of the runtime's own tasks"));
}
