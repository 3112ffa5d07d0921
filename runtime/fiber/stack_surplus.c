/* SPDX-License-Identifier: MIT */
/* Returning the memory of idle stacks to the kernel after a burst.
 *
 * A slab counts its stacks that are in use, in a cache, or without a guard (`busy`). When it has none, all stacks that have been
 * cut from it are in the lists of idle stacks, and the slab is in the list of free slabs of its size. Under the lock the
 * trimming thread removes the stacks from the lists, and the slab from the pool's; nothing is cut from it any more. Then no other
 * thread can reach the slab, and it is unmapped without the lock. Until then its stacks count as `out`: a fiber that finds no
 * memory meanwhile waits, and the caller of the trim then tries again for it (tni_runtime_stacks_trim).
 *
 * *Nothing is unmapped in use.* A stack is busy from the step that takes it out of a list, under the lock, to the step that puts
 * it back, under the lock. The thread that puts it back touches nothing of it after that.
 *
 * Where other stacks of a slab are busy, an idle stack is made bare: it is taken as a fiber would take it, so it is busy
 * meanwhile, and its memory is discarded without the lock. It counts as `out` too: a fiber that finds no other stack waits for
 * it, and the caller of the trim then hands it over (tni_runtime_stacks_trim).
 *
 * The surplus of a size is the least number of idle stacks with memory since the last call. So stacks that a steady load needs
 * now and then are not trimmed. Each call trims half of the surplus, so that a load that comes back
 * finds some. After nine calls a burst of 20,000 stacks is gone. */
#include "fiber/stack.h"

#include "fiber/stack_slab.h"
#include "fiber/stack_use.h"

/* Stacks that are made bare between two holds of the lock. */
#define BATCH 16

/* A surplus of so many stacks is not halved. */
#define SURPLUS_AT_ONCE 64

/* How many stacks have been cut from the slab. */
static size_t cut_locked(const tni_stack_pool *pool, const tni_stack_slab *slab)
{
    const tni_stack_class *class = &pool->classes[slab->class_index];
    size_t slots = slab->size / tni_stack_class_size(slab->class_index);

    tni_os_mutex_assert_held(&pool->lock);
    return slab == class->newest ? slots - class->fresh_left : slots;
}

/* Removes an idle stack from its list. */
static void remove_idle_locked(tni_stack_pool *pool, tni_stack *stack)
{
    tni_stack_class *class = &pool->classes[stack->class_index];

    tni_os_mutex_assert_held(&pool->lock);
    tni_list_remove(stack->bare ? &class->bare : &class->idle, &stack->node);
    if (!stack->bare)
        class->idle_count--;
}

/* Removes from all lists the first free slab, if at most `most` of its stacks have memory. Otherwise moves it to the end of the
 * list of free slabs, and returns NULL. *count: how many stacks it has. */
static tni_stack_slab *detach_slab_locked(tni_stack_pool *pool, tni_stack_class *class, size_t most, size_t *count)
{
    tni_stack_slab *slab;

    tni_os_mutex_assert_held(&pool->lock);
    if (class->free_slabs.first == NULL)
        return NULL; /* they have been used meanwhile */
    slab = tni_container_of(tni_list_take_first(&class->free_slabs), tni_stack_slab, free_node);
    *count = cut_locked(pool, slab);
    if (*count - slab->bare > most) {
        tni_list_append(&class->free_slabs, &slab->free_node);
        return NULL;
    }
    class->free_slab_count--;
    for (size_t i = 0; i < *count; i++) {
        tni_stack *stack = tni_stack_slab_at(slab, i);
        pool->mapped_guards_left += stack->guard == TNI_GUARD_MPROTECT;
        remove_idle_locked(pool, stack);
    }
    if (slab == class->newest) {
        class->newest = NULL;
        class->fresh_left = 0;
    }
    tni_list_remove(&pool->slabs, &slab->node);
    tni_stack_count_out_locked(pool, *count);
    return slab;
}

static size_t count_free_slabs(tni_stack_pool *pool, const tni_stack_class *class)
{
    size_t count;

    tni_os_mutex_lock(&pool->lock);
    count = class->free_slab_count;
    tni_os_mutex_unlock(&pool->lock);
    return count;
}

