/* SPDX-License-Identifier: MIT */
/* Fibers and their stacks in a runtime: many at once, few stacks for many tasks, guards, sizes, overflow. */
/* ctest: timeout=120 serial */
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>

#include "support/runtime.h"

static tn_runtime *create_with(const tn_options *options)
{
    tn_runtime *runtime = NULL;
    int rc = tn_runtime_create(&runtime, options);

    cr_assert_eq(rc, 0, "tn_runtime_create: %s", tn_strerror(rc));
    return runtime;
}

static bool has_light_guards(void)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    options.guard = TN_GUARD_LIGHT;
    if (tn_runtime_create(&runtime, &options) != 0)
        return false;
    tt_runtime_destroy(runtime);
    return true;
}

/* --- Many ----------------------------------------------------------------------------------------------------------------- */

typedef struct {
    atomic_ulong alive;
    atomic_ulong ended;
    atomic_bool over;
} crowd;

/* Lives until the test cancels it, which it finds at a cancellation point. */
static void *live(void *arg)
{
    crowd *c = arg;

    atomic_fetch_add(&c->alive, 1);
    while (tn_sleep(3600 * TN_S) == 0)
        ;
    tt_check(tn_checkpoint() == TN_ECANCELED);
    atomic_fetch_add(&c->ended, 1);
    return NULL;
}

static bool enough_alive(void *arg)
{
    crowd *c = arg;

    return atomic_load(&c->alive) >= tt_scaled(100000);
}

static void run_crowd(const tn_options *options)
{
    unsigned long count = tt_scaled(100000);
    tn_runtime *runtime = create_with(options);
    crowd c = {.alive = 0};
    size_t before = tt_resident_bytes();

    for (unsigned long i = 0; i < count; i++)
        cr_assert_eq(tn_spawn_on(runtime, NULL, NULL, live, &c), 0);
    cr_assert(tt_wait_until(enough_alive, &c, 60 * TN_S), "%lu of %lu fibers alive", atomic_load(&c.alive), count);
    cr_log_info("%lu fibers alive at once, %zu bytes each", count, (tt_resident_bytes() - before) / count);
    cr_assert_eq(tn_runtime_destroy(runtime, TN_SHUTDOWN_CANCEL, 60 * TN_S), 0);
    cr_assert_eq(atomic_load(&c.ended), count);
}

static atomic_uint warnings;

static void count_warnings(void *ctx, tn_log_level level, const char *message)
{
    (void)ctx;
    (void)message;
    if (level != TN_LOG_INFO)
        atomic_fetch_add(&warnings, 1);
}

Test(fibers, a_hundred_thousand_alive_at_once)
{
    tn_options options = tt_options();

    options.guard_fallback = !has_light_guards();
    options.log = count_warnings;
    run_crowd(&options);
    cr_assert_leq(atomic_load(&warnings), 1); /* the fallback is reported once */
}

/* --- Few stacks for many tasks -------------------------------------------------------------------------------------------- */

typedef struct {
    atomic_ulong inside;
    atomic_ulong most;
    atomic_ulong ended;
} turns;

static void *take_a_turn(void *arg)
{
    turns *t = arg;
    unsigned long inside = atomic_fetch_add(&t->inside, 1) + 1;
    unsigned long most = atomic_load(&t->most);

    while (inside > most && !atomic_compare_exchange_weak(&t->most, &most, inside))
        ;
    tt_check((inside % 3 == 0 ? tn_sleep(TN_MS / 10) : tn_yield()) == 0);
    atomic_fetch_sub(&t->inside, 1);
    atomic_fetch_add(&t->ended, 1);
    return NULL;
}

static void few_stacks(size_t stacks, unsigned long count)
{
    tn_options options = tt_options();
    turns t = {.inside = 0};
    tn_runtime *runtime;

    options.stacks_max = stacks;
    runtime = create_with(&options);
    for (unsigned long i = 0; i < count; i++)
        cr_assert_eq(tn_spawn_on(runtime, NULL, NULL, take_a_turn, &t), 0);
    tt_runtime_destroy(runtime);
    cr_assert_eq(atomic_load(&t.ended), count);
    cr_assert_leq(atomic_load(&t.most), stacks);
}

Test(fibers, four_stacks_for_a_thousand_tasks)
{
    few_stacks(4, tt_scaled(1000));
}

Test(fibers, one_stack_for_a_hundred_tasks)
{
    few_stacks(1, 100);
}

