/* SPDX-License-Identifier: MIT */
/* The stack pool: slabs, free lists and the caches of the cores. Guards are in stack_guard.c, trimming and measuring in
 * stack_use.c. */
#include "fiber/stack.h"

#include <errno.h>
#include <string.h>

#include "base/san.h"
#include "fiber/stack_guard.h"
#include "fiber/stack_slab.h"
#include "fiber/stack_use.h"
#include "os/os_memory.h"

/* One system call maps this many stacks, unless that would be more than SLAB_BYTES_MAX. */
#define SLAB_STACKS ((size_t)64)
#define SLAB_BYTES_MAX ((size_t)64 * 1024 * 1024)

/* A core whose cache is empty fills it to this many stacks while it holds the lock. */
#define REFILL 16

_Static_assert((size_t)TNI_STACK_MIN_BYTES << (TNI_STACK_CLASSES - 1) == TNI_STACK_MAX_BYTES, "the classes span the sizes");
_Static_assert(sizeof(tni_stack) == 64, "descriptor and first frames share a pair of cache lines");

/* The class of the smallest slot that holds size_bytes, and twice its guard (which matters where guards or pages are large).
 * TNI_STACK_CLASSES if there is none. */
static size_t class_of(const tni_stack_pool *pool, size_t size_bytes)
{
    size_t class_index = 0;

    while (class_index < TNI_STACK_CLASSES) {
        size_t slot = tni_stack_class_size(class_index);
        if (slot >= size_bytes && slot / 2 >= tni_stack_guard_size(pool, slot))
            break;
        class_index++;
    }
    return class_index;
}

/* --- Cutting stacks from slabs ---------------------------------------------------------------------------------------------- */

static int slab_map_locked(tni_stack_pool *pool, size_t class_index)
{
    tni_stack_class *class = &pool->classes[class_index];
    size_t slot = tni_stack_class_size(class_index);
    size_t count = SLAB_BYTES_MAX / slot;
    void *base = NULL;
    int rc;
    tni_os_mutex_assert_held(&pool->lock);
    if (count > SLAB_STACKS)
        count = SLAB_STACKS;
    if (pool->config.stacks_max != 0 && count > pool->config.stacks_max)
        count = pool->config.stacks_max;
    if (count == 0)
        count = 1;
    /* Where address space is short, a smaller slab may still fit. */
    while ((rc = tni_os_map(count * slot, &base)) < 0) {
        if (count == 1)
            return rc;
        count /= 2;
    }
    /* The error is ignored: kernels without huge pages refuse, and need no advice. */
    (void)tni_os_advise(base, count * slot, TNI_ADVICE_NO_HUGE_PAGES);
    tni_stack_slab *slab = (tni_stack_slab *)(void *)((char *)base + slot - TNI_STACK_TOP_UNIT);
    *slab = (tni_stack_slab){.base = base, .size = count * slot, .class_index = (uint8_t)class_index};
    tni_list_prepend(&pool->slabs, &slab->node);
    class->newest = slab;
    class->fresh = base;
    class->fresh_index = 0;
    class->fresh_left = (uint32_t)count;
    return 0;
}

static tni_stack *slab_cut_locked(tni_stack_pool *pool, size_t class_index)
{
    tni_stack_class *class = &pool->classes[class_index];
    char *low = class->fresh;
    size_t guard = tni_stack_guard_size(pool, tni_stack_class_size(class_index));
    tni_stack *stack = tni_stack_slab_at(class->newest, class->fresh_index);
    tni_os_mutex_assert_held(&pool->lock);
    class->fresh += tni_stack_class_size(class_index);
    class->fresh_index++;
    class->fresh_left--;
    *stack = (tni_stack){
        .base = low + guard,
        .pool = pool,
        .slab = class->newest,
        .guard_size = (uint32_t)guard,
        .class_index = (uint8_t)class_index,
        .guard = TNI_GUARD_AUTO,
    };
    tni_stack_slab_use_locked(pool, class->newest);
    tni_stack_use_init(pool, stack);
    return stack;
}

static tni_stack *list_pop(tni_stack **list)
{
    tni_stack *stack = *list;
    if (stack != NULL)
        *list = stack->next;
    return stack;
}

