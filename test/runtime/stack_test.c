/* SPDX-License-Identifier: MIT */
/* Stacks: sizes, recycling, measuring. stack_guard_test.c is about their guards. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/san.h"
#include "base/thread.h"
#include "runtime/stack_support.h"
#include "support/child.h"

#if defined(TNI_SAN_ADDRESS) || defined(TNI_SAN_THREAD)
#define MANY 2000
#else
#define MANY 100000
#endif

/* --- Sizes and places ---------------------------------------------------------------------------------------------------- */

Test(stack, slots_are_at_least_what_was_asked_for)
{
    static const size_t asked[] = {0, 1, 32768, 32769, 65536, 262144, 262145, 1 << 20, 64 << 20};
    tni_stack_pool pool;
    open_pool(&pool, (tni_stack_config){0});
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        size_t least = asked[i] == 0 ? TNI_STACK_DEFAULT_BYTES : asked[i];
        tni_stack *stack = must_get(&pool, NULL, asked[i]);
        char *base = tni_stack_base(stack), *top = tni_stack_top(stack);
        size_t slot = stack->guard_size + ((tni_stack_size(stack) + sizeof *stack + PAGE - 1) & ~(PAGE - 1));
        cr_assert_geq(slot, least);
        cr_assert_lt(slot, 2 * (least < 2 * stack->guard_size ? 2 * stack->guard_size : least));
        cr_assert_eq(slot & (slot - 1), 0);
        cr_assert_eq((uintptr_t)top % 64, 0);
        base[0] = 1;
        top[-1] = 1;
        tni_stack_put(&pool, NULL, stack);
    }
    tni_stack *stack;
    cr_assert_eq(tni_stack_get(&pool, NULL, ((size_t)64 << 20) + 1, &stack), -EINVAL);
    tni_stack_pool_fini(&pool);
}

Test(stack, a_default_over_the_largest_class_is_refused)
{
    tni_stack_pool pool;
    tni_stack_config config = {.stack_size_bytes = (size_t)65 << 20};
    cr_assert_eq(tni_stack_pool_init(&pool, &config), -EINVAL);
}

Test(stack, tops_of_neighbours_differ)
{
    tni_stack_pool pool;
    tni_stack *stacks[16];
    open_pool(&pool, (tni_stack_config){0});
    for (int i = 0; i < 16; i++) {
        stacks[i] = must_get(&pool, NULL, 0);
        for (int j = 0; j < i; j++)
            cr_assert_neq((uintptr_t)tni_stack_top(stacks[i]) % 4096, (uintptr_t)tni_stack_top(stacks[j]) % 4096);
    }
    for (int i = 0; i < 16; i++)
        tni_stack_put(&pool, NULL, stacks[i]);
    tni_stack_pool_fini(&pool);
}

Test(stack, stacks_do_not_overlap)
{
    tni_stack_pool pool;
    tni_stack *stacks[200];
    open_pool(&pool, (tni_stack_config){.stack_size_bytes = 16384});
    for (int i = 0; i < 200; i++) {
        stacks[i] = must_get(&pool, NULL, 0);
        memset(tni_stack_base(stacks[i]), i, tni_stack_size(stacks[i]));
    }
    for (int i = 0; i < 200; i++) {
        const unsigned char *base = tni_stack_base(stacks[i]);
        for (size_t at = 0; at < tni_stack_size(stacks[i]); at++)
            cr_assert_eq(base[at], (unsigned char)i);
        tni_stack_put(&pool, NULL, stacks[i]);
    }
    tni_stack_pool_fini(&pool);
}

/* --- Recycling ----------------------------------------------------------------------------------------------------------- */

/* Counts the resident pages from the base up to `end`. */
static size_t resident(tni_stack *stack, char *end)
{
    static unsigned char pages[4096];
    char *base = tni_stack_base(stack);
    size_t length = (size_t)(end - base) & ~(PAGE - 1), count = 0;
    cr_assert_eq(mincore(base, length, pages), 0);
    for (size_t i = 0; i < length / PAGE; i++)
        count += pages[i] & 1;
    return count;
}

