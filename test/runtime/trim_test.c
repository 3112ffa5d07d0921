/* SPDX-License-Identifier: MIT */
/* Memory that a burst of tasks has used goes back to the kernel. */
/* ctest: timeout=120 serial */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tn.h>

#include "sched/runtime.h"
#include "support/runtime.h"

enum { FIBERS = 4000, USED_BYTES = 20 * 1024 };

static atomic_uint used_so_far;
static atomic_bool measured;

static void *use_stack(void *arg)
{
    char used[USED_BYTES];

    memset(used, 1, sizeof used);
    __asm__ volatile("" : : "r"(used) : "memory");
    atomic_fetch_add(&used_so_far, 1);
    while (!atomic_load(&measured))
        tt_check(tn_sleep(50 * TN_MS) == 0);
    return arg;
}

/* Returns how much more is resident at the peak. */
static size_t burst_of_fibers(tn_runtime *runtime, size_t before)
{
    static tn_task *tasks[FIBERS];
    size_t top = 0;

    atomic_store(&used_so_far, 0);
    atomic_store(&measured, false);
    for (int i = 0; i < FIBERS; i++)
        tasks[i] = tt_spawn_on(runtime, use_stack, NULL);
    while (atomic_load(&used_so_far) < FIBERS)
        tt_block_thread(TN_MS);
    top = tt_resident_bytes();
    atomic_store(&measured, true);
    for (int i = 0; i < FIBERS; i++)
        (void)tt_join(tasks[i]);
    return top > before ? top - before : 0;
}

typedef struct {
    size_t before;
    size_t added;
    size_t cached; /* what the caches of the workers may keep */
} burst;

/* A fifth is left at most, beside the caches. */
static bool is_back(void *arg)
{
    burst *b = arg;

    return tt_resident_bytes() < b->before + b->added / 5 + b->cached;
}

Test(trim, stacks_come_back_after_a_burst, .disabled = TT_SANITIZED) /* the sanitizers' own memory counts too */
{
    tn_runtime *runtime = tt_runtime_create();
    burst b = {.before = tt_resident_bytes()};

    for (int round = 0; round < 2; round++) {
        b.added = burst_of_fibers(runtime, b.before);
        cr_assert_gt(b.added, (size_t)FIBERS * USED_BYTES / 2);
        cr_assert(tt_wait_until(is_back, &b, 10 * TN_S), "%zu of %zu bytes", tt_resident_bytes() - b.before, b.added);
    }
    tt_runtime_destroy(runtime);
}

Test(trim, at_once_on_demand, .disabled = TT_SANITIZED)
{
    tn_options options = tt_options();
    tn_runtime *runtime;
    burst b;

    options.trim_interval_ns = UINT64_MAX;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    b.before = tt_resident_bytes();
    b.cached = 0;
    b.added = burst_of_fibers(runtime, b.before);
    tt_block_thread(1200 * TN_MS);
    cr_assert(!is_back(&b));
    tn_runtime_trim(runtime);
    b.cached = (size_t)options.workers * TNI_STACK_CACHE_MAX * (USED_BYTES + 4096);
    cr_assert(is_back(&b), "%zu of %zu bytes", tt_resident_bytes() - b.before, b.added);
    tt_runtime_destroy(runtime);
}

/* --- Headers -------------------------------------------------------------------------------------------------------------- */

static tn_task **tasks; /* allocated before the first measurement */

/* What the blocks of headers keep: two pages of each, and two that the C library touches beside it. A burst may use the blocks of
 * several cores, and those for callers without a core. */
static size_t kept_by(tni_slab_cache *cache)
{
    size_t kept = 0;

    for (tni_slab_block *block = tni_aptr_load(&cache->blocks, TNI_ACQUIRE); block != NULL; block = block->next)
        kept += 4 * (size_t)sysconf(_SC_PAGESIZE);
    return kept;
}

static tn_runtime *bursting;

static bool are_headers_back(void *arg)
{
    burst b = *(burst *)arg;

    for (unsigned i = 0; i < bursting->core_count; i++)
        b.cached += kept_by(&bursting->cores[i]->slabs);
    b.cached += kept_by(&bursting->external_slabs);
    return tt_resident_bytes() < b.before + b.added / 20 + b.cached;
}

static void *burst_of_stackless(void *arg)
{
    unsigned long count = tt_scaled(200000);
    tn_sleep_future *sleeps = arg;

    for (unsigned long i = 0; i < count; i++) {
        tn_sleep_init(&sleeps[i], tn_now() + 200 * TN_MS);
        tt_check(tn_spawn_future(NULL, NULL, &tasks[i], &sleeps[i].base) == 0);
    }
    for (unsigned long i = 0; i < count; i++)
        (void)tt_join(tasks[i]);
    return NULL;
}

Test(trim, headers_come_back_after_a_burst, .disabled = TT_SANITIZED)
{
    unsigned long count = tt_scaled(200000);
    tn_sleep_future *sleeps = calloc(count, sizeof *sleeps);
    tn_runtime *runtime = bursting = tt_runtime_create();
    /* Each cache keeps a block with memory, and one that has a header in use. */
    burst b = {.added = count * 184, .cached = ((size_t)tt_options().workers + 1) * 2 * TNI_SLAB_BYTES};

    tasks = calloc(count, sizeof(tn_task *));
    cr_assert(sleeps != NULL && tasks != NULL);
    memset(tasks, 0xff, count * sizeof(tn_task *));
    memset(sleeps, 0xff, count * sizeof *sleeps);
    b.before = tt_resident_bytes();
    for (int round = 0; round < 2; round++) {
        cr_assert_eq(tn_block_on(runtime, burst_of_stackless, sleeps, NULL), 0);
        cr_assert(tt_wait_until(are_headers_back, &b, 10 * TN_S), "%zu of %zu bytes", tt_resident_bytes() - b.before, b.added);
    }
    tt_runtime_destroy(runtime);
    free(tasks);
    free(sleeps);
}