/* Takes an idle stack, with memory if there is one. */
static tni_stack *take_idle_locked(tni_stack_pool *pool, size_t class_index)
{
    tni_stack_class *class = &pool->classes[class_index];
    tni_list *list = class->idle.first != NULL ? &class->idle : &class->bare;
    tni_stack *stack;

    tni_os_mutex_assert_held(&pool->lock);
    if (list->first == NULL)
        return NULL;
    stack = tni_container_of(list->first, tni_stack, node);
    tni_list_remove(list, &stack->node);
    if (list == &class->idle && --class->idle_count < class->idle_least)
        class->idle_least = class->idle_count;
    stack->slab->bare -= stack->bare;
    tni_stack_slab_use_locked(pool, stack->slab);
    stack->bare = false;
    return stack;
}

static void put_idle_locked(tni_stack_pool *pool, tni_stack *stack)
{
    tni_stack_class *class = &pool->classes[stack->class_index];

    tni_os_mutex_assert_held(&pool->lock);
    tni_list_prepend(&class->idle, &stack->node);
    class->idle_count++;
    tni_stack_slab_unuse_locked(pool, stack->slab);
}

/* Returns a stack that has no guard yet. */
static int take_new_locked(tni_stack_pool *pool, size_t class_index, tni_stack **out)
{
    tni_stack_class *class = &pool->classes[class_index];

    tni_os_mutex_assert_held(&pool->lock);
    *out = list_pop(&class->unguarded);
    if (*out == NULL) {
        int rc = class->fresh_left == 0 ? slab_map_locked(pool, class_index) : 0;
        if (rc < 0)
            return rc;
        *out = slab_cut_locked(pool, class_index);
    }
    return 0;
}

/* A larger idle stack is better than none. */
static tni_stack *take_larger_locked(tni_stack_pool *pool, size_t class_index)
{
    tni_stack *stack = NULL;

    tni_os_mutex_assert_held(&pool->lock);
    for (size_t i = class_index + 1; stack == NULL && i < TNI_STACK_CLASSES; i++)
        stack = take_idle_locked(pool, i);
    return stack;
}

static int take_locked(tni_stack_pool *pool, size_t class_index, tni_stack **out)
{
    tni_os_mutex_assert_held(&pool->lock);
    if (pool->config.stacks_max != 0 && tni_stack_out(pool) >= pool->config.stacks_max)
        return -EAGAIN;
    *out = take_idle_locked(pool, class_index);
    if (*out == NULL && take_new_locked(pool, class_index, out) < 0)
        *out = take_larger_locked(pool, class_index);
    if (*out == NULL)
        return tni_stack_out(pool) > 0 ? -ENOBUFS : -ENOMEM;
    tni_stack_count_out_locked(pool, 1);
    return 0;
}

/* Fills the cache, because the lock is taken anyway. */
static void refill_locked(tni_stack_pool *pool, tni_stack_cache *cache)
{
    tni_stack_class *class = &pool->classes[pool->default_class];
    size_t limit = pool->config.stacks_max;
    tni_os_mutex_assert_held(&pool->lock);
    while (cache->count < REFILL && cache->count < pool->cache_max && class->idle.first != NULL &&
           (limit == 0 || tni_stack_out(pool) < limit)) {
        tni_stack *stack = take_idle_locked(pool, pool->default_class);
        stack->next = cache->top;
        cache->top = stack;
        cache->count++;
        tni_stack_count_out_locked(pool, 1);
    }
}

/* --- Getting a stack -------------------------------------------------------------------------------------------------------- */

/* Installs the guard, without the lock: that is a system call, and the stack already belongs to the caller. If there is no
 * guard for it, *stack becomes a larger idle one, or none. */
static int guard_or_exchange(tni_stack_pool *pool, tni_stack **stack)
{
    tni_stack_class *class = &pool->classes[(*stack)->class_index];
    tni_stack *larger;

    if (tni_stack_guard_install(pool, *stack) == 0)
        return 0;
    tni_os_mutex_lock(&pool->lock);
    larger = take_larger_locked(pool, (*stack)->class_index);
    (*stack)->next = class->unguarded;
    class->unguarded = *stack;
    if (larger == NULL)
        tni_stack_count_out_locked(pool, -UINT64_C(1));
    tni_os_mutex_unlock(&pool->lock);
    *stack = larger;
    return larger != NULL ? 0 : -ENOMEM;
}

