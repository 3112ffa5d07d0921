/* SPDX-License-Identifier: MIT */
/* Reports of tasks that keep their thread: with a stack sample, at a limited rate, and whatever the thread does meanwhile. */
/* ctest: timeout=120 */
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include <tn.h>

#include "os/os_symbol.h"
#include "sched/runtime.h"
#include "stuck_stand.h"
#include "support/runtime.h"

#define KEEPS "has kept its thread"

static void compute_some(void)
{
    tt_burn(100 * TN_US);
}

/* Returns whether the reported stack shows the place where the task keeps its thread. */
static bool shows_site(stand *s)
{
    char site[300];

    tni_os_symbol(atomic_load(&s->site), site, sizeof site);
    return count_of(&s->page, site) > 0;
}

static bool has_shown_site(void *arg)
{
    return shows_site(arg);
}

static void is_said_with_its_stack(void (*keep)(void))
{
    stand *s = new_stand(keep);
    tn_options options = options_for(s);
    tn_spawn_options named = tn_spawn_options_default();
    tn_runtime *runtime = create(&options);
    tn_task *task;

    named.name = "the culprit";
    cr_assert_eq(tn_spawn_on(runtime, &named, &task, keep_thread, s), 0);
    cr_assert(tt_wait_until(has_said_it, s, LIMIT_NS / 2));
    tt_block_thread(50 * TN_MS);
    atomic_store(&s->over, true);
    tt_join(task);
    tt_runtime_destroy(runtime);
    cr_assert_eq(count_of(&s->page, KEEPS), 1, "%s", s->page.text);
    cr_assert_eq(count_of(&s->page, "task \"the culprit\""), 1, "%s", s->page.text);
    cr_assert(shows_site(s), "%s", s->page.text);
}

Test(stuck_report, of_a_sleeper)
{
    is_said_with_its_stack(sleep_some);
}

/* A sleep of one second, and a poll: neither ends early because a report is made meanwhile. */
static void sleep_whole(void)
{
    struct timespec second = {.tv_sec = 1};

    tt_check(nanosleep(&second, NULL) == 0);
    tt_check(poll(NULL, 0, 50) == 0);
}

Test(stuck_report, cuts_no_sleep_short)
{
    is_said_with_its_stack(sleep_whole);
}

/* More than a sample copies of a stack. */
__attribute__((noinline)) static void sleep_deep(unsigned depth)
{
    volatile char bytes[4096];

    bytes[0] = 0;
    if (depth == 0)
        sleep_whole();
    else
        sleep_deep(depth - 1);
    bytes[1] = bytes[0];
}

static void *sleep_in_the_deep(void *arg)
{
    stand *s = arg;

    atomic_store(&s->inside, 1);
    while (!atomic_load(&s->over))
        sleep_deep(300);
    return NULL;
}

Test(stuck_report, of_a_deep_sleeper)
{
    stand *s = new_stand(sleep_whole);
    tn_options options = options_for(s);
    tn_spawn_options deep = tn_spawn_options_default();
    tn_runtime *runtime = create(&options);
    tn_task *task;

    deep.stack_size_bytes = (size_t)4 * 1024 * 1024;
    cr_assert_eq(tn_spawn_on(runtime, &deep, &task, sleep_in_the_deep, s), 0);
    cr_assert(tt_wait_until(has_said_it, s, LIMIT_NS / 2));
    atomic_store(&s->over, true);
    tt_join(task);
    tt_runtime_destroy(runtime);
    cr_assert_eq(count_of(&s->page, KEEPS), 1, "%s", s->page.text);
    cr_assert_geq(count_of(&s->page, "    #"), 1, "%s", s->page.text);
}

/* ThreadSanitizer delays signals until the thread makes a system call. */
Test(stuck_report, of_a_computer, .disabled = TT_TSAN)
{
    is_said_with_its_stack(compute_some);
}

static bool take_core(void *arg)
{
    tn_runtime *runtime = arg;
    tni_worker *worker = tni_aptr_load(&runtime->cores[0]->worker, TNI_ACQUIRE);

    return tni_worker_provide_replacements(runtime, 1) && tni_worker_replace(worker);
}

static bool is_inside(void *arg)
{
    return atomic_load(&((stand *)arg)->inside) > 0;
}

