/* SPDX-License-Identifier: MIT */
/* A cache of free memory blocks of one size, for buffers that are needed only while bytes are in them. It has one owner at a
 * time: the holder of a core. All accesses are plain, so the sanitizers detect a second owner. */
#ifndef TNI_BLOCK_CACHE_H
#define TNI_BLOCK_CACHE_H

#include "base/alloc.h"

/* All zero: an empty cache. */
typedef struct {
    void *first;    /* the block that was put last; the first word of a block is the link */
    unsigned count; /* of blocks */
    unsigned least; /* least count since the last trim */
} tni_block_cache;

/* Returns a block of TNI_BLOCK_BYTES whose content is undefined; NULL: the cache is empty. */
void *tni_block_cache_take(tni_block_cache *cache);

/* Returns whether the cache has taken the block; if not, it is full. */
bool tni_block_cache_put(tni_block_cache *cache, void *block);

/* Frees the blocks that were not needed since the last call. Returns whether blocks are left. */
bool tni_block_cache_trim(tni_block_cache *cache, const tn_allocator *allocator);

/* Frees all blocks. */
void tni_block_cache_clear(tni_block_cache *cache, const tn_allocator *allocator);

#endif
