/* SPDX-License-Identifier: MIT */
/* Stacks for fibers: large slabs of address space cut into slots, committed page by page as they are used.
 *
 * A slot is as large as its class says, so that eight of the default size share a page of page table. From low to high: the
 * guard; the usable part; the descriptor; a gap of up to 2 KiB that differs from slot to slot, so that the hottest lines of many
 * stacks do not fall into one cache set. The descriptor stands right above the first frames because that page is touched anyway:
 * a stack costs one or two pages and nothing beside them, and one never handed out costs none. The price is that a write past the
 * *upper* end of a stack may hit it. */
#ifndef TNI_STACK_H
#define TNI_STACK_H

#include "base/config.h"
#include "base/defs.h"
#include "base/prim.h"

/* Sizes, of whole slots, are powers of two from TNI_STACK_MIN_BYTES to TNI_STACK_MAX_BYTES; a request is rounded up to one. */
#define TNI_STACK_CLASSES 12

/* A core keeps at most this many idle stacks to itself, hot and untrimmed. */
#define TNI_STACK_CACHE_MAX 64

/* What a task used beyond this goes back to the system when its stack leaves the core's cache for the pool. */
#define TNI_STACK_WATERMARK ((size_t)64 * 1024)

typedef enum {
    TNI_GUARD_AUTO,     /* the first of the next two that is to be had. In a descriptor: not installed yet */
    TNI_GUARD_LIGHT,    /* markers in the page table: no mapping, no limit. Linux 6.13 */
    TNI_GUARD_MPROTECT, /* two mappings a stack, of which a process may have some 65,000 */
    TNI_GUARD_NONE,     /* an overflow is noticed only when the stack is put back, if at all */
} tni_guard_kind;

typedef struct tni_stack tni_stack;
typedef struct tni_stack_pool tni_stack_pool;

/* The descriptor. Its own address is the end of the usable part. */
struct tni_stack {
    char *base;           /* lowest usable byte */
    tni_stack *next;      /* in the free list or the cache it is in */
    tni_stack_pool *pool; /* where it belongs */
    uint32_t guard_size;  /* bytes below base that nobody may use, guarded or not */
    uint8_t class_index;  /* its slot has TNI_STACK_MIN_BYTES << class_index */
    uint8_t guard;        /* a tni_guard_kind */
    bool live;            /* handed out: catches a stack put back twice */
    bool used_before;     /* its memory is not all zero any more */
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
/* Of a whole slot. */
static inline size_t tni_stack_class_size(size_t class_index)
{
    return (size_t)TNI_STACK_MIN_BYTES << class_index;
}
/* As whoever asked for it says it: with the guard. */
static inline size_t tni_stack_slot_size(const tni_stack *stack)
{
    return tni_stack_class_size(stack->class_index);
}

typedef struct {
    size_t stack_size_bytes;                     /* of the default class; 0: TNI_STACK_DEFAULT_BYTES */
    tni_guard_kind guard;                        /* what to guard with */
    bool unguarded_fallback;                     /* hand out unguarded stacks when no guard is left, rather than none */
    size_t stacks_max;                           /* how many may be out of the pool; 0: no limit */
    size_t map_count_max;                        /* mappings the process may have; 0: ask the system */
    bool measure;                                /* keep tni_stack_used() possible: costs a system call and page faults a task */
    void (*log)(void *arg, const char *message); /* takes one-line messages; may be NULL */
    void *log_arg;                               /* its first argument */
} tni_stack_config;

/* One core's idle stacks, all of the default class. All zero is an empty one. Owner only. */
typedef struct {
    tni_stack *top; /* the one put back last */
    uint32_t count; /* how many hang on top */
} tni_stack_cache;

typedef struct {
    tni_stack *idle;      /* came back; the last one first */
    tni_stack *bare;      /* cut from a slab, but its guard could not be installed; the next one to want it tries again */
    char *fresh;          /* the LIFO slot of the newest slab; none was handed out from here on */
    uint32_t fresh_index; /* its number in the slab */
    uint32_t fresh_left;  /* slots from there to the slab's end */
} tni_stack_class;

typedef struct tni_stack_slab tni_stack_slab;

/* One a runtime. The fields up to `lock` do not change after init. */
struct tni_stack_pool {
    tni_stack_config config; /* as asked for */
    tni_guard_kind guard;    /* what guards are made of: never TNI_GUARD_AUTO */
    size_t page_size;        /* the system's */
    size_t guard_size;       /* bytes a stack */
    uint32_t cache_max;      /* stacks a core may keep */
    uint8_t default_class;   /* of requests for 0 bytes */
    tni_a32 waiters;         /* tasks that wait for a stack: while there are any, nothing goes into caches */

    tni_os_mutex lock;                          /* over what follows */
    tni_stack_class classes[TNI_STACK_CLASSES]; /* by size */
    tni_stack_slab *slabs;                      /* all of them, to be unmapped at the end */
    size_t out;                                 /* stacks handed out or in a cache */
    size_t guards_left;                         /* TNI_GUARD_MPROTECT: stacks that may still get one */
    bool unguarded_logged;                      /* the message about unguarded stacks went out */
};

/* Finds out which guards are to be had. 0; -ENOTSUP when the kind asked for is not; -EINVAL for a default size over the largest
 * class; or what mapping memory answered. */
int tni_stack_pool_init(tni_stack_pool *pool, const tni_stack_config *config);

/* Every stack must have been put back and every cache flushed. */
void tni_stack_pool_fini(tni_stack_pool *pool);

/* A stack whose slot has at least size_bytes (0: the default). 0; -EAGAIN when there is none at present, but some are out that
 * will come back; -ENOMEM when there is none and none is out, so that none will come; -EINVAL for a size over the largest class.
 * Never waits. The cache is the caller's core's, or NULL. */
int tni_stack_get(tni_stack_pool *pool, tni_stack_cache *cache, size_t size_bytes, tni_stack **out);

/* Takes a stack back that nobody runs on any more. */
void tni_stack_put(tni_stack_pool *pool, tni_stack_cache *cache, tni_stack *stack);

/* Gives the core's idle stacks to all. */
void tni_stack_cache_flush(tni_stack_pool *pool, tni_stack_cache *cache);

/* Around the time a task waits for a stack. In between stacks that are put back go to the pool, and cores that hold idle ones
 * should flush: a core that put a stack into its cache just before does not know, so it looks at tni_stack_waited_for() before
 * it sleeps and now and then while it works. After wait_begin try tni_stack_get() once more. */
void tni_stack_wait_begin(tni_stack_pool *pool);
void tni_stack_wait_end(tni_stack_pool *pool);
bool tni_stack_waited_for(const tni_stack_pool *pool);

/* Whether a fault at `address` is an overflow of this stack: in its guard or not far below. Async-signal-safe. */
bool tni_stack_owns_guard(const tni_stack *stack, const void *address);

/* Bytes at the top of the stack that were written since it was handed out; 0 without config.measure. */
size_t tni_stack_used(const tni_stack *stack);

#endif
