/* SPDX-License-Identifier: MIT */
/* Task groups: the owner leaves after all tasks have ended. Also cancellation, the first error, ownership of results. */
/* ctest: timeout=120 */
#include <stdatomic.h>
#include <stdlib.h>

#include <tn/combine.h>
#include <tn/group.h>

#include "support/allocator.h"
#include "support/manual.h"
#include "support/runtime.h"

enum { HOUR_S = 3600, TASKS = 20 };

static void *number(void *arg)
{
    if ((uintptr_t)arg % 3 == 0)
        (void)tn_yield();
    return arg;
}

static void *sleep_long(void *arg)
{
    int rc = tn_sleep(HOUR_S * TN_S);

    if (arg != NULL)
        atomic_fetch_add((atomic_uint *)arg, 1);
    return (void *)(intptr_t)rc;
}

static void *fail(void *arg)
{
    (void)arg;
    return (void *)(intptr_t)TN_EPIPE;
}

/* --- Taking results --------------------------------------------------------------------------------------------------------- */

static void *take_all(void *arg)
{
    tn_group_result ended;
    uintptr_t seen = 0;
    unsigned count = 0;
    TN_GROUP(group, NULL);

    tt_check(tn_group_next(&group, &ended) == 0 && tn_group_wait(&group) == 0); /* empty */
    for (uintptr_t i = 1; i <= TASKS; i++)
        tt_check(tn_group_spawn(&group, NULL, number, (void *)i) == 0);
    while (tn_group_next(&group, &ended) == 1) {
        tt_check(ended.arg == ended.result && ended.error == 0);
        seen += (uintptr_t)ended.arg;
        count++;
    }
    tt_check(count == TASKS && seen == TASKS * (TASKS + 1) / 2 && tn_group_running(&group) == 0);
    tt_check(tn_group_spawn(&group, NULL, number, NULL) == 0); /* its result is not taken */
    return arg;
}

Test(group, each_result_comes_once)
{
    tt_run(take_all, NULL);
}

/* Results come in the order in which the tasks end. */
static void *wait_for(void *arg)
{
    return (void *)(intptr_t)tn_await(&((tt_manual *)arg)->base);
}

static void *take_in_order(void *arg)
{
    static const int order[4] = {2, 0, 3, 1};
    tt_manual manual[4];
    tn_group_result ended;
    TN_GROUP(group, NULL);

    for (int i = 0; i < 4; i++) {
        tt_manual_init(&manual[i]);
        tt_check(tn_group_spawn(&group, NULL, wait_for, &manual[i]) == 0);
    }
    for (int i = 0; i < 4; i++) {
        while (!tt_manual_was_polled(&manual[order[i]]))
            tt_check(tn_yield() == 0);
        tt_manual_ready(&manual[order[i]], order[i]);
        tt_check(tn_group_next(&group, &ended) == 1 && ended.arg == &manual[order[i]] && (intptr_t)ended.result == order[i]);
    }
    return arg;
}

Test(group, the_next_one_is_who_ended_next)
{
    tt_run(take_in_order, NULL);
}

Test(group, in_a_plain_thread)
{
    tn_group_options options = tn_group_options_default();
    tn_runtime *runtime = tt_runtime_create();
    atomic_uint ended = 0;
    tn_group group;

    tn_group_enter(&group, NULL);
    cr_assert_eq(tn_group_spawn(&group, NULL, number, NULL), TN_EINVAL);
    tn_group_leave(&group);
    options.runtime = runtime;
    tn_group_enter(&group, &options);
    cr_assert_eq(tn_group_spawn(&group, NULL, sleep_long, &ended), 0);
    cr_assert_eq(tn_group_spawn(&group, NULL, fail, NULL), 0);
    tn_group_leave(&group);
    cr_assert_eq(atomic_load(&ended), 1);
    tt_runtime_destroy(runtime);
}

/* --- Leaving ---------------------------------------------------------------------------------------------------------------- */

/* The tasks use the frame of the owner. */
static void early_return(atomic_uint *ended)
{
    TN_GROUP(group, NULL);

    for (int i = 0; i < TASKS; i++)
        tt_check(tn_group_spawn(&group, NULL, sleep_long, ended) == 0);
}

