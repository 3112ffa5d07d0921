/* SPDX-License-Identifier: MIT */
/* The per-core slab allocator of task headers. All slabs together are the registry of all tasks.
 *
 * A cache belongs to a core. Its owner allocates from a plain list. Any other thread that frees a header pushes it into the
 * cache's inbox of remote frees. The owner takes all of them when its own list is empty. Nothing waits for a free: one that
 * comes too late is found by a later allocation. Blocks are freed only with the runtime: a header's memory stays a header, and a
 * walk over the registry may read any state word at any time.
 */
#ifndef TNI_SLAB_H
#define TNI_SLAB_H

#include "base/alloc.h"
#include "task/task.h"

typedef struct tni_slab_block tni_slab_block;

typedef struct {
    tni_inbox_node *free;               /* owner: free headers */
    uint64_t next_id;                   /* owner: see tni_slab_alloc */
    uint64_t id_stride;                 /* constant */
    const tn_allocator *allocator;      /* constant */
    tni_cache_aligned tni_inbox remote; /* headers freed by other threads */
    tni_aptr blocks;                    /* newest block first; grown by the owner, walked by any thread */
} tni_slab_cache;

/* `index` of `count` caches: each cache numbers its tasks with ids of its own. */
void tni_slab_cache_init(tni_slab_cache *cache, const tn_allocator *allocator, unsigned index, unsigned count);
/* Frees all blocks. No header may be referenced any more. */
void tni_slab_cache_fini(tni_slab_cache *cache);

/* Owner only. Returns a header with a new id and the state word COMPLETE (free); nothing else is set. NULL: no memory. */
tn_task *tni_slab_alloc(tni_slab_cache *cache);

/* Returns a header to the cache it came from. `own`: the cache that the caller owns, or NULL. */
void tni_slab_free(tni_slab_cache *own, tn_task *task);

/* Calls visit(arg, task) for every header of the cache, including free ones: `visit` checks the state word first. */
void tni_slab_walk(tni_slab_cache *cache, void (*visit)(void *arg, tn_task *task), void *arg);

#endif
