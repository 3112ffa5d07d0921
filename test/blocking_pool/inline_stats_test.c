/* SPDX-License-Identifier: MIT */
/* Functions that have been short-running are called by the worker of the fiber that waits for them. */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>

#include <tn/blocking.h>
#include <tn/scope.h>
#include <tn/sync.h>

#include "os/os_thread.h"
#include "pool/inline_stats.h"
#include "pool/pool.h"
#include "support/allocator.h"
#include "support/runtime.h"

/* --- The table -------------------------------------------------------------------------------------------------------------- */

static void *one(void *arg)
{
    return arg;
}

static void note(tni_inline_stats *brief, tn_job_fn fn, unsigned times, uint64_t ns)
{
    while (times-- > 0)
        tni_inline_stats_record(brief, fn, ns);
}

Test(brief, so_many_calls_on_end_are_wanted)
{
    tni_inline_stats brief;

    tni_inline_stats_init(&brief, 0);
    note(&brief, one, TNI_INLINE_STATS_WANTED - 1, 0);
    cr_assert_not(tni_inline_stats_eligible(&brief, one));
    note(&brief, one, 1, TNI_INLINE_STATS_DEFAULT_NS - 1);
    cr_assert(tni_inline_stats_eligible(&brief, one));
    note(&brief, one, 1, TNI_INLINE_STATS_DEFAULT_NS);
    cr_assert_not(tni_inline_stats_eligible(&brief, one));
    note(&brief, one, TNI_INLINE_STATS_WANTED, 0);
    cr_assert(tni_inline_stats_eligible(&brief, one));
    tni_inline_stats_record(&brief, one, 10 * TNI_INLINE_STATS_DEFAULT_NS);
    note(&brief, one, TNI_INLINE_STATS_WANTED_AGAIN - 1, 0);
    cr_assert_not(tni_inline_stats_eligible(&brief, one));
    note(&brief, one, 1, 0);
    cr_assert(tni_inline_stats_eligible(&brief, one));
}

/* Twice as many functions as the table has entries: also with a full table one function never counts for another. */
Test(brief, functions_do_not_answer_for_each_other)
{
    tni_inline_stats brief;

    for (uintptr_t others = 0; others <= 2 * TNI_INLINE_STATS_FUNCTIONS; others++) {
        tni_inline_stats_init(&brief, 0);
        for (uintptr_t i = 1; i <= others; i++)
            note(&brief, (tn_job_fn)(i * 4096), TNI_INLINE_STATS_WANTED, 0);
        cr_assert_not(tni_inline_stats_eligible(&brief, one));
        note(&brief, one, TNI_INLINE_STATS_WANTED - 1, 0);
        cr_assert_not(tni_inline_stats_eligible(&brief, one));
        note(&brief, one, 1, 0);
        cr_assert(tni_inline_stats_eligible(&brief, one));
        for (uintptr_t i = 1; i <= others; i++)
            if (others < TNI_INLINE_STATS_FUNCTIONS)
                cr_assert(tni_inline_stats_eligible(&brief, (tn_job_fn)(i * 4096)));
        note(&brief, (tn_job_fn)((2 * TNI_INLINE_STATS_FUNCTIONS + 1) * 4096), 1, 0);
        cr_assert_not(tni_inline_stats_eligible(&brief, (tn_job_fn)((2 * TNI_INLINE_STATS_FUNCTIONS + 1) * 4096)));
    }
}

Test(brief, a_limit_of_a_nanosecond_is_never_kept)
{
    tni_inline_stats brief;

    tni_inline_stats_init(&brief, 1);
    note(&brief, one, 10 * TNI_INLINE_STATS_WANTED, 1);
    cr_assert_not(tni_inline_stats_eligible(&brief, one));
}

/* --- Calls ------------------------------------------------------------------------------------------------------------------ */

static tni_pool *own_pool(void)
{
    int rc;
    tni_pool *pool = tni_pool_of(tn_runtime_current(), &rc);

    tt_check(pool != NULL);
    return pool;
}

