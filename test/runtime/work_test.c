/* SPDX-License-Identifier: MIT */
/* Marked work: the time of a piece of work is told apart, and slow work is logged. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tn/inspect.h>
#include <tn/sync.h>
#include <tn/time.h>
#include <tn/work.h>

#include "support/runtime.h"

typedef struct {
    char text[16384];
    size_t length;
    pthread_mutex_t lock;
    tn_options options;
    tn_runtime *runtime;
    tn_work_spent spent;
    tn_work_spent outer;
    tn_mutex mutex;
    atomic_int stop;
} scene;

static void take_line(void *ctx, tn_log_level level, const char *line)
{
    scene *s = ctx;

    (void)level;
    pthread_mutex_lock(&s->lock);
    s->length += (size_t)snprintf(s->text + s->length, sizeof s->text - s->length, "%s\n", line);
    tt_check(s->length < sizeof s->text);
    pthread_mutex_unlock(&s->lock);
}

static scene *new_scene(uint64_t slow_ns)
{
    static scene s;

    memset(&s, 0, sizeof s);
    pthread_mutex_init(&s.lock, NULL);
    s.options = tt_options();
    s.options.report_slow_ns = slow_ns;
    s.options.log = take_line;
    s.options.log_ctx = &s;
    s.spent.size = s.outer.size = sizeof s.spent;
    tn_mutex_init(&s.mutex);
    return &s;
}

static void run(scene *s, tn_entry_fn entry)
{
    cr_assert_eq(tn_runtime_create(&s->runtime, &s->options), 0);
    cr_assert_eq(tn_block_on(s->runtime, entry, s, NULL), 0);
    tt_runtime_destroy(s->runtime);
}

static const tn_work_wait *wait_named(const tn_work_spent *spent, const char *name)
{
    for (int i = 0; i < TN_WORK_WAITS; i++)
        if (strcmp(spent->waits[i].name, name) == 0)
            return &spent->waits[i];
    return NULL;
}

/* --- How the time was spent ---------------------------------------------------------------------------------------------- */

static bool note_waiter(void *ctx, const tn_task_info *info)
{
    *(bool *)ctx |= info->state == TN_TASK_WAITS && strcmp(info->waits_for, "mutex") == 0;
    return true;
}

static void *hold_mutex(void *arg)
{
    scene *s = arg;

    tt_check(tn_mutex_lock(&s->mutex) == 0);
    atomic_store(&s->stop, 1);
    for (bool waits = false; !waits; tn_tasks_each(s->runtime, note_waiter, &waits))
        tt_check(tn_sleep(10 * TN_MS) == 0);
    tn_mutex_unlock(&s->mutex);
    return NULL;
}

static void *spend(void *arg)
{
    scene *s = arg;
    tn_task *holder = tt_spawn(hold_mutex, s);
    tn_work outer;
    tn_work work;

    while (atomic_load(&s->stop) == 0)
        (void)tn_sleep(TN_MS);
    tn_work_begin(&outer, "outer");
    tt_burn(5 * TN_MS);
    tn_work_begin(&work, "inner");
    tt_burn(10 * TN_MS);
    tt_check(tn_mutex_lock(&s->mutex) == 0);
    tn_mutex_unlock(&s->mutex);
    for (int i = 0; i < 3; i++)
        tt_check(tn_sleep(100 * TN_MS) == 0); /* a late task does not wait, if the time is over */
    tt_check(tn_work_read(&work, &s->spent) == 0);
    tn_work_end(&work);
    tt_check(tn_work_read(&work, &s->spent) == TN_ENOTSUP);
    tt_check(tn_sleep(100 * TN_MS) == 0);
    tt_check(tn_work_read(&outer, &s->outer) == 0);
    tn_work_end(&outer);
    tt_join(holder);
    return NULL;
}

