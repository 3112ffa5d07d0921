/* SPDX-License-Identifier: MIT */
/* Stack guards: choosing the kind, the budget of mappings, and the check that is made where a stack has no guard. */
#include "fiber/stack_guard.h"

#include <errno.h>

#include "base/san.h"
#include "os/os_memory.h"

/* Wider than a page, because a large frame can jump over a narrow guard if the compiler does not probe the stack. A guard costs
 * address space only. */
#define GUARD_BYTES ((size_t)16 * 1024)

/* Mappings that the stacks leave to the rest of the process. */
#define MAPPINGS_RESERVED ((size_t)5000)
/* Mappings of a stack whose guard is made by mprotect: one for the guard, one for the stack above it. */
#define MAPPINGS_PER_STACK ((size_t)2)

/* How far below the guard a fault still counts as an overflow: one frame may jump over the guard. */
#define JUMP_BYTES ((uintptr_t)64 * 1024)

static int probe_light(size_t page_size)
{
    void *page = NULL;
    int rc = tni_os_map(page_size, &page);
    if (rc < 0)
        return rc;
    rc = tni_os_advise(page, page_size, TNI_ADVICE_GUARD);
    /* Some emulated kernels accept any advice and ignore it. */
    if (rc == 0 && !tni_os_faults(page))
        rc = -ENOTSUP;
    (void)tni_os_unmap(page, page_size);
    /* -EINVAL: the kernel does not know the advice, or the memory is locked. */
    return rc == -EINVAL ? -ENOTSUP : rc;
}

int tni_stack_guard_init(tni_stack_pool *pool)
{
    size_t mappings = pool->config.map_count_max;
    int rc = 0;
    pool->guard_size = GUARD_BYTES > pool->page_size ? GUARD_BYTES : pool->page_size;
    pool->guard = pool->config.guard;
    if (pool->guard == TNI_GUARD_AUTO || pool->guard == TNI_GUARD_LIGHT) {
        rc = probe_light(pool->page_size);
        if (rc < 0 && pool->guard == TNI_GUARD_LIGHT)
            return rc;
        pool->guard = rc == 0 ? TNI_GUARD_LIGHT : TNI_GUARD_MPROTECT;
    }
    if (pool->guard == TNI_GUARD_MPROTECT && mappings == 0)
        mappings = tni_os_map_count_max();
    pool->guards_left = mappings > MAPPINGS_RESERVED ? (mappings - MAPPINGS_RESERVED) / MAPPINGS_PER_STACK : 0;
    return 0;
}

bool tni_stack_guard_reserve(tni_stack_pool *pool)
{
    if (pool->guard != TNI_GUARD_MPROTECT)
        return true;
    if (pool->guards_left == 0)
        return false;
    pool->guards_left--;
    return true;
}

void tni_stack_guard_unreserve(tni_stack_pool *pool)
{
    if (pool->guard == TNI_GUARD_MPROTECT)
        pool->guards_left++;
}

void tni_stack_guard_exhausted(tni_stack_pool *pool)
{
    pool->guards_left = 0;
}

int tni_stack_guard_install(const tni_stack_pool *pool, tni_stack *stack)
{
    char *low = stack->base - stack->guard_size;
    int rc = 0;
    if (pool->guard == TNI_GUARD_LIGHT)
        rc = tni_os_advise(low, stack->guard_size, TNI_ADVICE_GUARD);
    else if (pool->guard == TNI_GUARD_MPROTECT)
        rc = tni_os_protect_none(low, stack->guard_size);
    if (rc == 0)
        stack->guard = (uint8_t)pool->guard;
    return rc;
}

void tni_stack_guard_log(tni_stack_pool *pool)
{
    if (pool->guard == TNI_GUARD_NONE || pool->config.log == NULL)
        return;
    tni_os_mutex_lock(&pool->lock);
    bool first = !pool->unguarded_logged;
    pool->unguarded_logged = true;
    tni_os_mutex_unlock(&pool->lock);
    if (first)
        pool->config.log(pool->config.log_arg, "tournant: no memory mapping is left for stack guards (vm.max_map_count); "
                                               "further stacks are only checked when their task has ended");
}

/* The canary is the zeros of the page right below the stack. It is never written, so it costs no memory: reading it maps the
 * kernel's shared zero page. The whole page is checked because a frame may leave gaps. A frame that jumps over a page might
 * jump over a guard as well. */
TNI_SAN_UNCHECKED static bool all_zero(const char *low, size_t size)
{
    const uint64_t *word = (const uint64_t *)(const void *)low;
    uint64_t seen = 0;
    /* Four words at a time: each task that ends on an unguarded stack pays for this. */
    for (size_t i = 0; i < size / sizeof *word; i += 4)
        seen |= word[i] | word[i + 1] | word[i + 2] | word[i + 3];
    return seen == 0;
}

void tni_stack_guard_check(const tni_stack_pool *pool, const tni_stack *stack)
{
    tni_assert(all_zero(stack->base - pool->page_size, pool->page_size),
               "a task overflowed its unguarded stack: give it a larger stack_size_bytes");
}

bool tni_stack_owns_guard(const tni_stack *stack, const void *address)
{
    uintptr_t base = (uintptr_t)stack->base;
    uintptr_t at = (uintptr_t)address;
    return stack->guard != TNI_GUARD_NONE && at < base && base - at <= stack->guard_size + JUMP_BYTES;
}