/* All cores are parked by then. The monitor stays awake for this task. */
Test(stuck_report, of_one_that_has_lost_its_core)
{
    stand *s = new_stand(sleep_some);
    tn_options options = options_for(s);
    tn_runtime *runtime;
    tn_task *task;

    options.workers = 1;
    options.report_stuck_ns = 300 * TN_MS;
    runtime = create(&options);
    task = tt_spawn_on(runtime, keep_thread, s);
    cr_assert(tt_wait_until(is_inside, s, LIMIT_NS / 2));
    cr_assert(tt_wait_until(take_core, runtime, LIMIT_NS / 2));
    cr_assert(tt_wait_until(has_said_it, s, LIMIT_NS / 2));
    atomic_store(&s->over, true);
    tt_join(task);
    tt_runtime_destroy(runtime);
    cr_assert_eq(count_of(&s->page, KEEPS), 1, "%s", s->page.text);
    cr_assert(shows_site(s), "%s", s->page.text);
}

static bool monitor_rests(void *arg)
{
    tn_runtime *runtime = arg;

    return tni_a32_load(&runtime->monitor.resting, TNI_ACQUIRE) != 0;
}

typedef struct {
    stand *stand;
    atomic_bool go_on;
} announced;

static void *block_then_keep(void *arg)
{
    announced *a = arg;

    tn_block_begin(TN_BLOCK_LAZY);
    atomic_store(&a->stand->inside, 1);
    while (!atomic_load(&a->go_on))
        sleep_some();
    tn_block_end();
    keep_here(a->stand);
    return NULL;
}

/* While the task declares that it blocks, the monitor sleeps without a limit. After that, the time counts again. */
Test(stuck_report, of_one_that_blocked_as_announced)
{
    stand *s = new_stand(sleep_some);
    tn_options options = options_for(s);
    announced a = {.stand = s};
    tn_runtime *runtime;
    tn_task *task;

    options.workers = 1;
    runtime = create(&options);
    task = tt_spawn_on(runtime, block_then_keep, &a);
    cr_assert(tt_wait_until(is_inside, s, LIMIT_NS / 2));
    cr_assert(tt_wait_until(take_core, runtime, LIMIT_NS / 2));
    cr_assert(tt_wait_until(monitor_rests, runtime, LIMIT_NS / 2));
    cr_assert_eq(count_of(&s->page, KEEPS), 0, "%s", s->page.text);
    atomic_store(&a.go_on, true);
    cr_assert(tt_wait_until(has_said_it, s, LIMIT_NS / 4));
    atomic_store(&s->over, true);
    tt_join(task);
    tt_runtime_destroy(runtime);
    cr_assert_eq(count_of(&s->page, KEEPS), 1, "%s", s->page.text);
}

typedef struct {
    tn_future base;
    stand *stand;
} keeping;

static int keep_in_poll(tn_future *self, tn_waker *waker)
{
    (void)waker;
    keep_here(((keeping *)(void *)self)->stand);
    return 0;
}

static void keep_no_more(tn_future *self)
{
    (void)self;
}

static const tn_future_ops keeping_ops = {.poll = keep_in_poll, .drop = keep_no_more};

/* The task has no stack of its own, and the report says so. */
Test(stuck_report, of_a_stackless_task)
{
    stand *s = new_stand(sleep_some);
    tn_options options = options_for(s);
    keeping future = {.base = {&keeping_ops}, .stand = s};
    tn_runtime *runtime = create(&options);
    tn_task *task;

    cr_assert_eq(tn_spawn_future(runtime, NULL, &task, &future.base), 0);
    cr_assert(tt_wait_until(has_said_it, s, LIMIT_NS / 2));
    atomic_store(&s->over, true);
    tt_join(task);
    tt_runtime_destroy(runtime);
    cr_assert_eq(count_of(&s->page, KEEPS), 1, "%s", s->page.text);
    cr_assert_eq(count_of(&s->page, "it has gone on"), 0, "%s", s->page.text);
}

static bool are_all_inside(void *arg)
{
    return atomic_load(&((stand *)arg)->inside) == 12;
}

Test(stuck_report, at_most_five_a_minute)
{
    stand *s = new_stand(sleep_some);
    tn_options options = options_for(s);
    tn_runtime *runtime;
    tn_task *tasks[12];

    options.workers = 12;
    runtime = create(&options);
    for (int i = 0; i < 12; i++)
        tasks[i] = tt_spawn_on(runtime, keep_thread, s);
    cr_assert(tt_wait_until(are_all_inside, s, LIMIT_NS / 2));
    s->wanted = 5;
    cr_assert(tt_wait_until(has_said_it, s, LIMIT_NS / 2));
    tt_block_thread(100 * TN_MS);
    atomic_store(&s->over, true);
    for (int i = 0; i < 12; i++)
        tt_join(tasks[i]);
    tt_runtime_destroy(runtime);
    cr_assert_eq(count_of(&s->page, KEEPS), 5, "%s", s->page.text);
}

