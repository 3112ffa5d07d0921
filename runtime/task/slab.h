/* SPDX-License-Identifier: MIT */
/* Task headers: handed out from per-core slabs, which together are the registry of all tasks.
 *
 * A cache belongs to a core. Its owner allocates from a plain list; whoever else frees a header pushes it on the cache's remote
 * list, which the owner takes whole by one exchange (so there is no ABA). Blocks are only given back when the runtime goes: a
 * header's memory stays a header, and a walk over the registry may look at any state word at any time.
 */
#ifndef TNI_SLAB_H
#define TNI_SLAB_H

#include "base/alloc.h"
#include "task/task.h"

typedef struct tni_slab_block tni_slab_block;

typedef struct {
    tn_task *free;                     /* owner: headers to hand out */
    uint64_t next_id;                  /* owner: see tni_slab_alloc */
    uint64_t id_stride;                /* constant */
    const tn_allocator *allocator;     /* constant */
    tni_cache_aligned tni_aptr remote; /* headers freed by others, a stack through queue_next */
    tni_aptr blocks;                   /* newest block first; grown by the owner, walked by anyone */
} tni_slab_cache;

/* `index` of `count` caches: their ids never meet. */
void tni_slab_cache_init(tni_slab_cache *cache, const tn_allocator *allocator, unsigned index, unsigned count);
/* Nobody may hold a header any more. */
void tni_slab_cache_fini(tni_slab_cache *cache);

/* Owner: a header with a fresh id, its state word COMPLETE (free), nothing else set. NULL: no memory. */
tn_task *tni_slab_alloc(tni_slab_cache *cache);

/* Gives a header back to where it came from; `own`: the cache whose owner the caller is, or NULL. */
void tni_slab_free(tni_slab_cache *own, tn_task *task);

/* Calls visit(arg, task) on every header that was ever handed out, free ones too: look at the state word first. */
void tni_slab_walk(tni_slab_cache *cache, void (*visit)(void *arg, tn_task *task), void *arg);

#endif