void tni_stack_log_shortage(tni_stack_pool *pool)
{
    bool first;

    tni_os_mutex_lock(&pool->lock);
    first = !pool->shortage_logged;
    pool->shortage_logged = true;
    tni_os_mutex_unlock(&pool->lock);
    if (first && pool->config.log != NULL)
        pool->config.log(pool->config.log_arg, "tournant: no memory is left for further stacks; fibers that have not begun wait "
                                               "until others have ended");
}

static int get_from_pool(tni_stack_pool *pool, tni_stack_cache *cache, size_t class_index, tni_stack **out)
{
    int rc;

    tni_os_mutex_lock(&pool->lock);
    rc = take_locked(pool, class_index, out);
    if (rc == 0 && cache != NULL && class_index == pool->default_class && !tni_stack_waited_for(pool))
        refill_locked(pool, cache);
    tni_os_mutex_unlock(&pool->lock);
    if (rc == 0 && (*out)->guard == TNI_GUARD_AUTO)
        rc = guard_or_exchange(pool, out);
    return rc;
}

size_t tni_stack_class_of(const tni_stack_pool *pool, size_t size_bytes)
{
    return size_bytes == 0 ? pool->default_class : class_of(pool, size_bytes);
}

static inline void begin_use(tni_stack_pool *pool, tni_stack *stack)
{
    bool is_dirty = pool->config.measure && stack->used_before;

    tni_stack_set_live(stack);
    if (tni_unlikely(is_dirty))
        tni_stack_clear(pool, stack);
}

/* Inlined: it is on the path of each fiber beyond the cache. */
__attribute__((always_inline)) static inline int get_uncached(tni_stack_pool *pool, tni_stack_cache *cache, size_t class_index,
                                                              tni_stack **out)
{
    tni_stack *stack;
    int rc;

    if (class_index == TNI_STACK_CLASSES)
        return -EINVAL;
    rc = get_from_pool(pool, cache, class_index, &stack);
    if (rc < 0)
        return rc;
    begin_use(pool, stack);
    *out = stack;
    return 0;
}

/* Out of line: the path through the cache needs no stack frame. */
__attribute__((noinline)) static int get_and_log(tni_stack_pool *pool, tni_stack_cache *cache, size_t class_index,
                                                 tni_stack **out)
{
    int rc = get_uncached(pool, cache, class_index, out);

    /* Relaxed: a hint; the call looks again. */
    if (tni_unlikely(tni_a32_load(&pool->exhausted, TNI_RELAXED) == 1))
        tni_stack_log_exhausted(pool);
    return rc;
}

int tni_stack_get(tni_stack_pool *pool, tni_stack_cache *cache, size_t size_bytes, tni_stack **out)
{
    size_t class_index = tni_stack_class_of(pool, size_bytes);
    tni_stack *stack;

    if (cache == NULL || cache->top == NULL || class_index != pool->default_class)
        return get_and_log(pool, cache, class_index, out);
    stack = tni_stack_cache_pop(cache);
    *out = stack;
    begin_use(pool, stack);
    return 0;
}

/* --- Putting a stack back --------------------------------------------------------------------------------------------------- */

/* Puts a list of stacks of the default class, or a single stack of any class, into the pool. */
static void give_back(tni_stack_pool *pool, tni_stack *first)
{
    tni_stack *next;

    for (tni_stack *stack = first; stack != NULL; stack = stack->next)
        tni_stack_trim(pool, stack);
    tni_os_mutex_lock(&pool->lock);
    for (tni_stack *stack = first; stack != NULL; stack = next) {
        next = stack->next; /* the descriptor may be gone once the lock is free */
        put_idle_locked(pool, stack);
        tni_stack_count_out_locked(pool, -UINT64_C(1));
    }
    tni_os_mutex_unlock(&pool->lock);
}

