/* SPDX-License-Identifier: MIT */
/* The per-core slab allocator of task headers. All slabs together are the registry of all tasks.
 *
 * A cache belongs to a core. Its owner allocates from a plain list. Any other thread that frees a header pushes it into the
 * cache's inbox of remote frees. The owner takes all of them when its own list is empty. Nothing waits for a free: one that
 * comes too late is found by a later allocation. Blocks are freed only with the runtime: a header's memory stays a header, and a
 * walk over the registry may read any state word at any time.
 *
 * After a burst the owner sorts free headers into the lists of their blocks. A block of which all headers have been sorted since
 * the last trim becomes blank: its whole pages are given back to the kernel. One such block is kept. The pages of a blank block
 * are still mapped and read as zero. So a state word there says "free" to a walk, and a thread may still prefetch the header. The
 * first allocation from the block initializes its headers anew.
 */
#ifndef TNI_SLAB_H
#define TNI_SLAB_H

#include "base/alloc.h"
#include "base/list.h"
#include "task/task.h"

typedef struct tni_slab_block tni_slab_block;
typedef struct tni_slab_cache tni_slab_cache;

struct tni_slab_block {
    tni_slab_block *next;  /* older block; constant once published */
    tni_slab_cache *cache; /* constant */
    tni_list_node node;    /* owner: link of the cache's list that it is in */
    tni_inbox_node *free;  /* owner: sorted headers; NULL also if it is blank */
    unsigned free_count;   /* owner: their number; 0: the block is in no list */
    tni_a32 blank;         /* 1: no header is in use, and the pages may have been given back; walks skip the block */
    tn_task tasks[];
};

struct tni_slab_cache {
    tni_inbox_node *free;               /* owner: free headers */
    tni_inbox_node *unsorted;           /* owner: free headers that a trim has set aside and not sorted yet */
    tni_list partial;                   /* owner: blocks of which some headers are sorted */
    tni_list full;                      /* owner: blocks of which all are, and which have their memory */
    tni_list blank;                     /* owner: the same, without memory */
    uint64_t trimmed_id;                /* owner: next_id at the last trim */
    bool discards;                      /* constant: memory of the allocator may be given back to the kernel */
    uint64_t next_id;                   /* owner: see tni_slab_alloc */
    uint64_t id_stride;                 /* constant */
    const tn_allocator *allocator;      /* constant */
    tni_cache_aligned tni_inbox remote; /* headers freed by other threads */
    tni_aptr blocks;                    /* newest block first; grown by the owner, walked by any thread */
};

static inline tni_slab_block *tni_slab_block_of(const tn_task *task)
{
    return (tni_slab_block *)((uintptr_t)task & ~(uintptr_t)(TNI_SLAB_BYTES - 1));
}

/* `index` of `count` caches: each cache numbers its tasks with ids of its own. */
void tni_slab_cache_init(tni_slab_cache *cache, const tn_allocator *allocator, unsigned index, unsigned count);
/* Frees all blocks. No header may be referenced any more. */
void tni_slab_cache_fini(tni_slab_cache *cache);

/* For tni_slab_alloc if the list `free` is empty. */
tn_task *tni_slab_alloc_slowly(tni_slab_cache *cache);

/* Owner only. The list `free` is not empty. */
static inline tn_task *tni_slab_take_free(tni_slab_cache *cache)
{
    tn_task *task = tni_container_of(cache->free, tn_task, inbox_node);

    cache->free = task->inbox_node.next;
    task->queue_next = NULL;
    task->id = cache->next_id;
    cache->next_id += cache->id_stride;
    return task;
}

/* Owner only. Returns a header with a new id and the state word COMPLETE (free); nothing else is set. NULL: no memory. */
static inline tn_task *tni_slab_alloc(tni_slab_cache *cache)
{
    return tni_likely(cache->free != NULL) ? tni_slab_take_free(cache) : tni_slab_alloc_slowly(cache);
}

/* For tni_slab_take if the list `free` is empty. */
tn_task *tni_slab_take_slowly(tni_slab_cache *cache);

/* The same for an owner that holds a lock, under which memory must not be allocated. take: NULL: there is no free header. Then,
 * without the lock: alloc, which returns NULL if there is no memory; and with it: add, or free. */
static inline tn_task *tni_slab_take(tni_slab_cache *cache)
{
    return tni_likely(cache->free != NULL) ? tni_slab_take_free(cache) : tni_slab_take_slowly(cache);
}
tni_slab_block *tni_slab_block_alloc(const tni_slab_cache *cache);
void tni_slab_block_add(tni_slab_cache *cache, tni_slab_block *block);
void tni_slab_block_free(const tni_slab_cache *cache, tni_slab_block *block);

/* Owner only: sorts free headers that were not needed since the last call, and gives the pages of blank blocks back to the
 * kernel. Returns whether there is more to do, at once or after the next interval. */
bool tni_slab_trim(tni_slab_cache *cache);

/* The same in three steps, for an owner that is a lock: the second step makes the system calls, without the lock. The blocks are
 * in `out` meanwhile and in no list of the cache. So no header of theirs is allocated, and another trim does not find them. */
bool tni_slab_trim_begin(tni_slab_cache *cache, tni_list *out);
void tni_slab_trim_discard(const tni_list *blocks);
void tni_slab_trim_end(tni_slab_cache *cache, tni_list *blocks);

/* Any thread. Whether a trim would find headers that other threads have freed. */
bool tni_slab_has_remote(const tni_slab_cache *cache);

/* Owner only: moves some free headers to where other threads' frees are, so that another cache can take them over. */
void tni_slab_give(tni_slab_cache *cache);

/* Owner only, when it has no header and no memory: takes those that are in the inbox of the cache `from`. Each returns
 * to `from` when it is freed. Returns whether there were any. */
bool tni_slab_take_over(tni_slab_cache *cache, tni_slab_cache *from);

/* Returns a header to the cache it came from. `own`: the cache that the caller owns, or NULL. */
static inline void tni_slab_free(tni_slab_cache *own, tn_task *task)
{
    tni_slab_cache *cache = tni_slab_block_of(task)->cache;

    if (tni_likely(cache == own)) {
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): each block has a cache */
        task->inbox_node.next = cache->free;
        cache->free = &task->inbox_node;
    } else {
        tni_inbox_push(&cache->remote, &task->inbox_node); /* publishes this thread's last accesses to the owner */
    }
}

/* Calls visit(arg, task) for every header of the cache, including free ones: `visit` checks the state word first. */
void tni_slab_walk(tni_slab_cache *cache, void (*visit)(void *arg, tn_task *task), void *arg);

#endif
