/* SPDX-License-Identifier: MIT */
/* Slabs: large mappings that are cut into stacks. Internal to stack.c and stack_surplus.c. */
#ifndef TNI_STACK_SLAB_H
#define TNI_STACK_SLAB_H

#include "fiber/stack.h"

/* A slab's record. It is at the upper end of the first slot, in a page that the first stack touches anyway. */
struct tni_stack_slab {
    tni_list_node node;  /* link of the pool's list; the slab mapped last first */
    char *base;          /* lowest byte */
    size_t size;         /* bytes mapped */
    uint32_t busy;       /* stacks that were cut and are in no list of idle ones */
    uint32_t bare;       /* idle stacks without memory */
    uint8_t class_index; /* of its stacks */
    bool is_free;        /* in its class's list `free_slabs`: all stacks that have been cut from it are idle */
    tni_list_node free_node;
};

/* The tops of 16 adjacent stacks have different offsets in their slots. The unit above the first top holds the slab's
 * record. */
#define TNI_STACK_TOP_UNIT ((size_t)128)
#define TNI_STACK_TOP_COUNT ((size_t)16)

_Static_assert(sizeof(tni_stack_slab) <= TNI_STACK_TOP_UNIT, "the slab's record fits above the first descriptor");

/* Returns the address of the descriptor in slot `index`. */
static inline tni_stack *tni_stack_slab_at(const tni_stack_slab *slab, size_t index)
{
    size_t shift = TNI_STACK_TOP_UNIT * ((index + 1) % TNI_STACK_TOP_COUNT);
    char *end = slab->base + (index + 1) * tni_stack_class_size(slab->class_index);

    return (tni_stack *)(void *)(end - shift - sizeof(tni_stack));
}

/* Counts a stack of the slab as busy, and no longer so. */
static inline void tni_stack_slab_use_locked(tni_stack_pool *pool, tni_stack_slab *slab)
{
    tni_os_mutex_assert_held(&pool->lock);
    if (tni_unlikely(slab->is_free)) {
        tni_stack_class *class = &pool->classes[slab->class_index];
        tni_list_remove(&class->free_slabs, &slab->free_node);
        class->free_slab_count--;
        slab->is_free = false;
    }
    slab->busy++;
}

static inline void tni_stack_slab_unuse_locked(tni_stack_pool *pool, tni_stack_slab *slab)
{
    tni_stack_class *class;

    tni_os_mutex_assert_held(&pool->lock);
    if (tni_likely(--slab->busy > 0))
        return;
    class = &pool->classes[slab->class_index];
    tni_list_append(&class->free_slabs, &slab->free_node);
    class->free_slab_count++;
    slab->is_free = true;
}

/* Unmaps a slab that no list contains, with its record. The kernel may refuse: under a seccomp filter, or because the process has
 * as many mappings as it may, and the slab is in the middle of one. Then its memory is returned, and its addresses are lost. */
void tni_stack_slab_unmap(tni_stack_slab *slab);

#endif