Test(stack, what_lies_below_the_watermark_is_given_back)
{
    tni_stack_pool pool;
    tni_stack_cache cache = {0};
    open_pool(&pool, (tni_stack_config){0});
    tni_stack *stack = must_get(&pool, &cache, 0);
    char *top = tni_stack_top(stack), *watermark = top - TNI_STACK_WATERMARK - PAGE;
    memset(tni_stack_base(stack), 0x55, tni_stack_size(stack));
    cr_assert_geq(resident(stack, watermark), 30 * 4096 / PAGE);
    tni_stack_put(&pool, &cache, stack);
    cr_assert_geq(resident(stack, watermark), 30 * 4096 / PAGE, "stays hot in the core's cache");
    tni_stack_cache_flush(&pool, &cache);
    cr_assert_eq(resident(stack, watermark), 0);
    cr_assert_geq(resident(stack, top), 15 * 4096 / PAGE, "stays above the watermark");
    /* The same again with a stack that was trimmed before. */
    cr_assert_eq(must_get(&pool, NULL, 0), stack);
    memset(tni_stack_base(stack), 0x55, tni_stack_size(stack));
    tni_stack_put(&pool, NULL, stack);
    cr_assert_eq(resident(stack, watermark), 0);
    tni_stack_pool_fini(&pool);
}

static void expect_trimmed(size_t size)
{
    tni_stack_pool pool;
    open_pool(&pool, (tni_stack_config){0});
    tni_stack *stack = must_get(&pool, NULL, size);
    char *base = tni_stack_base(stack);
    base[0] = 1; /* touches one page, and none near the top */
    tni_stack_put(&pool, NULL, stack);
    cr_assert_eq(resident(stack, base + size / 2), 0);
    tni_stack_pool_fini(&pool);
}

Test(stack, large_stacks_are_always_trimmed)
{
    expect_trimmed(1 << 20);
    expect_trimmed((size_t)2 * TNI_STACK_DEFAULT_BYTES);
}

Test(stack, the_cache_is_last_in_first_out_and_bounded)
{
    tni_stack_pool pool;
    tni_stack_cache cache = {0};
    tni_stack *stacks[3 * TNI_STACK_CACHE_MAX];
    open_pool(&pool, (tni_stack_config){0});
    for (int i = 0; i < 3 * TNI_STACK_CACHE_MAX; i++)
        stacks[i] = must_get(&pool, &cache, 0);
    for (int i = 0; i < 3 * TNI_STACK_CACHE_MAX; i++) {
        tni_stack_put(&pool, &cache, stacks[i]);
        cr_assert_leq(cache.count, TNI_STACK_CACHE_MAX);
    }
    cr_assert_eq(live_stacks(&pool), cache.count);
    for (int i = 3 * TNI_STACK_CACHE_MAX - 1; cache.count > 0; i--)
        cr_assert_eq(must_get(&pool, &cache, 0), stacks[i]);
    tni_stack *another = must_get(&pool, &cache, 0);
    cr_assert_gt(cache.count, 0, "an empty cache takes several");
    tni_stack_put(&pool, &cache, another);
    for (int i = 3 * TNI_STACK_CACHE_MAX - 1; i >= 0; i--)
        if (stacks[i]->live)
            tni_stack_put(&pool, &cache, stacks[i]);
    /* Stacks of other sizes do not go through the cache. */
    uint32_t count = cache.count;
    tni_stack *small = must_get(&pool, &cache, 16384);
    tni_stack_put(&pool, &cache, small);
    cr_assert_eq(cache.count, count);
    tni_stack_cache_flush(&pool, &cache);
    cr_assert_eq(live_stacks(&pool), 0);
    tni_stack_pool_fini(&pool);
}

