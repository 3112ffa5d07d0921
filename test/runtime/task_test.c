/* SPDX-License-Identifier: MIT */
/* Tasks: spawning, joining, handles, names, yielding. */
/* ctest: timeout=120 */
#include <string.h>

#include "support/runtime.h"

#include <stdatomic.h>

static void *echo(void *arg)
{
    return arg;
}

static void *add_one(void *arg)
{
    atomic_fetch_add((atomic_ulong *)arg, 1);
    return NULL;
}

/* --- Spawning and joining ------------------------------------------------------------------------------------------------- */

static void *spawn_and_join(void *arg)
{
    int local = 7;
    (void)arg;
    tt_check(tt_join(tt_spawn(echo, &local)) == &local);
    tt_check(tt_join(tt_spawn(echo, NULL)) == NULL);
    tt_check(tn_join(tt_spawn(echo, &local), NULL) == 0);
    return NULL;
}

Test(task, spawn_and_join_in_a_fiber)
{
    tt_run(spawn_and_join, NULL);
}

Test(task, block_on_gives_the_result)
{
    tn_runtime *runtime = tt_runtime_create();
    void *result = NULL;

    cr_assert_eq(tn_block_on(runtime, echo, &result, &result), 0);
    cr_assert_eq(result, &result);
    cr_assert_eq(tn_block_on(runtime, echo, NULL, NULL), 0);
    tt_runtime_destroy(runtime);
}

static void *block_on_again(void *arg)
{
    void *result = NULL;

    tt_check(tn_block_on(tn_runtime_current(), echo, arg, &result) == 0);
    return result;
}

Test(task, block_on_in_a_task)
{
    tn_runtime *runtime = tt_runtime_create();
    int local = 0;
    void *result = NULL;

    cr_assert_eq(tn_block_on(runtime, block_on_again, &local, &result), 0);
    cr_assert_eq(result, &local);
    tt_runtime_destroy(runtime);
}

Test(task, spawn_and_join_from_a_plain_thread)
{
    tn_runtime *runtime = tt_runtime_create();
    int local = 0;

    for (unsigned long i = 0; i < tt_scaled(2000); i++) {
        void *result = NULL;
        tn_task *task = tt_spawn_on(runtime, echo, &local);
        cr_assert_eq(tn_join(task, &result), 0);
        cr_assert_eq(result, &local);
    }
    tt_runtime_destroy(runtime);
}

typedef struct {
    tn_future base;
    atomic_ulong *count;
    int spawned;
} spawning_future;

static int spawning_poll(tn_future *self, tn_waker *waker)
{
    spawning_future *future = (spawning_future *)(void *)self;
    (void)waker;

    tt_check(tn_self() != NULL && tn_runtime_current() != NULL && tn_checkpoint() == 0);
    for (; future->spawned < 10; future->spawned++)
        tt_check(tn_spawn(NULL, add_one, future->count) == 0);
    return future->spawned;
}

static void spawning_drop(tn_future *self)
{
    ((spawning_future *)(void *)self)->base.ops = NULL;
}

Test(task, spawn_in_a_poll_function)
{
    static const tn_future_ops ops = {spawning_poll, spawning_drop};
    atomic_ulong count = 0;
    spawning_future future = {.base = {&ops}, .count = &count};
    tn_runtime *runtime = tt_runtime_create();
    tn_task *task = NULL;

    cr_assert_eq(tn_spawn_future(runtime, NULL, &task, &future.base), 0);
    cr_assert_eq((intptr_t)tt_join(task), 10);
    cr_assert_null(future.base.ops);
    tt_runtime_destroy(runtime);
    cr_assert_eq(atomic_load(&count), 10);
}

Test(task, detached_tasks_all_run)
{
    tn_runtime *runtime = tt_runtime_create();
    unsigned long wanted = tt_scaled(20000);
    atomic_ulong count = 0;

    for (unsigned long i = 0; i < wanted; i++)
        cr_assert_eq(tn_spawn_on(runtime, NULL, NULL, add_one, &count), 0);
    tt_runtime_destroy(runtime);
    cr_assert_eq(atomic_load(&count), wanted);
}

