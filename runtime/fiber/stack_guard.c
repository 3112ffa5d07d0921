/* SPDX-License-Identifier: MIT */
/* Stack guards: choosing the kind, the budget of mappings, and the check that is made where a stack has no guard. */
#include "fiber/stack_guard.h"

#include <errno.h>

#include "base/san.h"
#include "os/os_memory.h"
#include "os/os_valgrind.h"

/* The default guard is a part of the slot, within these bounds. It costs address space only. A frame can jump over a guard if
 * its code was compiled without -fstack-clash-protection, as the C library's often is. So it is wider than a page. */
#define GUARD_PART ((size_t)4)
#define GUARD_BYTES_MIN ((size_t)16 * 1024)
#define GUARD_BYTES_MAX ((size_t)64 * 1024)

/* Mappings that the stacks leave to the rest of the process. */
#define MAPPINGS_RESERVED ((size_t)5000)
/* Mappings of a stack whose guard is made by mprotect: one for the guard, one for the stack above it. */
#define MAPPINGS_PER_STACK ((size_t)2)

/* How far below the guard a fault still counts as an overflow: one frame may jump over the guard. */
#define JUMP_BYTES ((uintptr_t)64 * 1024)

static int probe_light(size_t page_size)
{
    void *page = NULL;
    int rc;
    if (tni_os_memcheck_is_running())
        return -ENOTSUP; /* memcheck does not know such guards, and ends when it checks the argument of a system call there */
    rc = tni_os_map(page_size, &page);
    if (rc < 0)
        return rc;
    rc = tni_os_advise(page, page_size, TNI_ADVICE_GUARD);
    if (rc == 0) {
        /* Some emulated kernels accept any advice and ignore it. */
        int faults = tni_os_faults(page, page_size);
        rc = faults > 0 ? 0 : faults == 0 ? -ENOTSUP : faults;
    }
    (void)tni_os_unmap(page, page_size);
    /* -EINVAL: the kernel does not know the advice, or the memory is locked. */
    return rc == -EINVAL ? -ENOTSUP : rc;
}

size_t tni_stack_guard_size(const tni_stack_pool *pool, size_t slot_bytes)
{
    size_t size = pool->config.guard_size_bytes;

    if (size == 0) {
        size = slot_bytes / GUARD_PART;
        size = size < GUARD_BYTES_MIN ? GUARD_BYTES_MIN : size > GUARD_BYTES_MAX ? GUARD_BYTES_MAX : size;
    }
    return (size + pool->page_size - 1) & ~(pool->page_size - 1);
}

int tni_stack_guard_init(tni_stack_pool *pool)
{
    size_t mappings = pool->config.map_count_max;

    pool->guard = pool->config.guard;
    if (pool->guard == TNI_GUARD_AUTO || pool->guard == TNI_GUARD_LIGHT) {
        int rc = probe_light(pool->page_size);
        if (rc < 0 && pool->guard == TNI_GUARD_LIGHT)
            return rc;
        pool->guard = rc == 0 ? TNI_GUARD_LIGHT : TNI_GUARD_MPROTECT;
    }
    if (mappings == 0 && pool->guard != TNI_GUARD_NONE)
        mappings = tni_os_map_count_max();
    pool->mapped_guards_left = mappings > MAPPINGS_RESERVED ? (mappings - MAPPINGS_RESERVED) / MAPPINGS_PER_STACK : 0;
    return 0;
}

/* Installs a guard that takes mappings, if the budget has one left. */
static bool protect(tni_stack_pool *pool, tni_stack *stack)
{
    bool reserved;

    tni_os_mutex_lock(&pool->lock);
    reserved = pool->mapped_guards_left > 0;
    if (reserved)
        pool->mapped_guards_left--;
    tni_os_mutex_unlock(&pool->lock);
    if (!reserved)
        return false;
    if (tni_os_protect_none(stack->base - stack->guard_size, stack->guard_size) == 0)
        return true;
    tni_os_mutex_lock(&pool->lock);
    pool->mapped_guards_left++;
    tni_os_mutex_unlock(&pool->lock);
    return false;
}

void tni_stack_log_exhausted(tni_stack_pool *pool)
{
    uint32_t due = 1;

    /* Relaxed load: a hint, on the path of each new fiber. The CAS chooses the thread that logs; it publishes nothing. */
    if (tni_likely(tni_a32_load(&pool->exhausted, TNI_RELAXED) != 1) || !tni_a32_cas(&pool->exhausted, &due, 2, TNI_ACQUIRE))
        return;
    if (pool->config.log == NULL)
        return;
    if (pool->config.unguarded_fallback)
        pool->config.log(pool->config.log_arg, "tournant: no memory mapping is left for stack guards (vm.max_map_count); "
                                               "further stacks are only checked when their task has ended");
    else
        pool->config.log(pool->config.log_arg, "tournant: no memory mapping is left for stack guards (vm.max_map_count); "
                                               "further fibers fail with TN_ENOMEM unless guard_fallback is set");
}

int tni_stack_guard_install(tni_stack_pool *pool, tni_stack *stack)
{
    uint32_t never = 0;

    tni_os_mutex_assert_not_held(&pool->lock); /* system calls */
    if (pool->guard == TNI_GUARD_LIGHT &&
        tni_os_advise(stack->base - stack->guard_size, stack->guard_size, TNI_ADVICE_GUARD) == 0) {
        stack->guard = TNI_GUARD_LIGHT;
    } else if (pool->guard == TNI_GUARD_NONE) {
        stack->guard = TNI_GUARD_NONE;
    } else if (protect(pool, stack)) {
        stack->guard = TNI_GUARD_MPROTECT;
    } else {
        (void)tni_a32_cas(&pool->exhausted, &never, 1, TNI_ACQUIRE); /* publishes nothing: see tni_stack_log_exhausted */
        if (!pool->config.unguarded_fallback)
            return -ENOMEM;
        stack->guard = TNI_GUARD_NONE;
    }
    return 0;
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