Test(work, its_time_is_told_apart)
{
    scene *s = new_scene(UINT64_MAX);
    const tn_work_wait *mutex;
    const tn_work_wait *sleep;

    run(s, spend);
    mutex = wait_named(&s->spent, "mutex");
    sleep = wait_named(&s->spent, "sleep");
    cr_assert_not_null(mutex);
    cr_assert_not_null(sleep);
    cr_assert_eq(s->spent.total_ns, s->spent.ran_ns + s->spent.queued_ns + s->spent.waited_ns);
    cr_assert_geq(s->spent.ran_ns, 10 * TN_MS);
    cr_assert_eq(mutex->count, 1);
    cr_assert_eq(sleep->count, 3);
    cr_assert_geq(sleep->total_ns, 15 * TN_MS);
    cr_assert_geq(s->spent.waited_ns, mutex->total_ns + sleep->total_ns);
    cr_assert_geq(s->spent.turns, 4);
    sleep = wait_named(&s->outer, "sleep");
    cr_assert_eq(sleep->count, 4, "what the inner work waits for counts for the outer one");
    cr_assert_geq(s->outer.ran_ns, 15 * TN_MS);
    cr_assert_geq(s->outer.total_ns, s->spent.total_ns + 5 * TN_MS);
    cr_assert_str_empty(s->text);
}

static void *yield_to(void *arg)
{
    scene *s = arg;

    while (atomic_load(&s->stop) == 0) {
        tt_burn(2 * TN_MS);
        tt_check(tn_yield() == 0);
    }
    return NULL;
}

static void *wait_in_queue(void *arg)
{
    scene *s = arg;
    tn_task *others[4];
    tn_work work;
    unsigned yields = 0;

    for (int i = 0; i < 4; i++)
        others[i] = tt_spawn(yield_to, s);
    tn_work_begin(&work, "queued");
    do { /* more if replacement threads run the others */
        tt_check(tn_yield() == 0);
        yields++;
        tt_check(tn_work_read(&work, &s->spent) == 0);
    } while (yields < 10 || (s->spent.queued_ns < 20 * TN_MS && yields < 1000));
    tt_check_eq(s->spent.turns, yields);
    tn_work_end(&work);
    atomic_store(&s->stop, 1);
    for (int i = 0; i < 4; i++)
        tt_join(others[i]);
    return NULL;
}

Test(work, time_in_a_queue_is_no_wait)
{
    scene *s = new_scene(UINT64_MAX);

    s->options.workers = 1;
    s->options.force_migration = false;
    run(s, wait_in_queue);
    cr_assert_eq(s->spent.waited_ns, 0);
    cr_assert_geq(s->spent.queued_ns, 20 * TN_MS);
}

/* --- Reports ------------------------------------------------------------------------------------------------------------- */

static void *two_works(void *arg)
{
    tn_work work;

    (void)arg;
    tn_task_set_name("worker");
    tn_work_begin(&work, "quick");
    tn_work_end(&work);
    tn_work_begin(&work, "GET /slow");
    tt_check(tn_sleep(600 * TN_MS) == 0);
    tn_work_end(&work);
    return NULL;
}

Test(work, only_what_is_slow_is_logged)
{
    scene *s = new_scene(300 * TN_MS);
    unsigned long long id;
    double took, ran, queued, waited, slept;

    run(s, two_works);
    cr_assert_eq(sscanf(s->text,
                        "slow: \"GET /slow\" of task %llu \"worker\" took %lf ms: ran %lf ms, was queued %lf ms in 1 turns, "
                        "waited %lf ms: sleep %lf ms (1)\n",
                        &id, &took, &ran, &queued, &waited, &slept),
                 6, "%s", s->text);
    cr_assert_geq(slept, 30);
    cr_assert_geq(took, slept);
    cr_assert_null(strstr(s->text, "quick"));
}

static void *many_works(void *arg)
{
    tn_work work;

    (void)arg;
    for (int i = 0; i < 100; i++) {
        tn_work_begin(&work, "many");
        tn_work_end(&work);
    }
    return NULL;
}

