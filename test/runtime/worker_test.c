/* SPDX-License-Identifier: MIT */
/* A task knows the core on which it runs. */
/* ctest: timeout=120 */
#include <stdatomic.h>

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