static void *leave_early(void *arg)
{
    atomic_uint ended = 0;

    early_return(&ended);
    tt_check(atomic_load(&ended) == TASKS);
    return arg;
}

Test(group, leaving_cancels_and_waits)
{
    tt_run(leave_early, NULL);
}

static void *clean_up_slowly(void *arg)
{
    tt_check(tn_sleep(HOUR_S * TN_S) == TN_ECANCELED);
    {
        TN_SHIELD(shield, TN_NEVER);
        tt_check(tn_sleep(5 * TN_MS) == 0);
    }
    atomic_fetch_add((atomic_uint *)arg, 1);
    return NULL;
}

static void *cancelled_owner(void *arg)
{
    atomic_uint *cleaned = arg;

    {
        TN_GROUP(group, NULL);
        for (int i = 0; i < 3; i++)
            tt_check(tn_group_spawn(&group, NULL, clean_up_slowly, cleaned) == 0);
        tt_check(tn_group_wait(&group) == TN_ECANCELED);
        tt_check(atomic_load(cleaned) == 0 && tn_group_running(&group) == 3);
    }
    tt_check(atomic_load(cleaned) == 3); /* leaving has waited, although the owner is cancelled */
    return NULL;
}

static void *cancel_owner(void *arg)
{
    atomic_uint cleaned = 0;
    tn_task *task = tt_spawn(cancelled_owner, &cleaned);

    tt_check(tn_sleep(2 * TN_MS) == 0);
    tn_cancel(task);
    (void)tt_join(task);
    return arg;
}

Test(group, a_cancelled_owner_waits_all_the_same)
{
    tt_run(cancel_owner, NULL);
}

static void *deadline_over(void *arg)
{
    atomic_uint ended = 0;
    TN_SCOPE(scope, tn_now() + 2 * TN_MS);
    TN_GROUP(group, NULL);

    tt_check(tn_group_spawn(&group, NULL, sleep_long, &ended) == 0);
    tt_check(tn_group_wait(&group) == TN_ETIMEDOUT);
    tn_group_cancel(&group);
    {
        TN_SHIELD(shield, TN_NEVER);
        tt_check(tn_group_wait(&group) == TN_ECANCELED && atomic_load(&ended) == 1);
    }
    return arg;
}

Test(group, a_scope_around_it_bounds_the_wait)
{
    tt_run(deadline_over, NULL);
}

/* --- Errors ----------------------------------------------------------------------------------------------------------------- */

static void *first_error(void *arg)
{
    tn_group_options options = tn_group_options_default();
    atomic_uint ended = 0;

    options.cancel_on_error = true;
    for (int cancels = 0; cancels < 2; cancels++) {
        TN_GROUP(group, cancels ? &options : NULL);
        for (int i = 0; i < TASKS; i++)
            tt_check(tn_group_spawn(&group, NULL, sleep_long, &ended) == 0);
        tt_check(tn_group_spawn(&group, NULL, fail, NULL) == 0);
        if (!cancels) {
            tn_group_result result;
            tt_check(tn_group_next(&group, &result) == 1 && result.error == TN_EPIPE);
            tt_check(tn_group_running(&group) == TASKS); /* they continue */
            tn_group_cancel(&group);
        }
        tt_check(tn_group_wait(&group) == TN_EPIPE); /* the first error, not those that it caused */
        tt_check(atomic_load(&ended) == TASKS);
        tt_check(tn_group_spawn(&group, NULL, sleep_long, &ended) == 0); /* cancelled from the start */
        tt_check(tn_group_wait(&group) == TN_EPIPE);
        atomic_store(&ended, 0);
    }
    return arg;
}

Test(group, the_first_error_may_cancel_the_rest)
{
    tt_run(first_error, NULL);
}

/* --- Spawning from inside, selecting ---------------------------------------------------------------------------------------- */

typedef struct {
    tn_group *group;
    atomic_uint *count;
    unsigned depth;
} tree;

