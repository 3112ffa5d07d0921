/* SPDX-License-Identifier: MIT */
/* A cache of free memory blocks of one size. */
#include "base/block_cache.h"

#include "base/config.h"
#include "base/order.h"
#include "base/san.h"

/* What of a free block the cache does not use: an access to it is an error. */
static void *idle_part(void *block)
{
    return (char *)block + sizeof(void *);
}

void *tni_block_cache_take(tni_block_cache *cache)
{
    void *block = cache->first;

    if (block == NULL)
        return NULL;
    cache->first = *(void **)block;
    cache->count--;
    if (cache->least > cache->count)
        cache->least = cache->count;
    tni_san_memory_live(idle_part(block), TNI_BLOCK_BYTES - sizeof(void *));
    tni_order_acquire();
    return block;
}

bool tni_block_cache_put(tni_block_cache *cache, void *block)
{
    if (cache->count >= TNI_BLOCKS_MAX)
        return false;
    tni_order_release();
    tni_san_memory_idle(idle_part(block), TNI_BLOCK_BYTES - sizeof(void *));
    *(void **)block = cache->first;
    cache->first = block;
    cache->count++;
    return true;
}

static void free_blocks(tni_block_cache *cache, const tn_allocator *allocator, unsigned count)
{
    for (; count > 0; count--)
        tni_free(allocator, tni_block_cache_take(cache), TNI_BLOCK_BYTES);
}

bool tni_block_cache_trim(tni_block_cache *cache, const tn_allocator *allocator)
{
    free_blocks(cache, allocator, cache->least);
    cache->least = cache->count;
    return cache->count > 0;
}

void tni_block_cache_clear(tni_block_cache *cache, const tn_allocator *allocator)
{
    free_blocks(cache, allocator, cache->count);
}
