/* SPDX-License-Identifier: MIT */
/* Tasks keep their threads, and no replacement thread can be started. */
/* ctest: timeout=120 */
#include <string.h>

#include <tn.h>

#include "support/runtime.h"
#include "support/thread_faults.h"

#define LIMIT_NS (60 * TN_S)

static atomic_int complaints;

static void count_complaints(void *ctx, tn_log_level level, const char *message)
{
    (void)ctx;
    (void)level;
    if (strstr(message, "no replacement thread is left") != NULL)
        atomic_fetch_add(&complaints, 1);
}

static bool has_complained(void *arg)
{
    (void)arg;
    return atomic_load(&complaints) > 0;
}

typedef struct {
    atomic_uint inside;
    atomic_uint ran;
    atomic_bool over;
    tn_blocking how;
} stand;

static void *keep_thread(void *arg)
{
    stand *s = arg;

    tn_block_begin(s->how);
    atomic_fetch_add(&s->inside, 1);
    while (!atomic_load(&s->over)) /* else ctest's timeout ends it */
        tt_block_thread(TN_MS);
    tn_block_end();
    return NULL;
}

static void *run_and_end_it(void *arg)
{
    stand *s = arg;

    atomic_fetch_add(&s->ran, 1);
    atomic_store(&s->over, true);
    return NULL;
}

/* Tasks keep all workers and wait for the task that is queued behind them. It runs when threads can be started again. */
static void run_in_a_shortage(tn_blocking how)
{
    tn_options options = tt_options();
    stand s = {.how = how};
    tn_task *tasks[64];
    tn_runtime *runtime;
    tn_task *last;

    atomic_store(&complaints, 0);
    options.log = count_complaints;
    options.force_migration = false; /* it would send the last task to a worker that is kept */
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    atomic_store(&threads_left, 1);
    for (unsigned i = 0; i < tn_runtime_workers(runtime); i++) {
        tasks[i] = tt_spawn_on(runtime, keep_thread, &s);
        while (atomic_load(&s.inside) <= i)
            tt_block_thread(100 * TN_US);
    }
    last = tt_spawn_on(runtime, run_and_end_it, &s);
    cr_assert(tt_wait_until(has_complained, NULL, LIMIT_NS));
    cr_assert_eq(atomic_load(&s.ran), 0);
    atomic_store(&threads_left, 0);
    tt_join(last);
    for (unsigned i = 0; i < tn_runtime_workers(runtime); i++)
        tt_join(tasks[i]);
    tt_runtime_destroy(runtime);
}

Test(spare_shortage, the_next_task_runs_when_a_thread_can_be_had_lazily)
{
    run_in_a_shortage(TN_BLOCK_LAZY);
}

Test(spare_shortage, the_next_task_runs_when_a_thread_can_be_had_eagerly)
{
    run_in_a_shortage(TN_BLOCK_EAGER);
}