/* With 16 stacks or more, a core keeps one for itself. */
Test(fibers, stacks_in_other_caches_are_found)
{
    for (size_t stacks = 16; stacks <= 128; stacks *= 2)
        few_stacks(stacks, tt_scaled(4000));
}

/* Rounds with pauses, in which all workers sleep with stacks in their caches. In each round as many tasks as there are stacks
 * must be alive at once: none ends before all have started. */
typedef struct {
    atomic_ulong alive;
    unsigned long wanted;
} together;

static void *wait_for_all(void *arg)
{
    together *t = arg;

    atomic_fetch_add(&t->alive, 1);
    while (atomic_load(&t->alive) < t->wanted)
        tt_check(tn_sleep(TN_MS / 4) == 0);
    return NULL;
}

Test(fibers, every_stack_can_be_had_from_the_caches)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    options.stacks_max = 32;
    runtime = create_with(&options);
    for (unsigned long round = 0; round < tt_scaled(400); round++) {
        together t = {.wanted = 32};
        tn_task *tasks[32];
        for (int i = 0; i < 32; i++)
            tasks[i] = tt_spawn_on(runtime, wait_for_all, &t);
        for (int i = 0; i < 32; i++)
            cr_assert_eq(tt_join(tasks[i]), NULL);
        if (round % 8 == 0)
            tt_block_thread(round % 5 * TN_MS / 4);
    }
    tt_runtime_destroy(runtime);
}

static void *cancelled_while_waiting(void *arg)
{
    tt_check(tn_checkpoint() == TN_ECANCELED);
    atomic_fetch_add((atomic_ulong *)arg, 1);
    return NULL;
}

static void *hold_a_stack(void *arg)
{
    atomic_store((atomic_bool *)arg, true);
    while (tn_sleep(3600 * TN_S) == 0)
        ;
    return NULL;
}

Test(fibers, a_task_that_waits_for_a_stack_can_be_cancelled)
{
    tn_options options = tt_options();
    atomic_ulong ran = 0;
    atomic_bool held = false;
    tn_runtime *runtime;
    tn_task *holder;
    tn_task *waiter;

    options.stacks_max = 1;
    runtime = create_with(&options);
    holder = tt_spawn_on(runtime, hold_a_stack, &held);
    while (!atomic_load(&held))
        tn_yield();
    waiter = tt_spawn_on(runtime, cancelled_while_waiting, &ran);
    tn_cancel(waiter);
    tt_block_thread(5 * TN_MS);
    cr_assert_eq(atomic_load(&ran), 0); /* its entry function has no stack yet */
    tn_cancel(holder);
    tt_join(holder);
    tt_join(waiter);
    cr_assert_eq(atomic_load(&ran), 1);
    tt_runtime_destroy(runtime);
}

/* --- Sizes ---------------------------------------------------------------------------------------------------------------- */

/* Writes to each page of the stack downwards. */
__attribute__((noinline)) static size_t go_down(size_t bytes)
{
    char page[4096];
    size_t below = 0;

    page[0] = 1;
    page[sizeof page - 1] = 1;
    if (bytes > sizeof page)
        below = go_down(bytes - sizeof page);
    /* Keeps the page in use after the call below, so that each call has its own page and the recursion cannot become a loop. */
    __asm__ volatile("" : : "r"(page) : "memory");
    return below + (size_t)page[sizeof page - 1];
}

static void *use_stack(void *arg)
{
    (void)go_down(*(size_t *)arg);
    tt_check(tn_yield() == 0);
    (void)go_down(*(size_t *)arg);
    return arg;
}

static void use_sized(size_t stack_bytes, size_t used_bytes)
{
    tn_runtime *runtime = tt_runtime_create();
    tn_spawn_options options = tn_spawn_options_default();
    tn_task *task = NULL;

    options.stack_size_bytes = stack_bytes;
    cr_assert_eq(tn_spawn_on(runtime, &options, &task, use_stack, &used_bytes), 0);
    cr_assert_eq(tt_join(task), &used_bytes);
    tt_runtime_destroy(runtime);
}

#define KIB ((size_t)1024)

/* The size includes the guard. Frames are larger under the sanitizers. */
static size_t most_of(size_t bytes)
{
    size_t usable = bytes - 18 * KIB;

    return TT_SANITIZED ? usable / 4 : usable / 8 * 6;
}