static void *spawn_and_join_many(void *arg)
{
    unsigned long wanted = tt_scaled(100000);
    atomic_ulong count = 0;
    (void)arg;

    for (unsigned long i = 0; i < wanted; i++)
        tt_check(tt_join(tt_spawn(add_one, &count)) == NULL);
    tt_check(atomic_load(&count) == wanted);
    return NULL;
}

Test(task, spawn_and_join_100000_times)
{
    tt_run(spawn_and_join_many, NULL);
}

static void *descend(void *arg)
{
    uintptr_t depth = (uintptr_t)arg;

    if (depth == 0)
        return NULL;
    return (void *)((uintptr_t)tt_join(tt_spawn(descend, (void *)(depth - 1))) + 1);
}

Test(task, each_task_spawns_and_joins_the_next)
{
    tn_runtime *runtime = tt_runtime_create();
    uintptr_t depth = tt_scaled(10000);
    void *result = NULL;

    cr_assert_eq(tn_block_on(runtime, descend, (void *)depth, &result), 0);
    cr_assert_eq((uintptr_t)result, depth);
    tt_runtime_destroy(runtime);
}

static void *fibonacci(void *arg)
{
    uintptr_t n = (uintptr_t)arg;
    tn_task *left;
    uintptr_t right;

    if (n < 2)
        return arg;
    left = tt_spawn(fibonacci, (void *)(n - 1));
    right = (uintptr_t)fibonacci((void *)(n - 2));
    return (void *)((uintptr_t)tt_join(left) + right);
}

Test(task, fork_and_join_tree)
{
    tn_runtime *runtime = tt_runtime_create();
    void *result = NULL;

    cr_assert_eq(tn_block_on(runtime, fibonacci, (void *)(uintptr_t)18, &result), 0);
    cr_assert_eq((uintptr_t)result, 2584);
    tt_runtime_destroy(runtime);
}

typedef struct {
    tn_runtime *runtime;
    unsigned long count;
    atomic_ulong done;
} storm;

static void *spawn_storm(void *arg)
{
    storm *s = arg;

    for (unsigned long i = 0; i < s->count; i++) {
        if (i % 3 == 0)
            tt_join(tt_spawn_on(s->runtime, add_one, &s->done));
        else if (i % 3 == 1)
            tn_task_release(tt_spawn_on(s->runtime, add_one, &s->done));
        else
            tt_check(tn_spawn_on(s->runtime, NULL, NULL, add_one, &s->done) == 0);
    }
    return NULL;
}

Test(task, storms_from_plain_threads)
{
    storm s = {.runtime = tt_runtime_create(), .count = tt_scaled(12000)};
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        threads[i] = tt_thread_start(spawn_storm, &s);
    for (int i = 0; i < 4; i++)
        tt_thread_join(threads[i]);
    tt_runtime_destroy(s.runtime);
    cr_assert_eq(atomic_load(&s.done), 4 * s.count);
}

/* --- Errors --------------------------------------------------------------------------------------------------------------- */

Test(task, spawn_outside_a_runtime_is_refused)
{
    tn_task *task = (tn_task *)(void *)&task;

    cr_assert_eq(tn_spawn(&task, echo, NULL), TN_EINVAL);
    cr_assert_null(task);
    cr_assert_eq(tn_spawn(NULL, echo, NULL), TN_EINVAL);
    cr_assert_null(tn_runtime_current());
    cr_assert_null(tn_self());
    cr_assert_eq(tn_checkpoint(), 0);
}

static void spawn_outside(void *arg)
{
    tn_future *none = NULL;

    (void)arg;
    tt_check_eq(tn_spawn(NULL, echo, NULL), TN_EINVAL);
    tt_check_eq(tn_spawn_future(NULL, NULL, NULL, none), TN_EINVAL);
}

Test(task, a_refused_spawn_says_what_to_call)
{
    tt_child child = tt_fork(spawn_outside, NULL);

    cr_assert_eq(child.status, 0);
    cr_assert_not_null(strstr(child.said, "tn_spawn: this thread runs no task: use tn_spawn_on"), "%s", child.said);
    cr_assert_not_null(strstr(child.said, "tn_spawn_future: there is no runtime"), "%s", child.said);
}