static void *grow(void *arg)
{
    tree own = *(tree *)arg;

    free(arg);
    atomic_fetch_add(own.count, 1);
    for (int i = 0; i < 2 && own.depth > 0; i++) {
        tree *branch = malloc(sizeof *branch);
        tt_check(branch != NULL);
        *branch = (tree){own.group, own.count, own.depth - 1};
        tt_check(tn_group_spawn(own.group, NULL, grow, branch) == 0);
    }
    return NULL;
}

static void *plant(void *arg)
{
    atomic_uint count = 0;
    tree *root = malloc(sizeof *root);
    TN_GROUP(group, NULL);

    tt_check(root != NULL);
    *root = (tree){&group, &count, 7};
    tt_check(tn_group_spawn(&group, NULL, grow, root) == 0);
    tt_check(tn_group_wait(&group) == 0 && atomic_load(&count) == 255);
    return arg;
}

Test(group, its_tasks_may_spawn_into_it)
{
    for (unsigned long i = tt_scaled(20); i > 0; i--)
        tt_run(plant, NULL);
}

static void *next_or_time(void *arg)
{
    tn_group_future next;
    tn_sleep_future time;
    tn_future *futures[2] = {&next.base, &time.base};
    TN_GROUP(group, NULL);

    tt_check(tn_group_spawn(&group, NULL, sleep_long, NULL) == 0);
    tn_group_next_init(&next, &group);
    tn_sleep_init(&time, tn_now() + TN_MS);
    tt_check(tn_race(futures, 2, NULL) == 1);
    tn_group_cancel(&group);
    tn_group_next_init(&next, &group);
    tn_sleep_init(&time, tn_now() + HOUR_S * TN_S);
    tt_check(tn_race(futures, 2, NULL) == 0 && next.ended.error == TN_ECANCELED);
    return arg;
}

Test(group, the_next_one_is_a_future)
{
    tt_run(next_or_time, NULL);
}

/* --- Results, memory -------------------------------------------------------------------------------------------------------- */

static atomic_uint dropped;

static void count_drop(void *result)
{
    tt_check(result == &dropped);
    atomic_fetch_add(&dropped, 1);
}

static void *give_pointer(void *arg)
{
    (void)arg;
    return &dropped;
}

static void *drop_unclaimed(void *arg)
{
    tn_spawn_options options = tn_spawn_options_default();
    tn_group_result ended;

    options.drop_result = count_drop;
    {
        TN_GROUP(group, NULL);
        for (int i = 0; i < 5; i++)
            tt_check(tn_group_spawn(&group, &options, give_pointer, NULL) == 0);
        tt_check(tn_group_next(&group, &ended) == 1 && ended.result == &dropped);
        tt_check(tn_group_next(&group, &ended) == 1);
    }
    tt_check(atomic_load(&dropped) == 3);
    return arg;
}

static void *no_memory(void *arg)
{
    tt_allocator *allocator = arg;
    TN_GROUP(group, NULL);

    tt_allocator_fail(allocator, 1, 1);
    tt_check(tn_group_spawn(&group, NULL, number, NULL) == TN_ENOMEM);
    tt_check(tn_group_wait(&group) == 0);
    return drop_unclaimed(arg);
}

Test(group, results_that_nobody_takes_are_dropped)
{
    tn_options options = tt_options();
    tt_allocator allocator;
    tn_runtime *runtime;

    tt_allocator_init(&allocator);
    options.allocator = &allocator.as_option;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, no_memory, &allocator, NULL), 0);
    tt_runtime_destroy(runtime);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}

/* --- Forgetting results ----------------------------------------------------------------------------------------------------- */

static atomic_uint forgotten;

static void forget(void *result)
{
    tt_check_eq(*(const int *)result, 7); /* in the owner's frame */
    atomic_fetch_add(&forgotten, 1);
}

static void *pass_through(void *arg)
{
    if (atomic_load(&forgotten) % 4 == 1)
        (void)tn_yield();
    return arg;
}