Test(stack, no_more_than_stacks_max)
{
    tni_stack_pool pool;
    tni_stack_cache cache = {0};
    tni_stack *stacks[3], *stack;
    open_pool(&pool, (tni_stack_config){.stacks_max = 3});
    for (int i = 0; i < 3; i++)
        stacks[i] = must_get(&pool, &cache, 0);
    cr_assert_eq(tni_stack_get(&pool, &cache, 0, &stack), -EAGAIN);
    cr_assert_eq(tni_stack_get(&pool, NULL, 16384, &stack), -EAGAIN);
    cr_assert(!tni_stack_is_short(-EAGAIN), "the limit is no lack of memory, also if a stack has come back meanwhile");
    cr_assert_eq(live_stacks(&pool), 3);
    tni_stack_put(&pool, &cache, stacks[1]);
    cr_assert_eq(live_stacks(&pool), 2, "few stacks are not hoarded");
    stacks[1] = must_get(&pool, NULL, 16384);
    for (int i = 0; i < 3; i++)
        tni_stack_put(&pool, &cache, stacks[i]);
    tni_stack_pool_fini(&pool);
}

Test(stack, while_somebody_waits_nothing_is_hoarded)
{
    tni_stack_pool pool;
    tni_stack_cache cache = {0};
    open_pool(&pool, (tni_stack_config){0});
    tni_stack *stack = must_get(&pool, &cache, 0);
    tni_stack_wait_begin(&pool);
    cr_assert(tni_stack_waited_for(&pool));
    tni_stack_put(&pool, &cache, stack);
    cr_assert_eq(cache.count, 0);
    cr_assert_eq(live_stacks(&pool), 0);
    tni_stack_wait_end(&pool);
    cr_assert(!tni_stack_waited_for(&pool));
    stack = must_get(&pool, &cache, 0);
    tni_stack_put(&pool, &cache, stack);
    cr_assert_eq(cache.count, 1);
    tni_stack_cache_flush(&pool, &cache);
    tni_stack_pool_fini(&pool);
}

static void put_twice(void *arg)
{
    tni_stack_pool pool;
    tni_stack *stack;
    tni_stack_config config = {0};
    (void)arg;
    if (tni_stack_pool_init(&pool, &config) != 0 || tni_stack_get(&pool, NULL, 0, &stack) != 0)
        _exit(1);
    tni_stack_put(&pool, NULL, stack);
    tni_stack_put(&pool, NULL, stack);
}

Test(stack, putting_back_twice_is_found)
{
    child_end e = child_run(put_twice, NULL);
    cr_assert(child_killed_by(e, SIGABRT));
    cr_assert(strstr(e.text, "put back twice") != NULL, "%s", e.text);
}

/* Otherwise large stacks keep address space: a slab has more of them than are used at once. */
Test(stack, a_slab_is_unmapped_although_more_could_be_cut_from_it)
{
    const tni_stack_config config = {0};
    tni_stack_pool pool;
    tni_stack *stack;

    cr_assert_eq(tni_stack_pool_init(&pool, &config), 0);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(tni_stack_get(&pool, NULL, (size_t)1 << 20, &stack), 0);
        cr_assert_gt(pool.classes[tni_stack_class_of(&pool, (size_t)1 << 20)].fresh_left, 0);
        tni_stack_put(&pool, NULL, stack);
        tni_stack_pool_trim(&pool, true);
        cr_assert_null(pool.slabs.first);
    }
    tni_stack_pool_fini(&pool);
}

Test(stack, fini_unmaps_everything)
{
    static tni_stack *stacks[1000];
    unsigned char page;
    tni_stack_pool pool;
    open_pool(&pool, (tni_stack_config){0});
    for (size_t i = 0; i < 1000; i++)
        stacks[i] = must_get(&pool, NULL, i % 3 == 0 ? 0 : (size_t)32768 << i % 5);
    void *bases[1000];
    for (int i = 0; i < 1000; i++) {
        bases[i] = tni_stack_base(stacks[i]);
        tni_stack_put(&pool, NULL, stacks[i]);
    }
    tni_stack_pool_fini(&pool);
    for (int i = 0; i < 1000; i++)
        cr_assert(mincore(bases[i], PAGE, &page) == -1 && errno == ENOMEM);
}

/* --- Measuring the use --------------------------------------------------------------------------------------------------- */