Test(work, reports_are_few)
{
    scene *s = new_scene(1);
    unsigned lines = 0;

    run(s, many_works);
    for (const char *at = s->text; (at = strstr(at, "slow: \"many\"")) != NULL; at++)
        lines++;
    cr_assert_geq(lines, 60);
    cr_assert_leq(lines, 100, "a minute may have ended"); /* 100 only if it has */
}

static void *not_measured(void *arg)
{
    scene *s = arg;
    tn_work work;

    tn_work_begin(&work, "off");
    tt_check(tn_work_read(&work, &s->spent) == TN_ENOTSUP);
    tt_check(tn_sleep(TN_MS) == 0);
    tn_work_end(&work);
    return NULL;
}

Test(work, without_the_option_nothing_is_measured)
{
    scene *s = new_scene(0);

    run(s, not_measured);
    cr_assert_str_empty(s->text);
    not_measured(s); /* a plain thread */
}

/* --- Misuse, and ends that are not in order ------------------------------------------------------------------------------ */

static void *crossed(void *arg)
{
    scene *s = arg;
    tn_work first;
    tn_work second;

    tn_work_begin(&first, "first");
    tn_work_begin(&second, "second");
    tt_check(tn_sleep(100 * TN_MS) == 0);
    tn_work_end(&first);
    tt_check(tn_sleep(100 * TN_MS) == 0);
    tt_check(tn_work_read(&second, &s->spent) == 0);
    tn_work_end(&second);
    tt_check(tn_sleep(100 * TN_MS) == 0);
    return NULL;
}

Test(work, works_may_end_in_any_order)
{
    scene *s = new_scene(UINT64_MAX);

    run(s, crossed);
    cr_assert_eq(wait_named(&s->spent, "sleep")->count, 2);
}

static void *leave_open(void *arg)
{
    tn_work work;

    (void)arg;
    tn_work_begin(&work, "open");
    return NULL;
}

static void run_open(void *arg)
{
    tn_options options = tn_options_default();

    (void)arg;
    options.report_slow_ns = TN_S;
    (void)tn_run(leave_open, NULL, &options);
}

static void *begin_again(void *arg)
{
    tn_work work;

    (void)arg;
    tn_work_begin(&work, "begun");
    tn_work_begin(&work, "begun again");
    return NULL;
}

static void run_begin_again(void *arg)
{
    tn_options options = tn_options_default();

    (void)arg;
    options.report_slow_ns = TN_S;
    alarm(20); /* it must not loop for ever */
    (void)tn_run(begin_again, NULL, &options);
}

Test(work, one_that_has_not_ended_cannot_begin)
{
    tt_child child = tt_fork(run_begin_again, NULL);

    cr_assert(tt_child_aborted(&child, "tn_work_begin: the work has not ended"));
}

Test(work, a_task_that_ends_inside_a_work_is_named)
{
    tt_child child = tt_fork(run_open, NULL);

    cr_assert(tt_child_aborted(&child, "a task ends between tn_work_begin and tn_work_end"));
}

/* --- Many tasks, woken by threads and by each other ---------------------------------------------------------------------- */

enum { TASKS = 32 };

static void *storm(void *arg)
{
    scene *s = arg;

    for (unsigned long i = 0; i < tt_scaled(300); i++) {
        tn_work work;
        tn_work_spent spent = {.size = sizeof spent};
        tn_work_begin(&work, "storm");
        tt_check(tn_mutex_lock(&s->mutex) == 0);
        tt_check(tn_yield() == 0);
        tn_mutex_unlock(&s->mutex);
        tt_check(tn_work_read(&work, &spent) == 0);
        tt_check_eq(spent.total_ns, spent.ran_ns + spent.queued_ns + spent.waited_ns);
        tn_work_end(&work);
    }
    return NULL;
}

static void *storm_main(void *arg)
{
    tn_task *tasks[TASKS];

    for (int i = 0; i < TASKS; i++)
        tasks[i] = tt_spawn(storm, arg);
    for (int i = 0; i < TASKS; i++)
        tt_join(tasks[i]);
    return NULL;
}

Test(work, tasks_on_all_workers_are_accounted)
{
    run(new_scene(UINT64_MAX), storm_main);
}