Test(task, too_large_a_stack_is_refused)
{
    tn_runtime *runtime = tt_runtime_create();
    tn_spawn_options options = tn_spawn_options_default();
    tn_task *task = NULL;

    options.stack_size_bytes = (size_t)64 * 1024 * 1024 + 1;
    cr_assert_eq(tn_spawn_on(runtime, &options, &task, echo, NULL), TN_EINVAL);
    cr_assert_null(task);
    cr_assert_eq(tn_runtime_tasks(runtime), 0);
    tt_runtime_destroy(runtime);
}

/* --- Two joiners ---------------------------------------------------------------------------------------------------------- */

typedef struct {
    atomic_bool go;
    tn_task *target;
    atomic_uint joined;
    atomic_uint refused;
} contest;

static void *wait_for_go(void *arg)
{
    contest *c = arg;

    while (!atomic_load(&c->go))
        tt_check(tn_sleep(TN_MS) == 0);
    return c;
}

static void *try_join(void *arg)
{
    contest *c = arg;
    void *result = NULL;
    int rc = tn_join(c->target, &result);

    if (rc == TN_EBUSY) {
        atomic_fetch_add(&c->refused, 1);
        atomic_store(&c->go, true);
        tn_task_release(c->target);
        return NULL;
    }
    tt_check(rc == 0 && result == c);
    atomic_fetch_add(&c->joined, 1);
    return NULL;
}

static void *two_joiners(void *arg)
{
    contest *c = arg;
    tn_task *first;
    tn_task *second;

    c->target = tt_spawn(wait_for_go, c);
    tn_task_retain(c->target);
    first = tt_spawn(try_join, c);
    second = tt_spawn(try_join, c);
    tt_join(first);
    tt_join(second);
    tt_check(atomic_load(&c->joined) == 1 && atomic_load(&c->refused) == 1);
    return NULL;
}

Test(task, the_second_joiner_is_refused)
{
    contest c = {.go = false};

    tt_run(two_joiners, &c);
}

typedef struct {
    tn_task *target;
    int rc;
} cancelled_joiner;

static void *join_it(void *arg)
{
    cancelled_joiner *j = arg;

    j->rc = tn_join(j->target, NULL);
    return NULL;
}

static void *cancel_a_joiner(void *arg)
{
    contest c = {.go = false};
    cancelled_joiner j = {.target = tt_spawn(wait_for_go, &c)};
    tn_task *joiner = tt_spawn(join_it, &j);
    (void)arg;

    tt_check(tn_sleep(2 * TN_MS) == 0);
    tn_cancel(joiner);
    tt_join(joiner);
    tt_check(j.rc == TN_ECANCELED);
    tt_check(!tn_task_is_finished(j.target));
    atomic_store(&c.go, true);
    tt_check(tt_join(j.target) == &c); /* the caller keeps the handle, and no other task waits */
    return NULL;
}

Test(task, a_cancelled_join_keeps_the_handle)
{
    tt_run(cancel_a_joiner, NULL);
}

/* --- Handles -------------------------------------------------------------------------------------------------------------- */

static void *handles(void *arg)
{
    contest c = {.go = false};
    tn_task *task = tt_spawn(wait_for_go, &c);
    tn_task *again = tn_task_retain(task);
    uint64_t id = tn_task_id(task);
    (void)arg;

    tt_check(again == task && !tn_task_is_finished(task));
    tn_task_release(NULL);
    atomic_store(&c.go, true);
    tt_check(tt_join(task) == &c);
    tt_check(tn_task_is_finished(again) && tn_task_id(again) == id);
    tt_check(tt_join(tn_task_retain(again)) == &c); /* an ended task can be joined once per handle */
    tt_check(tt_join(again) == &c);
    return NULL;
}

Test(task, retained_handles_outlive_the_join)
{
    tt_run(handles, NULL);
}

static void *self_of(void *arg)
{
    tn_task *self = tn_self();
    (void)arg;

    tt_check(self != NULL);
    tt_check(tn_yield() == 0);
    tt_check(tn_self() == self);
    tt_check(tn_sleep(TN_MS) == 0);
    tt_check(tn_self() == self);
    return self;
}

static void *selves(void *arg)
{
    tn_task *tasks[50];
    (void)arg;

    for (int i = 0; i < 50; i++)
        tasks[i] = tt_spawn(self_of, NULL);
    for (int i = 0; i < 50; i++) {
        tn_task *task = tasks[i];
        tt_check(tt_join(task) == task);
    }
    return NULL;
}

Test(task, self_is_the_calling_task)
{
    tt_run(selves, NULL);
}