/* Moves the half that was put back first, the colder one, to the pool. */
static void cache_halve(tni_stack_pool *pool, tni_stack_cache *cache)
{
    uint32_t keep = cache->count / 2;
    tni_stack **link = &cache->top;
    for (uint32_t i = 0; i < keep; i++)
        link = &(*link)->next;
    tni_stack *cold = *link;
    *link = NULL;
    cache->count = keep;
    give_back(pool, cold);
}

/* Puts a stack back that must be checked, or that a core's cache has no space for. Out of line: as get_uncached. */
__attribute__((noinline)) static void put_slowly(tni_stack_pool *pool, tni_stack_cache *cache, tni_stack *stack)
{
    if (stack->guard == TNI_GUARD_NONE)
        tni_stack_guard_check(pool, stack);
    if (cache == NULL || stack->class_index != pool->default_class || pool->cache_max == 0 || tni_stack_waited_for(pool)) {
        stack->next = NULL;
        give_back(pool, stack);
        return;
    }
    if (cache->count >= pool->cache_max)
        cache_halve(pool, cache);
    tni_stack_cache_push(cache, stack);
}

void tni_stack_put(tni_stack_pool *pool, tni_stack_cache *cache, tni_stack *stack)
{
    if (cache != NULL && tni_stack_put_cached(pool, cache, stack))
        return;
    tni_stack_set_idle(pool, stack);
    put_slowly(pool, cache, stack);
}

void tni_stack_cache_flush(tni_stack_pool *pool, tni_stack_cache *cache)
{
    tni_stack *all = cache->top;
    cache->top = NULL;
    cache->count = 0;
    if (all != NULL)
        give_back(pool, all);
}

/* --- Waiting for a stack ---------------------------------------------------------------------------------------------------- */

void tni_stack_wait_begin(tni_stack_pool *pool)
{
    /* Publishes to tni_stack_waited_for() that stacks are short. Relaxed: a core that misses it caches one stack more, and its
     * next check finds that. The order with the caller's own queue is the caller's duty, by its idle protocol. */
    (void)tni_a32_fetch_add(&pool->waiters, 1, TNI_RELAXED);
}

void tni_stack_wait_end(tni_stack_pool *pool)
{
    /* Partner and reason as in tni_stack_wait_begin(). A core that observes it late uses the pool once more instead of its
     * cache. */
    (void)tni_a32_fetch_sub(&pool->waiters, 1, TNI_RELAXED);
}

/* --- The pool --------------------------------------------------------------------------------------------------------------- */

int tni_stack_pool_init(tni_stack_pool *pool, const tni_stack_config *config)
{
    int rc;
    memset(pool, 0, sizeof *pool);
    pool->config = *config;
    pool->page_size = tni_os_page_size();
    pool->cache_max = TNI_STACK_CACHE_MAX;
    /* Where stacks are few, the cache of one core must not hold many of them. */
    if (config->stacks_max != 0 && config->stacks_max / 16 < TNI_STACK_CACHE_MAX)
        pool->cache_max = (uint32_t)(config->stacks_max / 16);
    rc = tni_stack_guard_init(pool);
    if (rc < 0)
        return rc;
    size_t class_index = class_of(pool, config->stack_size_bytes != 0 ? config->stack_size_bytes : TNI_STACK_DEFAULT_BYTES);
    if (class_index == TNI_STACK_CLASSES)
        return -EINVAL;
    pool->default_class = (uint8_t)class_index;
    tni_a32_init(&pool->waiters, 0); /* no other thread has the pool yet */
    tni_a32_init(&pool->exhausted, 0);
    tni_os_mutex_init(&pool->lock);
    return 0;
}

void tni_stack_pool_fini(tni_stack_pool *pool)
{
    tni_assert(tni_stack_out(pool) == 0, "a stack is still in use or in a core's cache");
    while (pool->slabs.first != NULL) {
        tni_stack_slab *slab = tni_container_of(pool->slabs.first, tni_stack_slab, node);
        tni_list_remove(&pool->slabs, &slab->node);
        tni_stack_slab_unmap(slab);
    }
    tni_os_mutex_fini(&pool->lock);
}
