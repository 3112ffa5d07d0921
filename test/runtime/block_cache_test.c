/* SPDX-License-Identifier: MIT */
/* The cache of blocks: what it keeps, what a trim frees, and blocks that meet the core of another runtime. */
#include <string.h>

#include <tn.h>

#include "base/block_cache.h"
#include "base/config.h"
#include "sched/core.h"
#include "support/allocator.h"
#include "support/runtime.h"

static void *block_of(tt_allocator *allocator)
{
    return tni_alloc_uninitialized(&allocator->as_option, TNI_BLOCK_BYTES, _Alignof(max_align_t));
}

Test(block_cache, keeps_so_many_and_returns_the_last_one)
{
    tni_block_cache cache = {0};
    tt_allocator allocator;
    void *last = NULL;

    tt_allocator_init(&allocator);
    cr_assert_null(tni_block_cache_take(&cache));
    for (unsigned i = 0; i < TNI_BLOCKS_MAX; i++) {
        last = block_of(&allocator);
        memset(last, (int)i, TNI_BLOCK_BYTES);
        cr_assert(tni_block_cache_put(&cache, last));
    }
    void *more = block_of(&allocator);
    cr_assert_not(tni_block_cache_put(&cache, more));
    tni_free(&allocator.as_option, more, TNI_BLOCK_BYTES);
    cr_assert_eq(tni_block_cache_take(&cache), last);
    memset(last, 0, TNI_BLOCK_BYTES); /* all of it may be used again */
    cr_assert(tni_block_cache_put(&cache, last));
    tni_block_cache_clear(&cache, &allocator.as_option);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
    cr_assert_eq(cache.count, 0);
}

Test(block_cache, a_trim_frees_what_was_not_needed)
{
    tni_block_cache cache = {0};
    tt_allocator allocator;
    void *blocks[3];

    tt_allocator_init(&allocator);
    for (int i = 0; i < 3; i++)
        cr_assert(tni_block_cache_put(&cache, block_of(&allocator)));
    cr_assert(tni_block_cache_trim(&cache, &allocator.as_option)); /* all are new */
    cr_assert_eq(cache.count, 3);
    blocks[0] = tni_block_cache_take(&cache);
    blocks[1] = tni_block_cache_take(&cache);
    cr_assert(tni_block_cache_put(&cache, blocks[0]));
    cr_assert(tni_block_cache_put(&cache, blocks[1]));
    cr_assert(tni_block_cache_trim(&cache, &allocator.as_option)); /* two were needed */
    cr_assert_eq(cache.count, 2);
    cr_assert_not(tni_block_cache_trim(&cache, &allocator.as_option));
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}

/* --- On cores ------------------------------------------------------------------------------------------------------------ */

static void *take_and_put(void *arg)
{
    tt_allocator *allocator = arg;
    long calls;

    tni_core_block_free(&allocator->as_option, tni_core_block_alloc(&allocator->as_option));
    calls = atomic_load(&allocator->calls);
    for (int i = 0; i < 100; i++) {
        char *block = tni_core_block_alloc(&allocator->as_option);
        memset(block, i, TNI_BLOCK_BYTES);
        tni_core_block_free(&allocator->as_option, block);
    }
    return (void *)(atomic_load(&allocator->calls) - calls);
}

/* Blocks of another allocator, as those of a reader that comes from another runtime, never enter the cache. */
Test(block_cache, is_for_the_allocator_of_the_runtime)
{
    tt_allocator own, other;
    tn_options options = tt_options();
    tn_runtime *runtime;

    tt_allocator_init(&own);
    tt_allocator_init(&other);
    options.workers = 1;
    options.allocator = &own.as_option;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_leq((long)tt_join(tt_spawn_on(runtime, take_and_put, &own)), 2); /* a trim may come between */
    cr_assert_eq((long)tt_join(tt_spawn_on(runtime, take_and_put, &other)), 100);
    tt_runtime_destroy(runtime);
    cr_assert_eq((long)take_and_put(&other), 100); /* a plain thread */
    cr_assert_eq(atomic_load(&own.blocks), 0);
    cr_assert_eq(atomic_load(&other.blocks), 0);
}

static void *use_one(void *arg)
{
    tt_allocator *allocator = arg;

    tni_core_block_free(&allocator->as_option, tni_core_block_alloc(&allocator->as_option));
    return (void *)atomic_load(&allocator->bytes);
}

typedef struct {
    tt_allocator *allocator;
    long bytes;
} level;

static bool is_below(void *arg)
{
    const level *l = arg;

    return atomic_load(&l->allocator->bytes) <= l->bytes;
}

Test(block_cache, an_idle_runtime_frees_its_blocks)
{
    tt_allocator allocator;
    tn_options options = tt_options();
    tn_runtime *runtime;
    level l = {&allocator, 0};

    tt_allocator_init(&allocator);
    options.allocator = &allocator.as_option;
    options.trim_interval_ns = 20 * TN_MS;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    l.bytes = (long)tt_join(tt_spawn_on(runtime, use_one, &allocator)) - TNI_BLOCK_BYTES;
    cr_assert(tt_wait_until(is_below, &l, 30 * TN_S));
    tt_runtime_destroy(runtime);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}
