/* SPDX-License-Identifier: MIT */
/* Stacks for fibers. Large slabs of address space are cut into slots, and the kernel commits their pages on first use.
 *
 * The whole slot has the size of its class, so eight default slots share one page of the page table. A slot has, from low to
 * high:
 *   1. the guard;
 *   2. the usable part;
 *   3. the descriptor;
 *   4. a gap of up to 2 KiB that differs between slots: the hottest lines of many stacks then fall into different cache sets.
 *
 * The descriptor is right above the first frames, in a page that is touched anyway. So a stack costs one or two pages and no
 * other memory, and an unused slot costs none. The price: a write past the *upper* end of a stack may hit the descriptor. */
#ifndef TNI_STACK_H
#define TNI_STACK_H

#include <errno.h>

#include "base/atomic.h"
#include "base/config.h"
#include "base/defs.h"
#include "base/list.h"
#include "base/san.h"
#include "base/thread.h"

/* Slot sizes are the powers of two from TNI_STACK_MIN_BYTES to TNI_STACK_MAX_BYTES. A request is rounded up. */
#define TNI_STACK_CLASSES 12

/* Most idle stacks in a core's cache. They are warm and not trimmed. */
#define TNI_STACK_CACHE_MAX 64

/* When a stack leaves a core's cache for the pool, memory that its tasks used beyond this many bytes is returned to the
 * kernel. */
#define TNI_STACK_WATERMARK ((size_t)64 * 1024)

typedef enum {
    TNI_GUARD_AUTO,     /* the first of the next two that the kernel supports. In a descriptor: not installed yet */
    TNI_GUARD_LIGHT,    /* markers in the page table: no mapping, no limit. Linux 6.13 */
    TNI_GUARD_MPROTECT, /* two mappings per stack; a process may have some 65,000 mappings */
    TNI_GUARD_NONE,     /* an overflow is detected only when the stack is put back, if at all */
} tni_guard_kind;

typedef struct tni_stack tni_stack;
typedef struct tni_stack_slab tni_stack_slab;
typedef struct tni_stack_pool tni_stack_pool;

/* The descriptor of a stack. Its address is the upper end of the usable part. */
struct tni_stack {
    char *base;           /* lowest usable byte */
    tni_stack *next;      /* link of the cache, or of the list of unguarded stacks, that it is in */
    tni_list_node node;   /* link of the list of idle stacks that it is in */
    tni_stack_pool *pool; /* the pool that owns it */
    tni_stack_slab *slab; /* the slab that it was cut from */
    uint32_t guard_size;  /* bytes below base that must not be used, guarded or not */
    uint8_t class_index;  /* its slot has TNI_STACK_MIN_BYTES << class_index bytes */
    uint8_t guard;        /* a tni_guard_kind */
    bool live;            /* in use; detects a stack that is put back twice */
    bool used_before;     /* its memory may not be all zero */
    bool bare;            /* idle, and only the page of the descriptor has memory */
} __attribute__((aligned(64)));

static inline void *tni_stack_base(const tni_stack *stack)
{
    return stack->base;
}
static inline void *tni_stack_top(const tni_stack *stack)
{
    return (void *)(uintptr_t)stack;
}
static inline size_t tni_stack_size(const tni_stack *stack)
{
    return (size_t)((const char *)stack - stack->base);
}
/* Bytes of a whole slot of the class. */
static inline size_t tni_stack_class_size(size_t class_index)
{
    return (size_t)TNI_STACK_MIN_BYTES << class_index;
}
/* The size as the caller of tni_stack_get() counts it: the whole slot, with the guard. */
static inline size_t tni_stack_slot_size(const tni_stack *stack)
{
    return tni_stack_class_size(stack->class_index);
}

typedef struct {
    size_t stack_size_bytes;                     /* of the default class; 0: TNI_STACK_DEFAULT_BYTES */
    tni_guard_kind guard;                        /* the kind of guard wanted */
    size_t guard_size_bytes;                     /* of each guard; 0: a part of the stack */
    bool unguarded_fallback;                     /* when no guard is left, return unguarded stacks instead of an error */
    size_t stacks_max;                           /* most stacks outside the pool's lists; 0: no limit */
    size_t map_count_max;                        /* mappings the process may have; 0: the kernel's limit */
    bool measure;                                /* enable tni_stack_used(); costs a system call and page faults per task */
    void (*log)(void *arg, const char *message); /* receives one-line messages; may be NULL */
    void *log_arg;                               /* its first argument */
} tni_stack_config;

