/* SPDX-License-Identifier: MIT */
/* The slab allocator of task headers. */
#include "task/slab.h"

#include "os/os_memory.h"

/* A little less than the alignment. This leaves space for the allocator's own words before the next block, so blocks follow
 * each other without a gap. */
#define BLOCK_BYTES (TNI_SLAB_BYTES - 64)
#define TASKS_PER_BLOCK ((BLOCK_BYTES - sizeof(tni_slab_block)) / sizeof(tn_task))

/* For debuggers (tools/gdb), which do not see macros. */
__attribute__((used)) static const unsigned tasks_per_block = TASKS_PER_BLOCK;

void tni_slab_cache_init(tni_slab_cache *cache, const tn_allocator *allocator, unsigned index, unsigned count)
{
    cache->free = NULL;
    cache->unsorted = NULL;
    cache->partial = (tni_list){0};
    cache->full = (tni_list){0};
    cache->blank = (tni_list){0};
    cache->discards = allocator == NULL || allocator->alloc == tni_alloc_default.alloc;
    cache->trimmed_id = index + 1;
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

/* Makes all headers of a block free ones, and returns them as a list. A walk may read the state words meanwhile. */
static tni_inbox_node *fill(tni_slab_block *block)
{
    tni_inbox_node *list = NULL;

    for (size_t i = TASKS_PER_BLOCK; i-- > 0;) {
        /* Relaxed: a walk finds the header free before and after. */
        tni_a64_store(&block->tasks[i].state, TNI_TASK_COMPLETE, TNI_RELAXED);
        block->tasks[i].inbox_node.next = list;
        list = &block->tasks[i].inbox_node;
    }
    return list;
}

tni_slab_block *tni_slab_block_alloc(const tni_slab_cache *cache)
{
    return tni_alloc(cache->allocator, BLOCK_BYTES, TNI_SLAB_BYTES);
}

void tni_slab_block_free(const tni_slab_cache *cache, tni_slab_block *block)
{
    tni_free(cache->allocator, block, BLOCK_BYTES);
}

void tni_slab_block_add(tni_slab_cache *cache, tni_slab_block *block)
{
    tni_inbox_node *list = fill(block);

    block->cache = cache;
    /* Relaxed: only the owner writes it. */
    block->next = tni_aptr_load(&cache->blocks, TNI_RELAXED);
    tni_a32_init(&block->blank, 0);
    block->tasks[TASKS_PER_BLOCK - 1].inbox_node.next = cache->free;
    cache->free = list;
    /* Publishes the block and its state words to tni_slab_walk(). Weaker: a walk could read a word before it was set. */
    tni_aptr_store(&cache->blocks, block, TNI_RELEASE);
}

static bool grow(tni_slab_cache *cache)
{
    tni_slab_block *block = tni_slab_block_alloc(cache);

    if (block != NULL)
        tni_slab_block_add(cache, block);
    return block != NULL;
}

/* Takes the sorted headers of a block. NULL: there is none. */
static tni_inbox_node *take_sorted(tni_slab_cache *cache)
{
    tni_list *list = cache->partial.first != NULL ? &cache->partial : cache->full.first != NULL ? &cache->full : &cache->blank;
    tni_slab_block *block;
    tni_inbox_node *tasks;

    if (list->first == NULL)
        return NULL;
    block = tni_container_of(list->first, tni_slab_block, node);
    tni_list_remove(list, &block->node);
    tasks = block->free;
    if (list == &cache->blank) {
        tasks = fill(block);
        /* Relaxed: comes before the fence of the spawn that uses a header (build, spawn.c). So the walk of destroy visits the
         * block, or the spawn sees what destroy has decided. Other walks may miss a task that is being spawned. */
        tni_a32_store(&block->blank, 0, TNI_RELAXED);
    }
    block->free = NULL;
    block->free_count = 0;
    return tasks;
}

/* Called when the list `free` is empty: refills it from other lists of the owner. */
static void refill_from_own(tni_slab_cache *cache)
{
    cache->free = cache->unsorted;
    cache->unsorted = NULL;
    if (cache->free == NULL)
        cache->free = take_sorted(cache);
}

/* Called when the list `free` is empty. */
static bool refill(tni_slab_cache *cache)
{
    cache->free = cache->unsorted;
    cache->unsorted = NULL;
    if (cache->free == NULL)
        cache->free = tni_inbox_take_newest_first(&cache->remote);
    if (cache->free == NULL)
        cache->free = take_sorted(cache);
    return cache->free != NULL;
}

tn_task *tni_slab_alloc_slowly(tni_slab_cache *cache)
{
    return refill(cache) || grow(cache) ? tni_slab_take_free(cache) : NULL;
}

tn_task *tni_slab_take_slowly(tni_slab_cache *cache)
{
    return refill(cache) ? tni_slab_take_free(cache) : NULL;
}

/* --- Trimming --------------------------------------------------------------------------------------------------------------- */

/* Gives the whole pages of a full block back, except for that of the block's own fields. */
static void make_blank(tni_slab_block *block)
{
    uintptr_t page = tni_os_page_size();
    uintptr_t low = ((uintptr_t)block->tasks + page - 1) & ~(page - 1);
    uintptr_t high = ((uintptr_t)block + BLOCK_BYTES) & ~(page - 1);

    block->free = NULL;
    /* Relaxed: a walk that misses it reads state words that say "free", before and after. */
    tni_a32_store(&block->blank, 1, TNI_RELAXED);
    if (high > low)
        (void)tni_os_advise((void *)low, high - low, TNI_ADVICE_DISCARD); /* locked memory stays */
}

static void sort(tni_slab_cache *cache, tn_task *task)
{
    tni_slab_block *block = tni_slab_block_of(task);

    if (block->cache != cache) {
        tni_slab_free(NULL, task); /* it was taken over */
        return;
    }
    task->inbox_node.next = block->free;
    block->free = &task->inbox_node;
    if (block->free_count++ == 0)
        tni_list_append(&cache->partial, &block->node);
    if (block->free_count == TASKS_PER_BLOCK) {
        tni_list_remove(&cache->partial, &block->node);
        tni_list_append(&cache->full, &block->node);
    }
}

bool tni_slab_trim_begin(tni_slab_cache *cache, tni_list *out)
{
    uint64_t allocated = (cache->next_id - cache->trimmed_id) / cache->id_stride;

    *out = (tni_list){0};
    cache->trimmed_id = cache->next_id;
    if (!cache->discards)
        return false;
    if (allocated > TNI_SLAB_BUSY)
        return true;
    while (cache->full.first != cache->full.last) { /* those of the last trim, except for one */
        tni_list_node *node = cache->full.last;
        tni_list_remove(&cache->full, node);
        tni_list_append(out, node);
    }
    if (cache->unsorted == NULL) {
        cache->unsorted = cache->free;
        cache->free = NULL;
    }
    if (cache->unsorted == NULL)
        cache->unsorted = tni_inbox_take_newest_first(&cache->remote);
    for (unsigned i = 0; i < TNI_SLAB_STEP && cache->unsorted != NULL; i++) {
        tn_task *task = tni_container_of(cache->unsorted, tn_task, inbox_node);
        cache->unsorted = cache->unsorted->next;
        sort(cache, task);
    }
    return cache->unsorted != NULL || cache->free != NULL || allocated > 0 || cache->full.first != cache->full.last ||
           !tni_inbox_is_empty(&cache->remote); /* a hint: the next trim takes what it misses */
}

void tni_slab_trim_discard(const tni_list *blocks)
{
    for (tni_list_node *node = blocks->first; node != NULL; node = node->next)
        make_blank(tni_container_of(node, tni_slab_block, node));
}

void tni_slab_trim_end(tni_slab_cache *cache, tni_list *blocks)
{
    while (blocks->first != NULL)
        tni_list_append(&cache->blank, tni_list_take_first(blocks));
}

bool tni_slab_trim(tni_slab_cache *cache)
{
    tni_list blocks;
    bool again = tni_slab_trim_begin(cache, &blocks);

    tni_slab_trim_discard(&blocks);
    tni_slab_trim_end(cache, &blocks);
    return again;
}

bool tni_slab_has_remote(const tni_slab_cache *cache)
{
    return cache->discards && !tni_inbox_is_empty(&cache->remote);
}

void tni_slab_give(tni_slab_cache *cache)
{
    for (unsigned i = 0; i < TNI_SLAB_GIVE; i++) {
        tni_inbox_node *node;
        if (cache->free == NULL)
            refill_from_own(cache);
        node = cache->free;
        if (node == NULL)
            return;
        cache->free = node->next;
        tni_inbox_push(&cache->remote, node); /* publishes the owner's last accesses to the thread that takes it */
    }
}

bool tni_slab_take_over(tni_slab_cache *cache, tni_slab_cache *from)
{
    tni_inbox_node *list = tni_inbox_take_newest_first(&from->remote);

    if (list == NULL)
        return false;
    cache->free = list;
    return true;
}

/* --- The registry ----------------------------------------------------------------------------------------------------------- */

void tni_slab_walk(tni_slab_cache *cache, void (*visit)(void *arg, tn_task *task), void *arg)
{
    /* Observes the newest block as grow() initialized it. */
    tni_slab_block *block = tni_aptr_load(&cache->blocks, TNI_ACQUIRE);

    for (; block != NULL; block = block->next) {
        if (tni_a32_load(&block->blank, TNI_RELAXED) != 0) /* relaxed: see take_sorted() */
            continue;
        for (size_t i = 0; i < TASKS_PER_BLOCK; i++)
            visit(arg, &block->tasks[i]);
    }
}