/* force_migration turns these calls off. */
static tn_options calling_options(void)
{
    tn_options options = tt_options();

    options.force_migration = false;
    return options;
}

/* Makes `fn` inline-eligible in the calling fiber's runtime. */
static void have_been_brief(tn_job_fn fn)
{
    note(&own_pool()->inline_stats, fn, TNI_INLINE_STATS_WANTED_AGAIN, 0);
}

static void run_with(const tn_options *options, tn_entry_fn entry)
{
    cr_assert_eq(tn_run(entry, NULL, options), 0);
}

static void run(tn_entry_fn entry)
{
    tn_options options = calling_options();

    run_with(&options, entry);
}

static uint64_t calls(void)
{
    tn_blocking_counters counters = {.size = sizeof counters};

    tt_check(tn_runtime_blocking(tn_runtime_current(), &counters) == 0);
    return counters.called_inline;
}

static void *is_thread(void *arg)
{
    return (void *)(uintptr_t)(*(int *)arg == tni_os_thread_id());
}

static bool is_called_here(void)
{
    int own = tni_os_thread_id();
    void *here;

    tt_check(tn_run_blocking(is_thread, &own, &here) == 0);
    return here != NULL;
}

static void *call_one_here(void *arg)
{
    (void)arg;
    tt_check(!is_called_here() && calls() == 0);
    while (!is_called_here()) /* the pool's thread may record the first call late */
        have_been_brief(is_thread);
    tt_check(calls() == 1);
    return NULL;
}

Test(brief, is_called_by_the_worker_of_the_fiber)
{
    run(call_one_here);
}

static void *learn_by_running(void *arg)
{
    (void)arg;
    while (calls() == 0)
        tt_check(tn_run_blocking(one, NULL, NULL) == 0);
    return NULL;
}

Test(brief, what_has_been_brief_is_found_out)
{
    run(learn_by_running);
}

/* --- Where no core could be taken away -------------------------------------------------------------------------------------- */

static void *never_here(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 2 * TNI_INLINE_STATS_WANTED; i++) {
        have_been_brief(is_thread);
        tt_check(!is_called_here());
    }
    tt_check(calls() == 0);
    return NULL;
}

Test(brief, goes_to_a_thread_where_the_core_would_stay_with_it)
{
    tn_options options = calling_options();

    options.stuck_after_ns = UINT64_MAX;
    run_with(&options, never_here);
    options.stuck_after_ns = TN_S;
    run_with(&options, never_here);
    options = calling_options();
    options.flavor = TN_CURRENT_THREAD;
    options.workers = 1;
    run_with(&options, never_here);
    options = calling_options();
    options.blocking_inline_ns = 1;
    run_with(&options, never_here);
    options = calling_options();
    options.blocking_threads = 1;
    run_with(&options, never_here);
    options = calling_options();
    options.force_migration = true;
    run_with(&options, never_here);
    options = calling_options();
    options.no_migration = true;
    run_with(&options, never_here);
}

static void *never(void *arg)
{
    *(bool *)arg = true;
    return NULL;
}