Test(fibers, stacks_are_as_large_as_asked)
{
    use_sized(0, most_of(256 * KIB));
    use_sized(64 * KIB, most_of(64 * KIB));
    use_sized(1024 * KIB, most_of(1024 * KIB));
    use_sized(8 * 1024 * KIB, most_of(8 * 1024 * KIB));
    use_sized(63 * 1024 * KIB, most_of(63 * 1024 * KIB));
}

Test(fibers, the_largest_stack)
{
    use_sized(64 * 1024 * KIB, most_of(64 * 1024 * KIB));
}

Test(fibers, sizes_are_rounded_up)
{
    use_sized(64 * KIB + 1, most_of(128 * KIB));
    use_sized(1024 * KIB + 100, most_of(2048 * KIB));
}

Test(fibers, the_default_size_is_the_runtimes)
{
    tn_options options = tt_options();
    size_t used = most_of(4096 * KIB);
    tn_runtime *runtime;

    options.stack_size_bytes = 4096 * KIB;
    runtime = create_with(&options);
    cr_assert_eq(tn_block_on(runtime, use_stack, &used, NULL), 0);
    tt_runtime_destroy(runtime);
}

Test(fibers, guards_of_each_kind)
{
    static const tn_guard kinds[] = {TN_GUARD_DEFAULT, TN_GUARD_MPROTECT, TN_GUARD_NONE, TN_GUARD_LIGHT};
    size_t used = 32 * KIB;

    for (int i = 0; i < (has_light_guards() ? 4 : 3); i++) {
        tn_options options = tt_options();
        tn_runtime *runtime;
        options.guard = kinds[i];
        runtime = create_with(&options);
        for (int k = 0; k < 50; k++)
            cr_assert_eq(tn_block_on(runtime, use_stack, &used, NULL), 0);
        tt_runtime_destroy(runtime);
    }
}

/* --- The high-water mark -------------------------------------------------------------------------------------------------- */

static uint64_t stack_used_max(const tn_runtime *runtime)
{
    uint64_t most = 0;

    for (unsigned i = 0; i <= tn_runtime_workers(runtime); i++) {
        tn_counters counters;
        cr_assert_eq(tn_runtime_counters(runtime, i, &counters), 0);
        most = counters.stack_used_max_bytes > most ? counters.stack_used_max_bytes : most;
    }
    return most;
}

static void *use_little(void *arg)
{
    return arg;
}

Test(fibers, the_high_water_mark_is_plausible)
{
    tn_options options = tt_options();
    size_t used = 100 * KIB;
    tn_runtime *runtime;
    uint64_t little;
    uint64_t much;

    options.measure_stacks = true;
    options.stack_size_bytes = 1024 * KIB;
    runtime = create_with(&options);
    cr_assert_eq(tn_block_on(runtime, use_little, NULL, NULL), 0);
    little = stack_used_max(runtime);
    cr_assert_eq(tn_block_on(runtime, use_stack, &used, NULL), 0);
    much = stack_used_max(runtime);
    for (int i = 0; i < 100; i++) /* on stacks that were used before */
        cr_assert_eq(tn_block_on(runtime, use_little, NULL, NULL), 0);
    cr_assert_eq(stack_used_max(runtime), much);
    cr_log_info("%lu and %lu bytes", (unsigned long)little, (unsigned long)much);
    cr_assert_gt(little, 0);
    cr_assert_lt(little, 64 * KIB);
    cr_assert_geq(much, used);
    cr_assert_lt(much, TT_SANITIZED ? 1024 * KIB : 2 * used);
    tt_runtime_destroy(runtime);
}

/* --- Overflow ------------------------------------------------------------------------------------------------------------- */

static void *overflow(void *arg)
{
    return (void *)go_down((size_t)64 * 1024 * KIB + (size_t)(arg != NULL));
}

typedef struct {
    tn_flavor flavor;
    tn_guard guard;
    bool reports;
} overflow_case;

static void overflow_in_a_runtime(void *arg)
{
    overflow_case *wanted = arg;
    tn_options options = tt_options();
    tn_spawn_options spawn_options = tn_spawn_options_default();
    tn_runtime *runtime;
    tn_task *task = NULL;

    options.flavor = wanted->flavor;
    options.workers = wanted->flavor == TN_CURRENT_THREAD ? 0 : options.workers;
    options.guard = wanted->guard;
    options.report_overflow = wanted->reports;
    spawn_options.name = "greedy";
    spawn_options.stack_size_bytes = 128 * KIB;
    if (tn_runtime_create(&runtime, &options) != 0 || tn_spawn_on(runtime, &spawn_options, &task, overflow, NULL) != 0)
        return;
    if (wanted->flavor == TN_CURRENT_THREAD)
        (void)tn_runtime_destroy(runtime, TN_SHUTDOWN_WAIT, 10 * TN_S); /* runs the tasks that are left */
    else
        (void)tn_join(task, NULL);
}

