/* SPDX-License-Identifier: MIT */
/* A task knows the core on which it runs, and workers run on the processors that they are given. */
/* ctest: timeout=120 */
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "support/runtime.h"

enum { WORKERS = 4 };

static void *check_index(void *arg)
{
    int index = tn_worker_index();

    tt_check(index >= 0 && index < WORKERS);
    atomic_fetch_or((atomic_uint *)arg, 1u << index);
    tt_block_thread(TN_MS); /* so that another worker takes the next task */
    return NULL;
}

static void *use_all_cores(void *arg)
{
    uint64_t limit_ns = tn_now() + 20 * TN_S;

    while (atomic_load((atomic_uint *)arg) != (1u << WORKERS) - 1) {
        tn_task *tasks[2 * WORKERS];
        for (int i = 0; i < 2 * WORKERS; i++)
            tasks[i] = tt_spawn(check_index, arg);
        for (int i = 0; i < 2 * WORKERS; i++)
            tt_join(tasks[i]);
        tt_check(tn_now() < limit_ns);
    }
    return NULL;
}

Test(worker, each_core_has_an_index)
{
    tn_options options = tt_options();
    atomic_uint seen = 0;
    tn_runtime *runtime;

    options.workers = WORKERS;
    options.stuck_after_ns = UINT64_MAX; /* a task keeps its core */
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, use_all_cores, &seen, NULL), 0);
    tt_runtime_destroy(runtime);
}

Test(worker, a_plain_thread_has_no_worker_index)
{
    cr_assert_eq(tn_worker_index(), -1);
}

/* --- Processors ------------------------------------------------------------------------------------------------------------- */

enum { LISTED = 2 };

/* The last processors that this thread may use; the same one twice if there is but one. */
static void choose_cpus(unsigned cpus[LISTED])
{
    cpu_set_t set;
    int count = 0;

    cr_assert_eq(sched_getaffinity(0, sizeof set, &set), 0);
    for (unsigned cpu = CPU_SETSIZE; cpu-- > 0 && count < LISTED;)
        if (CPU_ISSET(cpu, &set))
            cpus[count++] = cpu;
    cr_assert_gt(count, 0);
    if (count == 1)
        cpus[1] = cpus[0];
}

static tn_options bound_options(const unsigned *cpus, size_t count)
{
    tn_options options = tt_options();

    options.workers = 0;
    options.worker_cpus = cpus;
    options.worker_cpu_count = count;
    return options;
}

static void *check_processor(void *arg)
{
    const unsigned *cpus = arg;
    int index = tn_worker_index();
    cpu_set_t set;

    tt_check(index >= 0 && index < LISTED);
    tt_check_eq(sched_getaffinity(0, sizeof set, &set), 0);
    tt_check_eq(CPU_COUNT(&set), 1);
    tt_check(CPU_ISSET(cpus[index], &set));
    return NULL;
}

static void *spread_pinned(void *arg)
{
    tn_task *tasks[4 * LISTED];

    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        tn_spawn_options options = {.size = sizeof options, .pinned = true};
        tt_check_eq(tn_spawn_on(tn_runtime_current(), &options, &tasks[i], check_processor, arg), 0);
    }
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++)
        tt_join(tasks[i]);
    return NULL;
}

Test(worker, each_core_runs_on_its_processor)
{
    unsigned cpus[LISTED];
    unsigned given[LISTED] = {0};
    tn_options options = bound_options(given, LISTED);
    cpu_set_t before;
    cpu_set_t after;
    tn_runtime *runtime;

    choose_cpus(cpus);
    memcpy(given, cpus, sizeof cpus);
    cr_assert_eq(sched_getaffinity(0, sizeof before, &before), 0);
    options.stuck_after_ns = UINT64_MAX; /* no replacement, which may run on both */
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_runtime_workers(runtime), LISTED); /* one for each entry */
    memset(given, 0xff, sizeof given);                 /* the list is copied */
    cr_assert_eq(tn_block_on(runtime, spread_pinned, cpus, NULL), 0);
    tt_runtime_destroy(runtime);
    cr_assert_eq(sched_getaffinity(0, sizeof after, &after), 0);
    cr_assert(CPU_EQUAL(&before, &after), "the caller's processors changed");
}

static void *check_replacement(void *arg)
{
    const unsigned *cpus = arg;
    cpu_set_t set;

    tt_check_eq(sched_getaffinity(0, sizeof set, &set), 0);
    for (int i = 0; i < LISTED; i++)
        tt_check(CPU_ISSET(cpus[i], &set));
    tt_check(CPU_COUNT(&set) <= LISTED);
    return NULL;
}

static void *block_beside_another(void *arg)
{
    tn_task *task = tt_spawn(check_replacement, arg);
    uint64_t limit_ns = tn_now() + 20 * TN_S;

    while (!tn_task_is_finished(task)) { /* without suspending: this worker is stuck */
        tt_block_thread(TN_MS);
        tt_check(tn_now() < limit_ns);
    }
    tt_join(task);
    return NULL;
}

Test(worker, a_replacement_runs_on_any_of_the_list)
{
    unsigned cpus[LISTED] = {0};
    tn_options options = bound_options(cpus, LISTED);
    tn_runtime *runtime;

    choose_cpus(cpus);
    options.workers = 1;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, block_beside_another, cpus, NULL), 0);
    tt_runtime_destroy(runtime);
}

Test(worker, processors_that_cannot_be_used_are_refused)
{
    unsigned cpus[] = {0, 0, 100000};
    tn_options options;
    tn_runtime *runtime;

    choose_cpus(cpus); /* the first two can */
    cpus[1] = 8191;
    options = bound_options(cpus, 2);
    cr_assert_eq(tn_runtime_create(&runtime, &options), TN_EINVAL);
    options.worker_cpus = &cpus[2];
    options.worker_cpu_count = 1;
    cr_assert_eq(tn_runtime_create(&runtime, &options), TN_EINVAL);
    options.worker_cpus = cpus;
    options.worker_cpu_count = 0;
    cr_assert_eq(tn_runtime_create(&runtime, &options), TN_EINVAL);
    options.worker_cpus = NULL;
    options.worker_cpu_count = 1;
    cr_assert_eq(tn_runtime_create(&runtime, &options), TN_EINVAL);
    options.worker_cpus = cpus;
    options.flavor = TN_CURRENT_THREAD;
    cr_assert_eq(tn_runtime_create(&runtime, &options), TN_EINVAL);
}