/* Checks each free slab once, and unmaps those with up to `wanted` stacks that have memory. Returns how many stacks are left to
 * trim. */
static size_t trim_slabs(tni_stack_pool *pool, tni_stack_class *class, size_t wanted)
{
    for (size_t left = count_free_slabs(pool, class); left > 0; left--) {
        tni_stack_slab *slab;
        size_t count;
        tni_os_mutex_lock(&pool->lock);
        slab = detach_slab_locked(pool, class, wanted, &count);
        tni_os_mutex_unlock(&pool->lock);
        if (slab == NULL)
            continue;
        wanted -= count - slab->bare;
        tni_stack_slab_unmap(slab);
        tni_os_mutex_lock(&pool->lock);
        tni_stack_count_out_locked(pool, -(uint64_t)count);
        tni_os_mutex_unlock(&pool->lock);
    }
    return wanted;
}

/* Takes up to `count` idle stacks, those that were put back first. */
static tni_stack *take_coldest_locked(tni_stack_pool *pool, size_t class_index, size_t count)
{
    tni_stack_class *class = &pool->classes[class_index];
    tni_stack *taken = NULL;

    tni_os_mutex_assert_held(&pool->lock);
    for (; count > 0 && class->idle.last != NULL; count--) {
        tni_stack *stack = tni_container_of(class->idle.last, tni_stack, node);
        remove_idle_locked(pool, stack);
        tni_stack_slab_use_locked(pool, stack->slab);
        tni_stack_count_out_locked(pool, 1);
        stack->next = taken;
        taken = stack;
    }
    return taken;
}

static void trim_stacks(tni_stack_pool *pool, size_t class_index, size_t wanted)
{
    tni_stack_class *class = &pool->classes[class_index];
    tni_stack *taken = NULL;

    do {
        size_t count = wanted < BATCH ? wanted : BATCH;
        wanted -= count;
        tni_os_mutex_lock(&pool->lock);
        taken = take_coldest_locked(pool, class_index, count);
        tni_os_mutex_unlock(&pool->lock);
        for (tni_stack *stack = taken; stack != NULL; stack = stack->next)
            tni_stack_strip(pool, stack);
        tni_os_mutex_lock(&pool->lock);
        for (tni_stack *stack = taken, *next; stack != NULL; stack = next) {
            next = stack->next;
            stack->bare = true;
            stack->slab->bare++;
            tni_stack_slab_unuse_locked(pool, stack->slab);
            tni_stack_count_out_locked(pool, -UINT64_C(1));
            tni_list_prepend(&class->bare, &stack->node);
        }
        tni_os_mutex_unlock(&pool->lock);
    } while (wanted > 0 && taken != NULL);
}

/* How many idle stacks of a size to trim now. */
static size_t surplus_of(tni_stack_pool *pool, const tni_stack_class *class, bool all)
{
    size_t surplus;

    tni_os_mutex_lock(&pool->lock);
    surplus = all ? class->idle_count : class->idle_least;
    tni_os_mutex_unlock(&pool->lock);
    return all || surplus <= SURPLUS_AT_ONCE ? surplus : surplus / 2;
}

void tni_stack_pool_trim(tni_stack_pool *pool, bool all)
{
    for (size_t i = 0; i < TNI_STACK_CLASSES; i++) {
        tni_stack_class *class = &pool->classes[i];
        trim_stacks(pool, i, trim_slabs(pool, class, surplus_of(pool, class, all)));
        tni_os_mutex_lock(&pool->lock);
        class->idle_least = class->idle_count;
        tni_os_mutex_unlock(&pool->lock);
    }
}

bool tni_stack_pool_has_surplus(tni_stack_pool *pool)
{
    bool any = false;

    tni_os_mutex_lock(&pool->lock);
    for (size_t i = 0; i < TNI_STACK_CLASSES; i++)
        any = any || pool->classes[i].idle_count > 0;
    tni_os_mutex_unlock(&pool->lock);
    return any;
}