static void expect_report(overflow_case wanted)
{
    tt_child child = tt_fork(overflow_in_a_runtime, &wanted);

    cr_assert(tt_child_aborted(&child, "stack overflow in task \"greedy\": its stack is 128 KiB;"), "not reported");
}

/* Its frame is larger than the guard, and than the stack: the probes of -fstack-clash-protection reach the guard first. */
__attribute__((noinline)) static char use_large_frame(void)
{
    char frame[512 * 1024];

    frame[0] = 1; /* the low end alone */
    __asm__ volatile("" : : "r"(frame) : "memory");
    return frame[0];
}

static void *enter_large_frame(void *arg)
{
    (void)arg;
    return (void *)(intptr_t)use_large_frame();
}

static void overflow_at_once(void *arg)
{
    (void)tn_run(enter_large_frame, arg, NULL);
}

Test(fibers, a_frame_larger_than_the_guard_is_an_overflow, .disabled = TT_SANITIZED)
{
    tt_child child = tt_fork(overflow_at_once, NULL);

    cr_assert(tt_child_aborted(&child, "stack overflow in task \"\""));
}

Test(fibers, an_overflow_names_the_task, .disabled = TT_SANITIZED) /* the sanitizers have their own handlers */
{
    expect_report((overflow_case){TN_MULTI_THREAD, TN_GUARD_DEFAULT, true});
    expect_report((overflow_case){TN_MULTI_THREAD, TN_GUARD_MPROTECT, true});
}

Test(fibers, an_overflow_in_the_calling_thread_names_the_task, .disabled = TT_SANITIZED)
{
    expect_report((overflow_case){TN_CURRENT_THREAD, TN_GUARD_DEFAULT, true});
}

Test(fibers, an_unreported_overflow_is_a_fault, .disabled = TT_SANITIZED)
{
    overflow_case silent = {TN_MULTI_THREAD, TN_GUARD_DEFAULT, false};
    tt_child child = tt_fork(overflow_in_a_runtime, &silent);

    cr_assert(WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGSEGV);
    cr_assert_null(strstr(child.said, "stack overflow in task"));
}

static void run_overflow(void *arg)
{
    (void)tn_run(overflow, arg, NULL);
}

Test(fibers, tn_run_reports_overflows, .disabled = TT_SANITIZED)
{
    tt_child child = tt_fork(run_overflow, NULL);

    cr_assert(tt_child_aborted(&child, "stack overflow in task \"\""));
}

static void *expect_no_handlers(void *arg)
{
    struct sigaction now;

    for (int i = 0; i < 2; i++)
        tt_check(sigaction(i == 0 ? SIGSEGV : SIGBUS, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
    return arg;
}

static void run_without_handlers(void *arg)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};
    tn_options options = tn_options_default();

    (void)arg;
    if (sigaction(SIGSEGV, &standard, NULL) != 0 || sigaction(SIGBUS, &standard, NULL) != 0) /* a sanitizer may have its own */
        _exit(2);
    options.no_overflow_report = true;
    if (tn_run(expect_no_handlers, NULL, &options) != 0)
        _exit(1);
}

Test(fibers, tn_run_leaves_signals_alone_if_asked)
{
    tt_child child = tt_fork(run_without_handlers, NULL);

    cr_assert(WIFEXITED(child.status) && WEXITSTATUS(child.status) == 0, "%s", child.said);
}

static void fault_elsewhere(void *arg)
{
    overflow_case *wanted = arg;
    tn_options options = tt_options();
    tn_runtime *runtime;
    volatile uintptr_t nowhere = 16; /* volatile: the compiler must not know the value of the address */

    options.report_overflow = wanted->reports;
    if (tn_runtime_create(&runtime, &options) == 0)
        *(volatile char *)nowhere = 1;
}

Test(fibers, other_faults_stay_what_they_are, .disabled = TT_SANITIZED)
{
    overflow_case reported = {TN_MULTI_THREAD, TN_GUARD_DEFAULT, true};
    tt_child child = tt_fork(fault_elsewhere, &reported);

    cr_assert(WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGSEGV);
    cr_assert_null(strstr(child.said, "stack overflow"));
}