Test(stack, use_is_measured)
{
    tni_stack_pool pool;
    tni_stack_cache cache = {0};
    open_pool(&pool, (tni_stack_config){.measure = true});
    for (size_t depth = 100; depth < 200000; depth = depth * 3 + 8) {
        tni_stack *stack = must_get(&pool, &cache, 0);
        cr_assert_eq(tni_stack_used(stack), 0);
        ((char *)tni_stack_top(stack))[-(ptrdiff_t)depth] = 7;
        ((char *)tni_stack_top(stack))[-8] = 7;
        cr_assert_geq(tni_stack_used(stack), depth);
        cr_assert_leq(tni_stack_used(stack), depth + 8);
        tni_stack_put(&pool, depth % 2 == 0 ? &cache : NULL, stack);
    }
    tni_stack_cache_flush(&pool, &cache);
    tni_stack_pool_fini(&pool);
}

/* --- Many ---------------------------------------------------------------------------------------------------------------- */

static long rss_kib(void)
{
    char line[256];
    long kib = -1;
    FILE *status = fopen("/proc/self/status", "r");
    cr_assert(status != NULL);
    while (fgets(line, sizeof line, status) != NULL && sscanf(line, "VmRSS: %ld", &kib) != 1)
        ;
    (void)fclose(status);
    return kib;
}

Test(stack, very_many_with_light_guards, .timeout = 120)
{
    static tni_stack *stacks[MANY];
    tni_stack_pool pool;
    tni_stack_cache cache = {0};
    if (!open_pool(&pool, (tni_stack_config){.guard = TNI_GUARD_LIGHT}))
        cr_skip_test("this kernel has no such guards");
    for (int round = 0; round < 2; round++) {
        long rss = rss_kib();
        uint64_t start = tni_clock_ns();
        for (int i = 0; i < MANY; i++)
            stacks[i] = must_get(&pool, &cache, 0);
        uint64_t middle = tni_clock_ns();
        long more = rss_kib() - rss;
        cr_assert_eq(live_stacks(&pool), MANY + cache.count);
        for (int i = 0; i < MANY; i++)
            tni_stack_put(&pool, &cache, stacks[i]);
        uint64_t end = tni_clock_ns();
        (void)fprintf(stderr, "%d %s stacks: get %.0f ns each, %ld KiB more resident (%.1f each); put %.0f ns\n", MANY,
                      round == 0 ? "fresh" : "used", (double)(middle - start) / MANY, more, (double)more / MANY,
                      (double)(end - middle) / MANY);
    }
    tni_stack_cache_flush(&pool, &cache);
    tni_stack_pool_fini(&pool);
}

/* --- Several threads ----------------------------------------------------------------------------------------------------- */

#define TURNS 20000
#define HELD 300

static void *get_and_put(void *arg)
{
    tni_stack_pool *pool = arg;
    tni_stack_cache cache = {0};
    tni_stack *held[HELD] = {0};
    uint64_t seed = tni_random_seed() | 1;
    for (int turn = 0; turn < TURNS; turn++) {
        tni_stack **stack = &held[tni_random_next(&seed) % HELD];
        if (*stack != NULL) {
            tni_stack_put(pool, &cache, *stack);
            *stack = NULL;
        } else if (tni_stack_get(pool, &cache, turn % 16 == 0 ? 16384 : 0, stack) == 0) {
            memset((char *)tni_stack_top(*stack) - 64, turn, 64);
        }
        if (turn % 1000 == 999)
            tni_stack_cache_flush(pool, &cache);
    }
    for (int i = 0; i < HELD; i++)
        if (held[i] != NULL)
            tni_stack_put(pool, &cache, held[i]);
    tni_stack_cache_flush(pool, &cache);
    return NULL;
}

Test(stack, threads_share_a_pool, .timeout = 60)
{
    tni_stack_pool pool;
    tni_thread threads[4];
    open_pool(&pool, (tni_stack_config){.stacks_max = 700});
    for (int i = 0; i < 4; i++)
        cr_assert_eq(tni_thread_start(&threads[i], get_and_put, &pool), 0);
    for (int i = 0; i < 4; i++)
        tni_thread_join(&threads[i]);
    cr_assert_eq(live_stacks(&pool), 0);
    tni_stack_pool_fini(&pool);
}
