/* SPDX-License-Identifier: MIT */
/* What the tests of stacks share. */
#ifndef TT_STACK_SUPPORT_H
#define TT_STACK_SUPPORT_H

#include <criterion/criterion.h>

#include <errno.h>
#include <unistd.h>

#include "fiber/stack.h"

#define PAGE ((size_t)sysconf(_SC_PAGESIZE))

/* Stacks that are in use or in a core's cache. */
static inline size_t live_stacks(tni_stack_pool *pool)
{
    tni_os_mutex_lock(&pool->lock);
    size_t live = (size_t)tni_a64_load(&pool->out, TNI_RELAXED);
    tni_os_mutex_unlock(&pool->lock);
    return live;
}

/* Returns false if the configuration asks for light guards and the kernel does not have them. */
static inline bool open_pool(tni_stack_pool *pool, tni_stack_config config)
{
    int rc = tni_stack_pool_init(pool, &config);
    if (rc == -ENOTSUP && config.guard == TNI_GUARD_LIGHT)
        return false;
    cr_assert_eq(rc, 0);
    return true;
}

static inline tni_stack *must_get(tni_stack_pool *pool, tni_stack_cache *cache, size_t size)
{
    tni_stack *stack = NULL;
    cr_assert_eq(tni_stack_get(pool, cache, size, &stack), 0);
    return stack;
}

#endif