static tn_task *spawn_named(const char *name)
{
    tn_spawn_options options = tn_spawn_options_default();
    tn_task *task = NULL;

    options.name = name;
    tt_check(tn_spawn_on(NULL, &options, &task, echo, NULL) == 0);
    return task;
}

static void *names(void *arg)
{
    char buffer[64] = "short";
    tn_task *unnamed = tt_spawn(echo, NULL);
    tn_task *named = spawn_named(buffer);
    tn_task *exact = spawn_named("12345678901234567890123");
    tn_task *longer = spawn_named("123456789012345678901234567890");
    (void)arg;

    memset(buffer, 'x', sizeof buffer - 1); /* the name was copied */
    tt_check(strcmp(tn_task_name(unnamed), "") == 0);
    tt_check(strcmp(tn_task_name(named), "short") == 0);
    tt_check(strcmp(tn_task_name(exact), "12345678901234567890123") == 0);
    tt_check(strcmp(tn_task_name(longer), "12345678901234567890123") == 0);
    tt_join(unnamed);
    tt_join(named);
    tt_join(exact);
    tt_join(longer);
    return NULL;
}

Test(task, names_are_copied_and_cut)
{
    tt_run(names, NULL);
}

/* --- Ids ------------------------------------------------------------------------------------------------------------------ */

enum { ID_THREADS = 4, IDS_A_THREAD = 5000 };

typedef struct {
    tn_runtime *runtime;
    uint64_t *ids;
} id_collector;

static void *collect_ids(void *arg)
{
    id_collector *c = arg;

    for (int i = 0; i < IDS_A_THREAD; i++) {
        tn_task *task = tt_spawn_on(c->runtime, echo, NULL);
        c->ids[i] = tn_task_id(task);
        tt_join(task);
    }
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

Test(task, ids_are_unique)
{
    static uint64_t ids[2 * ID_THREADS * IDS_A_THREAD];
    tn_runtime *runtime = tt_runtime_create();
    id_collector collectors[2 * ID_THREADS];
    pthread_t threads[ID_THREADS];
    tn_task *tasks[ID_THREADS];

    for (int i = 0; i < 2 * ID_THREADS; i++)
        collectors[i] = (id_collector){runtime, ids + i * IDS_A_THREAD};
    for (int i = 0; i < ID_THREADS; i++) {
        threads[i] = tt_thread_start(collect_ids, &collectors[i]);
        tasks[i] = tt_spawn_on(runtime, collect_ids, &collectors[ID_THREADS + i]);
    }
    for (int i = 0; i < ID_THREADS; i++) {
        tt_thread_join(threads[i]);
        tt_join(tasks[i]);
    }
    qsort(ids, 2 * ID_THREADS * IDS_A_THREAD, sizeof *ids, by_value);
    for (int i = 1; i < 2 * ID_THREADS * IDS_A_THREAD; i++)
        cr_assert_neq(ids[i - 1], ids[i]);
    tt_runtime_destroy(runtime);
}

/* --- Yield and cancellation points ---------------------------------------------------------------------------------------- */

static void *yield_lets_others_run(void *arg)
{
    atomic_ulong count = 0;
    (void)arg;

    tt_check(tn_spawn(NULL, add_one, &count) == 0);
    while (atomic_load(&count) == 0)
        tt_check(tn_yield() == 0);
    tt_check(tn_checkpoint() == 0);
    tn_cancel(tn_self());
    tt_check(tn_checkpoint() == TN_ECANCELED);
    tt_check(tn_spawn(NULL, add_one, &count) == 0);
    while (atomic_load(&count) == 1)
        tt_check(tn_yield() == TN_ECANCELED); /* it has yielded although it is cancelled */
    return NULL;
}

Test(task, yield_lets_others_run)
{
    tn_options options = tn_options_default();
    tn_runtime *runtime;

    options.workers = 1; /* no other worker can run them */
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, yield_lets_others_run, NULL, NULL), 0);
    tt_runtime_destroy(runtime);
    tt_run(yield_lets_others_run, NULL);
}

Test(task, plain_threads_may_yield_and_sleep)
{
    cr_assert_eq(tn_yield(), 0);
    cr_assert_eq(tn_sleep(0), 0);
    cr_assert_eq(tn_sleep(TN_MS), 0);
}