static void *spawn_a_crowd(void *arg)
{
    tt_allocator *allocator = arg;
    tn_group_options options = tn_group_options_default();
    tn_spawn_options of_task = tn_spawn_options_default();
    int in_frame = 7;
    tn_group_result ended;
    tn_group group;
    long before;

    options.forget_results = true;
    of_task.drop_result = forget;
    atomic_store(&forgotten, 0);
    tn_group_enter(&group, &options);
    tt_check(tn_group_next(&group, &ended) == 0); /* empty */
    before = (long)atomic_load(&allocator->blocks);
    for (unsigned i = 1; i <= 5000; i++) {
        tt_check(tn_group_spawn(&group, &of_task, pass_through, &in_frame) == 0);
        while (tn_group_running(&group) > 16)
            tt_check(tn_yield() == 0);
    }
    tt_check(tn_group_next(&group, &ended) == 0); /* waits for the last one */
    tt_check(atomic_load(&forgotten) == 5000 && tn_group_running(&group) == 0);
    tt_check((long)atomic_load(&allocator->blocks) - before < 500); /* slabs; each result that is kept is a block */
    tt_check(tn_group_spawn(&group, NULL, fail, NULL) == 0);
    tt_check(tn_group_wait(&group) == TN_EPIPE);
    tt_check(tn_group_spawn(&group, &of_task, pass_through, &in_frame) == 0);
    tn_group_leave(&group);
    tt_check(atomic_load(&forgotten) == 5001);
    return arg;
}

Test(group, a_group_may_forget_results)
{
    tn_options options = tt_options();
    tt_allocator allocator;
    tn_runtime *runtime;

    tt_allocator_init(&allocator);
    options.allocator = &allocator.as_option;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, spawn_a_crowd, &allocator, NULL), 0);
    tt_runtime_destroy(runtime);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}

/* A plain thread waits for tasks that destroy discards. */
static void *wait_abandoned(void *arg)
{
    tn_group *group = arg;
    tn_group_result ended;

    tt_check(tn_group_next(group, &ended) == 1 && ended.error == TN_ESHUTDOWN);
    return NULL;
}

static void *suspend_for_good(void *arg)
{
    TN_SHIELD(shield, TN_NEVER);

    tt_gate_open(arg);
    (void)tn_sleep(HOUR_S * TN_S);
    return NULL;
}

Test(group, tasks_thrown_away_have_ended)
{
    tn_group_options options = tn_group_options_default();
    tn_runtime *runtime = tt_runtime_create();
    tt_gate suspended = TT_GATE_INIT;
    tn_group group;

    options.runtime = runtime;
    tn_group_enter(&group, &options);
    cr_assert_eq(tn_group_spawn(&group, NULL, suspend_for_good, &suspended), 0);
    tt_gate_wait(&suspended, 1);
    cr_assert_eq(tn_runtime_destroy(runtime, TN_SHUTDOWN_CANCEL, 100 * TN_MS), 1);
    (void)wait_abandoned(&group);
    tn_group_leave(&group);
}

static void *enter_and_forget(void *arg)
{
    static tn_group group;

    tn_group_enter(&group, NULL);
    return arg;
}

static void run_forgetful(void *arg)
{
    tn_spawn_options options = tn_spawn_options_default();
    tn_runtime *runtime;
    tn_task *task;

    (void)arg;
    options.name = "careless";
    if (tn_runtime_create(&runtime, NULL) == 0 && tn_spawn_on(runtime, &options, &task, enter_and_forget, NULL) == 0)
        (void)tn_join(task, NULL);
}

Test(group, one_that_is_not_left_ends_the_process)
{
    tt_child child = tt_fork(run_forgetful, NULL);

    cr_assert(tt_child_aborted(&child, "\"careless\""), "%s", child.said);
}

/* Tasks end while the owner leaves, cancels and takes results. */
static void *churn(void *arg)
{
    for (unsigned long i = tt_scaled(500); i > 0; i--) {
        atomic_uint ended = 0;
        tn_group_result result;
        TN_GROUP(group, NULL);
        for (uintptr_t j = 0; j < 6; j++)
            tt_check(tn_group_spawn(&group, NULL, j % 2 ? sleep_long : number, j % 2 ? (void *)&ended : (void *)j) == 0);
        if (i % 3 == 0)
            tt_check(tn_group_next(&group, &result) == 1);
        if (i % 3 == 1)
            tt_check(tn_yield() == 0);
        if (i % 2 == 0)
            tn_group_cancel(&group);
    }
    return arg;
}

Test(group, ends_against_leaving)
{
    tt_run(churn, NULL);
}