static void *cut_short(void *arg)
{
    bool called = false;
    tn_scope scope;

    (void)arg;
    have_been_brief(never);
    tn_scope_enter(&scope, TN_NEVER);
    tn_scope_cancel(&scope);
    tt_check(tn_run_blocking(never, &called, NULL) == TN_ECANCELED);
    tn_scope_leave(&scope);
    tn_scope_enter(&scope, tn_now() + TN_MS);
    tt_block_thread(2 * TN_MS);
    tt_check(tn_run_blocking(never, &called, NULL) == TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    tt_check(!called && calls() == 0);
    return NULL;
}

Test(brief, is_not_called_for_who_has_been_cut_short)
{
    run(cut_short);
}

/* --- What the function may do ----------------------------------------------------------------------------------------------- */

enum { DEEP_BYTES = 1 << 20 };

static void *use_much_stack(void *arg)
{
    volatile char room[DEEP_BYTES];

    for (size_t i = 0; i < sizeof room; i += 4096)
        room[i] = (char)i;
    return (void *)((uintptr_t)arg + (unsigned char)room[4096 * 3]);
}

static void *deep(void *arg)
{
    void *result;

    (void)arg;
    have_been_brief(use_much_stack);
    tt_check(tn_run_blocking(use_much_stack, (void *)7, &result) == 0 && result == (void *)7 && calls() == 1);
    return NULL;
}

Test(brief, has_the_stack_of_a_thread)
{
    tn_options options = calling_options();

    options.stack_size_bytes = 64 << 10;
    run_with(&options, deep);
}

typedef struct {
    tn_mutex lock;
    tn_task *spawned;
    unsigned runs;
} things;

static void *count_under_lock(void *arg)
{
    things *self = arg;

    tt_check(tn_mutex_lock(&self->lock) == 0);
    self->runs++;
    tn_mutex_unlock(&self->lock);
    return NULL;
}

/* The function may do all that a job may. Library calls treat it as a thread of the pool. */
static void *do_many_things(void *arg)
{
    things *self = arg;
    tn_scope scope;
    tn_job *job;

    tt_check(tn_runtime_current() == NULL && tni_pool_current_thread() != NULL);
    tt_check(tni_pool_current_runtime() != NULL);
    tt_check(tn_spawn_blocking(&job, count_under_lock, self) == 0 && tn_job_join(job, NULL) == 0);
    tt_check(tn_run_blocking(count_under_lock, self, NULL) == 0);
    tn_scope_enter(&scope, TN_NEVER);
    tt_check(tn_sleep(1) == 0);
    tn_scope_leave(&scope);
    tt_check(tn_spawn_on(tni_pool_current_runtime(), NULL, &self->spawned, count_under_lock, self) == 0);
    tt_check(tn_join(self->spawned, NULL) == 0);
    return self;
}

static void *many_things(void *arg)
{
    things self = {.runs = 0};
    void *result;

    (void)arg;
    tn_mutex_init(&self.lock);
    have_been_brief(do_many_things);
    tt_check(tn_run_blocking(do_many_things, &self, &result) == 0 && result == &self && calls() == 1);
    tt_check(self.runs == 3 && tn_runtime_current() != NULL);
    return NULL;
}

/* It works with one worker too: the task that the function waits for gets the core. */
Test(brief, may_do_what_a_job_may)
{
    tn_options options = calling_options();

    run(many_things);
    options.workers = 1;
    run_with(&options, many_things);
}

static void *wait_long(void *gate)
{
    tt_gate_wait(gate, 1);
    return NULL;
}

static void *open_it(void *gate)
{
    tt_gate_open(gate);
    return NULL;
}

static void *too_long(void *arg)
{
    tt_gate gate = TT_GATE_INIT;
    tn_task *task;

    (void)arg;
    have_been_brief(wait_long);
    task = tt_spawn(open_it, &gate);
    tt_check(tn_run_blocking(wait_long, &gate, NULL) == 0 && calls() == 1);
    tt_join(task);
    tt_check(!tni_inline_stats_eligible(&own_pool()->inline_stats, wait_long));
    return NULL;
}

/* The function blocks. Its core is taken and runs the task that it waits for. */
Test(brief, blocks_nobody_if_it_is_not)
{
    tn_options options = calling_options();

    options.workers = 1;
    run_with(&options, too_long);
}

/* --- Dumps and reports ----------------------------------------------------------------------------------------------------- */

typedef struct {
    tt_gate begun;
    tt_gate end;
    bool interrupted;
} watched;

static void *wait_for_signals(void *arg)
{
    watched *self = arg;

    tt_gate_open(&self->begun);
    while (tt_gate_opened(&self->end) == 0)
        self->interrupted = (poll(NULL, 0, 1) != 0 && errno == EINTR) || self->interrupted;
    return NULL;
}

static void *call_watched(void *arg)
{
    have_been_brief(wait_for_signals);
    tt_check(tn_run_blocking(wait_for_signals, arg, NULL) == 0);
    tt_check(calls() == 1);
    return NULL;
}

static void count_message(void *ctx, tn_log_level level, const char *message)
{
    (void)level;
    (void)message;
    atomic_fetch_add((atomic_uint *)ctx, 1);
}

static void ignore_line(void *ctx, const char *line)
{
    (void)ctx;
    (void)line;
}

/* The function is not reported as stuck, and no signal interrupts it to sample its stack: it may block. */
Test(brief, is_left_alone_by_dumps_and_reports)
{
    watched self = {TT_GATE_INIT, TT_GATE_INIT, false};
    tn_options options = calling_options();
    atomic_uint messages = 0;
    tn_runtime *runtime;
    tn_task *task;

    options.report_stuck_ns = TN_MS;
    options.log = count_message;
    options.log_ctx = &messages;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    task = tt_spawn_on(runtime, call_watched, &self);
    tt_gate_wait(&self.begun, 1);
    for (unsigned i = 0; i < 5; i++) {
        tt_block_thread(10 * TN_MS);
        tn_dump(runtime, ignore_line, NULL);
    }
    tt_gate_open(&self.end);
    tt_join(task);
    cr_assert_not(self.interrupted);
    cr_assert_eq(atomic_load(&messages), 0);
    tt_runtime_destroy(runtime);
}

/* --- Many ------------------------------------------------------------------------------------------------------------------- */

enum { FIBERS = 24, ROUNDS = 200 };

static void *brief_mostly(void *arg)
{
    uintptr_t turn = (uintptr_t)arg;

    if (turn % 97 == 0)
        tt_block_thread(TN_MS);
    return (void *)(turn * 3);
}

static void *call_many(void *arg)
{
    uintptr_t seed = (uintptr_t)arg;
    unsigned long rounds = tt_scaled(ROUNDS);
    void *result;

    for (uintptr_t i = 0; i < rounds; i++) {
        uintptr_t turn = seed * ROUNDS + i;
        if (turn % 32 == 0)
            have_been_brief(brief_mostly);
        tt_check(tn_run_blocking(brief_mostly, (void *)turn, &result) == 0 && result == (void *)(turn * 3));
    }
    return NULL;
}

static void *many_fibers(void *arg)
{
    tn_task *tasks[FIBERS];

    (void)arg;
    for (uintptr_t i = 0; i < FIBERS; i++)
        tasks[i] = tt_spawn(call_many, (void *)i);
    for (unsigned i = 0; i < FIBERS; i++)
        tt_join(tasks[i]);
    tt_check(calls() > 0);
    return NULL;
}

Test(brief, many_fibers_call_while_cores_come_and_go)
{
    run(many_fibers);
}

/* --- Shutdown --------------------------------------------------------------------------------------------------------------- */

typedef struct {
    tt_gate begun;
    tt_gate go_on;
} hanging;

static void *hang(void *arg)
{
    hanging *self = arg;

    tt_gate_open(&self->begun);
    tt_gate_wait(&self->go_on, 1);
    return NULL;
}

static void *hang_here(void *arg)
{
    have_been_brief(hang);
    tt_check(tn_run_blocking(hang, arg, NULL) == 0);
    return NULL;
}

static bool is_freed(void *allocator)
{
    return atomic_load(&((tt_allocator *)allocator)->blocks) == 0;
}

/* The memory that the thread may still use is freed only when the thread returns. */
Test(brief, a_runtime_that_gives_up_leaves_it_what_it_needs)
{
    hanging self = {TT_GATE_INIT, TT_GATE_INIT};
    tn_options options = calling_options();
    tt_allocator allocator;
    tn_runtime *runtime;

    tt_allocator_init(&allocator);
    options.allocator = &allocator.as_option;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    tn_task_release(tt_spawn_on(runtime, hang_here, &self));
    tt_gate_wait(&self.begun, 1);
    cr_assert_gt(tn_runtime_destroy(runtime, TN_SHUTDOWN_CANCEL, 10 * TN_MS), 0);
    cr_assert_gt(atomic_load(&allocator.blocks), 0);
    tt_gate_open(&self.go_on);
    cr_assert(tt_wait_until(is_freed, &allocator, 30 * TN_S));
}
