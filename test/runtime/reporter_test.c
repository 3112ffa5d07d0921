/* SPDX-License-Identifier: MIT */
/* The functions of the program that get reports may block, and the start of a thread may: cores are still handed over, and tasks
 * are still reported. */
/* ctest: timeout=120 */
#include <string.h>

#include <tn.h>

#include "base/tls.h"
#include "sched/runtime.h"
#include "support/allocator.h"
#include "support/runtime.h"
#include "support/slow_thread_start.h"
#include "watch/reporter.h"

#define LIMIT_NS (60 * TN_S)

static tt_gate called = TT_GATE_INIT; /* a function of the program has been called */
static tt_gate may_return = TT_GATE_INIT;
static atomic_uint reports;

static void *identity(void *arg)
{
    return arg;
}

/* Blocks its thread until the gate is open. */
static void *keep_thread(void *arg)
{
    tt_gate_wait(arg, 1);
    return arg;
}

static void block_in_log(void *ctx, tn_log_level level, const char *message)
{
    (void)ctx;
    (void)level;
    (void)message;
    atomic_fetch_add(&reports, 1);
    tt_gate_open(&called);
    tt_gate_wait(&may_return, 1);
}

static void block_in_report(void *ctx, tn_runtime *runtime)
{
    (void)runtime;
    block_in_log(ctx, TN_LOG_INFO, "");
}

/* A task keeps the only worker; the others run all the same. */
static void expect_hand_over(tn_runtime *runtime)
{
    static tt_gate end = TT_GATE_INIT;
    tn_task *task = tt_spawn_on(runtime, keep_thread, &end);

    for (int i = 0; i < 20; i++)
        tt_join(tt_spawn_on(runtime, identity, NULL));
    tt_gate_open(&end);
    tt_join(task);
}

static tn_options one_worker(void)
{
    tn_options options = tt_options();

    options.workers = 1;
    options.force_migration = false;
    return options;
}

Test(reporter, a_log_that_blocks_stops_no_hand_over)
{
    tn_options options = one_worker();
    static tt_gate end = TT_GATE_INIT;
    tn_runtime *runtime;
    tn_task *task;

    options.log = block_in_log;
    options.report_stuck_ns = 10 * TN_MS;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    task = tt_spawn_on(runtime, keep_thread, &end);
    tt_gate_wait(&called, 1);
    expect_hand_over(runtime);
    tt_gate_open(&end);
    tt_join(task);
    tt_gate_open(&may_return);
    tt_runtime_destroy(runtime);
}

static void *wait_for_wake(void *arg)
{
    tt_check(tn_notify_wait(arg) == 0);
    return NULL;
}

Test(reporter, an_on_deadlock_that_blocks_stops_no_hand_over)
{
    tn_options options = one_worker();
    tn_notify notify;
    tn_runtime *runtime;
    tn_task *task;

    tn_notify_init(&notify);
    options.on_deadlock = block_in_report;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    task = tt_spawn_on(runtime, wait_for_wake, &notify);
    tt_gate_wait(&called, 1);
    expect_hand_over(runtime);
    tn_notify_one(&notify);
    tt_join(task);
    tt_gate_open(&may_return);
    tt_runtime_destroy(runtime);
}

static bool is_reported(void *arg)
{
    (void)arg;
    return atomic_load(&reports) > 0;
}

static void count_stuck(void *ctx, tn_log_level level, const char *message)
{
    (void)ctx;
    (void)level;
    if (strstr(message, "has kept its thread") != NULL)
        atomic_fetch_add(&reports, 1);
}

/* As if another thread held the lock of the allocator, in which a thread that is started waits. */
Test(reporter, a_start_of_a_thread_that_blocks_stops_no_report)
{
    tn_options options = one_worker();
    static tt_gate end = TT_GATE_INIT;
    tn_runtime *runtime;
    tn_task *stuck;
    tn_task *other;

    options.log = count_stuck;
    options.report_stuck_ns = 300 * TN_MS; /* the start of a thread has begun before */
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    tt_slow_starts(true);
    stuck = tt_spawn_on(runtime, keep_thread, &end);
    other = tt_spawn_on(runtime, identity, NULL);
    tt_wait_for_slow_start();
    cr_assert_eq(atomic_load(&reports), 0);
    cr_assert(tt_wait_until(is_reported, NULL, LIMIT_NS));
    tt_slow_starts(false);
    tt_join(other);
    tt_gate_open(&end);
    tt_join(stuck);
    tt_runtime_destroy(runtime);
}

