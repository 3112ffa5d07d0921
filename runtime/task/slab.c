/* SPDX-License-Identifier: MIT */
/* The slab allocator of task headers. */
#include "task/slab.h"

struct tni_slab_block {
    tni_slab_block *next;  /* older block; constant once published */
    tni_slab_cache *cache; /* constant */
    tn_task tasks[];
};

/* A little less than the alignment. This leaves space for the allocator's own words before the next block, so blocks follow
 * each other without a gap. */
#define BLOCK_BYTES (TNI_SLAB_BYTES - 64)
#define TASKS_PER_BLOCK ((BLOCK_BYTES - sizeof(tni_slab_block)) / sizeof(tn_task))

static tni_slab_block *block_of(const tn_task *task)
{
    return (tni_slab_block *)((uintptr_t)task & ~(uintptr_t)(TNI_SLAB_BYTES - 1));
}

void tni_slab_cache_init(tni_slab_cache *cache, const tn_allocator *allocator, unsigned index, unsigned count)
{
    cache->free = NULL;
    cache->next_id = index + 1;
    cache->id_stride = count;
    cache->allocator = allocator;
    tni_inbox_init(&cache->remote);
    tni_aptr_init(&cache->blocks, NULL);
}

void tni_slab_cache_fini(tni_slab_cache *cache)
{
    /* Relaxed: no other thread uses the cache any more. */
    tni_slab_block *block = tni_aptr_load(&cache->blocks, TNI_RELAXED);

    while (block != NULL) {
        tni_slab_block *next = block->next;
        tni_free(cache->allocator, block, BLOCK_BYTES);
        block = next;
    }
}

static bool grow(tni_slab_cache *cache)
{
    tni_slab_block *block = tni_alloc(cache->allocator, BLOCK_BYTES, TNI_SLAB_BYTES);

    if (block == NULL)
        return false;
    block->cache = cache;
    /* Relaxed: only the owner writes it. */
    block->next = tni_aptr_load(&cache->blocks, TNI_RELAXED);
    for (size_t i = TASKS_PER_BLOCK; i-- > 0;) {
        tni_a64_init(&block->tasks[i].state, TNI_TASK_COMPLETE);
        block->tasks[i].inbox_node.next = cache->free;
        cache->free = &block->tasks[i].inbox_node;
    }
    /* Publishes the block and its state words to tni_slab_walk(). Weaker: a walk could read a word before it was set. */
    tni_aptr_store(&cache->blocks, block, TNI_RELEASE);
    return true;
}

tn_task *tni_slab_alloc(tni_slab_cache *cache)
{
    tn_task *task;

    if (cache->free == NULL) {
        cache->free = tni_inbox_take_newest_first(&cache->remote);
        if (cache->free == NULL && !grow(cache))
            return NULL;
    }
    task = tni_container_of(cache->free, tn_task, inbox_node);
    cache->free = task->inbox_node.next;
    task->queue_next = NULL;
    task->id = cache->next_id;
    cache->next_id += cache->id_stride;
    return task;
}

void tni_slab_free(tni_slab_cache *own, tn_task *task)
{
    tni_slab_cache *cache = block_of(task)->cache;

    if (cache == own) {
        task->inbox_node.next = cache->free;
        cache->free = &task->inbox_node;
    } else {
        tni_inbox_push(&cache->remote, &task->inbox_node); /* publishes this thread's last accesses to the owner */
    }
}

void tni_slab_walk(tni_slab_cache *cache, void (*visit)(void *arg, tn_task *task), void *arg)
{
    /* Observes the newest block as grow() initialized it. */
    tni_slab_block *block = tni_aptr_load(&cache->blocks, TNI_ACQUIRE);

    for (; block != NULL; block = block->next)
        for (size_t i = 0; i < TASKS_PER_BLOCK; i++)
            visit(arg, &block->tasks[i]);
}