/* --- Dumps ------------------------------------------------------------------------------------------------------------------ */

typedef struct {
    stand *stand;
    tn_runtime *runtime;
} dumping;

static bool dump_shows_site(void *arg)
{
    dumping *d = arg;

    pthread_mutex_lock(&d->stand->page.lock);
    d->stand->page.length = 0;
    pthread_mutex_unlock(&d->stand->page.lock);
    tn_dump(d->runtime, add_line, &d->stand->page);
    return has_shown_site(d->stand);
}

Test(stuck_report, dumps_show_what_runs)
{
    stand *s = new_stand(sleep_some);
    tn_options options = options_for(s);
    dumping d = {.stand = s};
    tn_task *task;

    options.report_stuck_ns = 3600 * TN_S;
    d.runtime = create(&options);
    task = tt_spawn_on(d.runtime, keep_thread, s);
    cr_assert(tt_wait_until(is_inside, s, LIMIT_NS / 2));
    cr_assert(tt_wait_until(dump_shows_site, &d, LIMIT_NS / 2), "%s", s->page.text);
    cr_assert_eq(count_of(&s->page, KEEPS), 0);
    atomic_store(&s->over, true);
    tt_join(task);
    tt_runtime_destroy(d.runtime);
}

__attribute__((noinline)) static void dump_here(stand *s)
{
    atomic_store(&s->site, __builtin_return_address(0));
    tn_dump(tn_runtime_current(), add_line, &s->page);
    __asm__ volatile("" ::: "memory");
}

static void *dump_myself(void *arg)
{
    dump_here(arg);
    return NULL;
}

Test(stuck_report, a_dump_shows_its_own_task)
{
    stand *s = new_stand(sleep_some);
    tn_options options = options_for(s);
    tn_runtime *runtime = create(&options);

    tt_join(tt_spawn_on(runtime, dump_myself, s));
    tt_runtime_destroy(runtime);
    cr_assert(shows_site(s), "%s", s->page.text);
}

static void ignore_line(void *ctx, const char *line)
{
    (void)ctx;
    tt_check(line[0] != '\0');
}

static void *dump_again_and_again(void *arg)
{
    dumping *d = arg;

    while (!atomic_load(&d->stand->over))
        tn_dump(d->runtime, ignore_line, NULL);
    return NULL;
}

static void *come_and_go(void *arg)
{
    stand *s = arg;

    for (unsigned long i = tt_scaled(20); i > 0; i--) {
        tt_block_thread(200 * TN_US);
        tt_check(tn_yield() == 0);
        tt_burn(50 * TN_US);
        tt_check(tn_sleep(TN_MS) == 0);
    }
    atomic_fetch_add(&s->inside, 1);
    return NULL;
}

/* Two threads make dumps all the time, while tasks begin, suspend, migrate, lose their cores, and end. */
Test(stuck_report, whatever_the_tasks_do)
{
    stand *s = new_stand(sleep_some);
    tn_options options = options_for(s);
    dumping d = {.stand = s};
    pthread_t threads[2];

    options.force_migration = tt_options().force_migration;
    options.stuck_after_ns = 0;
    options.report_stuck_ns = 1;
    d.runtime = create(&options);
    tn_runtime_hold(d.runtime);
    for (int i = 0; i < 2; i++)
        threads[i] = tt_thread_start(dump_again_and_again, &d);
    for (int round = 0; round < 5; round++) {
        tn_task *tasks[40];
        for (int i = 0; i < 40; i++)
            tasks[i] = tt_spawn_on(d.runtime, come_and_go, s);
        for (int i = 0; i < 40; i++)
            tt_join(tasks[i]);
    }
    atomic_store(&s->over, true);
    for (int i = 0; i < 2; i++)
        tt_thread_join(threads[i]);
    tn_runtime_unhold(d.runtime);
    tt_runtime_destroy(d.runtime);
    cr_assert_eq(atomic_load(&s->inside), 5 * 40);
}

/* A signal is pending while its thread ends, or while the runtime is destroyed. */
Test(stuck_report, whenever_the_runtime_goes)
{
    stand *s = new_stand(sleep_some);
    tn_options options = options_for(s);

    options.report_stuck_ns = 1;
    for (unsigned long i = tt_scaled(100); i > 0; i--) {
        tn_runtime *runtime = create(&options);
        for (int j = 0; j < 4; j++)
            cr_assert_eq(tn_spawn_on(runtime, NULL, NULL, block_shortly, (void *)(uintptr_t)((i % 20) * 500 * TN_US)), 0);
        tt_runtime_destroy(runtime);
    }
}