/* The idle stacks of one core, all of the default class. All zero is an empty cache. Used by the core's worker only. */
typedef struct {
    tni_stack *top; /* the one put back last */
    uint32_t count; /* stacks in the list */
} tni_stack_cache;

typedef struct {
    tni_list idle;          /* put back; the last one first */
    tni_list bare;          /* put back, and without memory since */
    size_t idle_count;      /* length of `idle` */
    size_t idle_least;      /* its least length since the last tni_stack_pool_trim() */
    tni_stack *unguarded;   /* cut from a slab, but no guard could be installed; the next get tries again */
    tni_stack_slab *newest; /* the slab that `fresh` is in */
    char *fresh;            /* the first slot of the newest slab that was never used */
    uint32_t fresh_index;   /* its number in the slab */
    uint32_t fresh_left;    /* slots from there to the slab's end */
    tni_list free_slabs;    /* slabs that could be unmapped; the one that became free last is the last */
    size_t free_slab_count; /* length of that list */
} tni_stack_class;

/* One per runtime. The fields before `waiters` are constant after init; those behind `lock` are protected by it. */
struct tni_stack_pool {
    tni_stack_config config; /* as given to init */
    tni_guard_kind guard;    /* the kind in use, never TNI_GUARD_AUTO */
    size_t page_size;        /* bytes of a page */
    uint32_t cache_max;      /* most stacks in a core's cache */
    uint8_t default_class;   /* the class of requests for 0 bytes */
    tni_a32 waiters;         /* tasks that wait for a stack; while there are any, stacks bypass the caches */
    tni_a32 exhausted;       /* no guard was left for a stack: 0: not so far; 1: the message is due; 2: it was logged */

    tni_os_mutex lock;                          /* over what follows */
    tni_stack_class classes[TNI_STACK_CLASSES]; /* by size */
    tni_list slabs;                             /* all slabs; fini unmaps them */
    tni_a64 out;                                /* stacks in use or in a core's cache; other threads may read it */
    size_t mapped_guards_left;                  /* stacks that may still get a guard by mprotect */
    bool shortage_logged;                       /* the message that no memory is left was logged */
};

/* The number of stacks in use or in a core's cache: exact under the lock. */
static inline uint64_t tni_stack_out(const tni_stack_pool *pool)
{
    return tni_a64_load(&pool->out, TNI_RELAXED); /* relaxed: written under the lock; without it a statistic */
}

/* Adds to that number, modulo its size. */
static inline void tni_stack_count_out_locked(tni_stack_pool *pool, uint64_t count)
{
    tni_os_mutex_assert_held(&pool->lock);
    tni_a64_store(&pool->out, tni_stack_out(pool) + count, TNI_RELAXED); /* relaxed: as above */
}

/* Whether a task waits for a stack; see tni_stack_wait_begin. */
static inline bool tni_stack_waited_for(const tni_stack_pool *pool)
{
    /* Observes tni_stack_wait_begin(). Relaxed: a hint that guards no data; the next check corrects a stale value. */
    return tni_a32_load(&pool->waiters, TNI_RELAXED) != 0;
}

/* Initializes the pool and tests which guards the kernel supports. Returns 0; -ENOTSUP if the kind asked for is not supported;
 * -EINVAL for a default size above the largest class; or the error of mapping memory or of the test. */
int tni_stack_pool_init(tni_stack_pool *pool, const tni_stack_config *config);

/* Every stack must have been put back and every cache flushed. */
void tni_stack_pool_fini(tni_stack_pool *pool);

/* Gets a stack whose slot has at least size_bytes (0: the default). It never waits. `cache` is that of the caller's core, or
 * NULL. Returns 0; -EAGAIN if stacks_max is reached; -ENOBUFS if no memory is left, but stacks are in use or cached; -ENOMEM if
 * none is outside the pool, or no guard is left; -EINVAL for a size above the largest class. */
int tni_stack_get(tni_stack_pool *pool, tni_stack_cache *cache, size_t size_bytes, tni_stack **out);

/* Marks a stack as in use, and as idle. */
static inline void tni_stack_set_live(tni_stack *stack)
{
    tni_san_stack_live(stack->base, tni_stack_size(stack));
    stack->live = true;
    stack->used_before = true;
}