/* --- The queue -------------------------------------------------------------------------------------------------------------- */

static atomic_uint lines;
static atomic_uint dropped;

static void count_lines(void *ctx, tn_log_level level, const char *message)
{
    unsigned number;

    (void)ctx;
    (void)level;
    tt_gate_open(&called);
    tt_gate_wait(&may_return, 1);
    if (sscanf(message, "line %u", &number) == 1) {
        tt_check_eq(number, atomic_load(&lines));
        atomic_fetch_add(&lines, 1);
    } else if (sscanf(message, "%u lines of reports were dropped", &number) == 1) {
        atomic_store(&dropped, number);
    }
}

Test(reporter, a_full_queue_drops_lines_and_counts_them)
{
    tn_options options = tt_options();
    tni_log_sink *before = tni_tls_get()->log_sink;
    tn_runtime *runtime;

    options.log = count_lines;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    tni_tls_get()->log_sink = &runtime->reporter.sink; /* as on the monitor */
    tni_log_write(&runtime->log, TN_LOG_WARNING, "line 0");
    tt_gate_wait(&called, 1);
    for (unsigned i = 1; i <= TNI_REPORTER_LINES + 7; i++)
        tni_log_write(&runtime->log, TN_LOG_WARNING, "line %u", i);
    tni_tls_get()->log_sink = before;
    tt_gate_open(&may_return);
    tt_runtime_destroy(runtime); /* all is reported before it returns */
    cr_assert_eq(atomic_load(&lines), TNI_REPORTER_LINES + 1);
    cr_assert_eq(atomic_load(&dropped), 7);
}

/* --- A reference that comes late -------------------------------------------------------------------------------------------- */

typedef struct {
    tt_allocator allocator;
    tn_runtime *runtime;
    tn_task *ended;
    tt_gate begun;
    tt_gate may_give;
    atomic_uint dropped;
} late;

static void count_drop(void *result)
{
    atomic_fetch_add(&((late *)result)->dropped, 1);
}

/* As a walk does with the last reference to a task, if it has begun before the reporter ended. */
static void *give_late(void *arg)
{
    late *l = arg;

    tt_gate_open(&l->begun);
    tt_gate_wait(&l->may_give, 1);
    tni_reporter_give_last(l->runtime, l->ended);
    return NULL;
}

static bool is_freed(void *arg)
{
    return atomic_load(&((late *)arg)->allocator.blocks) == 0;
}

Test(reporter, a_reference_after_its_end_is_released)
{
    static late l = {.begun = TT_GATE_INIT, .may_give = TT_GATE_INIT};
    tn_spawn_options spawn = tn_spawn_options_default();
    tn_options options = one_worker();

    tt_allocator_init(&l.allocator);
    options.allocator = &l.allocator.as_option;
    cr_assert_eq(tn_runtime_create(&l.runtime, &options), 0);
    spawn.drop_result = count_drop;
    cr_assert_eq(tn_spawn_on(l.runtime, &spawn, &l.ended, identity, &l), 0);
    while (tn_runtime_tasks(l.runtime) > 0)
        tt_block_thread(TN_MS);
    tn_task_release(tt_spawn_on(l.runtime, give_late, &l));
    tt_gate_wait(&l.begun, 1);
    cr_assert_eq(tn_runtime_destroy(l.runtime, TN_SHUTDOWN_CANCEL, 10 * TN_MS), 1);
    cr_assert_eq(atomic_load(&l.dropped), 0);
    tt_gate_open(&l.may_give);
    cr_assert(tt_wait_until(is_freed, &l, LIMIT_NS));
    cr_assert_eq(atomic_load(&l.dropped), 1);
}