static inline void tni_stack_set_idle(const tni_stack_pool *pool, tni_stack *stack)
{
    tni_assert(stack->live && stack->pool == pool, "this stack is not of this pool, or is put back twice");
    stack->live = false;
    tni_san_stack_idle(stack->base, tni_stack_size(stack));
}

/* The list of a cache. It is not empty in pop. */
static inline void tni_stack_cache_push(tni_stack_cache *cache, tni_stack *stack)
{
    stack->next = cache->top;
    cache->top = stack;
    cache->count++;
}

static inline tni_stack *tni_stack_cache_pop(tni_stack_cache *cache)
{
    tni_stack *stack = cache->top;

    cache->top = stack->next;
    cache->count--;
    return stack;
}

/* tni_stack_get of a stack of the default size from the cache alone. NULL: it has none, or the stack must be prepared; call
 * tni_stack_get. */
static inline tni_stack *tni_stack_get_cached(const tni_stack_pool *pool, tni_stack_cache *cache)
{
    tni_stack *stack;

    if (tni_unlikely(cache->top == NULL || pool->config.measure))
        return NULL;
    stack = tni_stack_cache_pop(cache);
    tni_stack_set_live(stack);
    return stack;
}

/* The class of stacks of that size (0: the default); TNI_STACK_CLASSES: there is none. */
size_t tni_stack_class_of(const tni_stack_pool *pool, size_t size_bytes);

/* Whether tni_stack_get has returned `rc` because there was no memory or no guard, so that a trim may help: idle stacks of other
 * sizes have some. */
static inline bool tni_stack_is_short(int rc)
{
    return rc == -ENOBUFS || rc == -ENOMEM;
}

/* Whether tni_stack_get has returned `rc` because stacks are in use or cached: one will be put back. */
static inline bool tni_stack_comes_back(int rc)
{
    return rc == -EAGAIN || rc == -ENOBUFS;
}

/* Write a line to the log, once per pool: that there is no memory for a stack; that there was no guard for one. The caller holds
 * no lock, because the function that gets the line is the user's. */
void tni_stack_log_shortage(tni_stack_pool *pool);
void tni_stack_log_exhausted(tni_stack_pool *pool);

/* Puts a stack back. No thread runs on it any more. */
void tni_stack_put(tni_stack_pool *pool, tni_stack_cache *cache, tni_stack *stack);

/* tni_stack_put into the cache alone. False: nothing was done; call tni_stack_put. */
static inline bool tni_stack_put_cached(const tni_stack_pool *pool, tni_stack_cache *cache, tni_stack *stack)
{
    if (tni_unlikely(stack->class_index != pool->default_class || cache->count >= pool->cache_max ||
                     stack->guard == TNI_GUARD_NONE || tni_stack_waited_for(pool)))
        return false;
    tni_stack_set_idle(pool, stack);
    tni_stack_cache_push(cache, stack);
    return true;
}

/* Moves the idle stacks of a core's cache to the pool, where all cores find them. */
void tni_stack_cache_flush(tni_stack_pool *pool, tni_stack_cache *cache);

/* Returns memory of idle stacks to the kernel: step by step, half of those that were not needed since the last call; or all
 * at once. A slab of which no stack is in use or cached is unmapped. Of other idle stacks the page of
 * the descriptor stays. Any thread. stack_surplus.c has the argument. */
void tni_stack_pool_trim(tni_stack_pool *pool, bool all);
/* Whether later calls will find more, if no stack is needed until then. */
bool tni_stack_pool_has_surplus(tni_stack_pool *pool);

/* Called when a task begins and ends to wait for a stack. In between, stacks that are put back go to the pool, and cores with
 * idle stacks should flush their caches. A core may have cached a stack just before wait_begin. Therefore it checks
 * tni_stack_waited_for() before it sleeps, and now and then while it works. After wait_begin call tni_stack_get() once more. */
void tni_stack_wait_begin(tni_stack_pool *pool);
void tni_stack_wait_end(tni_stack_pool *pool);

/* Whether a fault at `address` is an overflow of this stack: it is in the guard or not far below. Async-signal-safe. */
bool tni_stack_owns_guard(const tni_stack *stack, const void *address);

/* Bytes at the top of the stack that were written since tni_stack_get() returned it; 0 without config.measure. */
size_t tni_stack_used(const tni_stack *stack);

#endif
