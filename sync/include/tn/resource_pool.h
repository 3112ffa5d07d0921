/* SPDX-License-Identifier: MIT */
/* tournant: a pool of connections, or of other things that are expensive to make and used by one task at a time. */
#ifndef TN_RESOURCE_POOL_H
#define TN_RESOURCE_POOL_H

#include <tn/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A pool of at most `size_max` resources. They are made when they are needed, and kept for the next task. Tasks wait in the order
 * in which they asked. The pool has no task of its own. */
typedef struct tn_resource_pool tn_resource_pool;

/* Options of a pool; begin with tn_resource_pool_options_default(). The functions are called without a lock, by the task that
 * acquires or releases, with `arg`. */
typedef struct tn_resource_pool_options {
    size_t size;                              /* of this struct, in bytes; set by tn_resource_pool_options_default() */
    size_t size_max;                          /* resources at once; 0: 10 */
    uint64_t idle_ns;                         /* an idle resource is closed after so long; 0: never */
    uint64_t check_ns;                        /* `check` is called after so long without use; 0: always */
    int (*open)(void *arg, void **resource);  /* required: makes one. It may suspend, and returns 0 or an error */
    void (*close)(void *arg, void *resource); /* required: ends one */
    int (*check)(void *arg, void *resource);  /* returns 0 if it can still be used; it may suspend. NULL: no check */
    void *arg;                                /* of the functions */
    const tn_allocator *allocator;            /* copied; NULL: the C library's */
} tn_resource_pool_options;

/* Returns the default options.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the result is a value.
 * Errors: none.
 * Cancellation: no. */
static inline tn_resource_pool_options tn_resource_pool_options_default(void)
{
    tn_resource_pool_options options = {sizeof(tn_resource_pool_options), 0, 0, 0, NULL, NULL, NULL, NULL, NULL};
    return options;
}

/* Makes an empty pool.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: on success the caller owns the pool, and must give it to tn_resource_pool_destroy. `arg` is borrowed until then.
 * Errors: TN_ENOMEM; TN_EINVAL: an option is refused (tn/base.h), and the log says which.
 * Cancellation: no. */
TN_API int tn_resource_pool_create(tn_resource_pool **out, const tn_resource_pool_options *options);

/* Closes the pool: each later acquire, and each that waits, returns TN_EPIPE. Idle resources are closed. Those in use are closed
 * when they are released.
 *
 * Suspends: if `close` of the options does.
 * Callable from: a fiber, a plain thread.
 * Ownership: borrows the pool.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_resource_pool_close(tn_resource_pool *pool);

/* Closes the pool, and frees it. It asserts that no resource is in use and no call waits. NULL is allowed.
 *
 * Suspends: if `close` of the options does.
 * Callable from: a fiber, a plain thread.
 * Ownership: consumes the pool.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_resource_pool_destroy(tn_resource_pool *pool);

/* Takes the idle resource that was used last, or makes one. One that has been idle too long, or fails its check, is closed, and
 * the next one is tried. If all are in use, the call waits behind those that asked before.
 *
 * Suspends: while all are in use, and if a function of the options does; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: on success the caller uses `*resource` alone, and must give it to tn_resource_pool_release.
 * Errors: what `open` returns. TN_EPIPE: the pool is closed. TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; no resource is taken. */
TN_API int tn_resource_pool_acquire(tn_resource_pool *pool, void **resource);

/* Gives a resource back. `reusable`: it can be used again; otherwise it is closed. Any task or thread may do it.
 *
 * Suspends: if `close` of the options does.
 * Callable from: a fiber, a plain thread.
 * Ownership: the resource is the pool's.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_resource_pool_release(tn_resource_pool *pool, void *resource, bool reusable);

/* Closes what has been idle for `idle_ns` of the options. A release does that too; a program that becomes idle may call this from
 * an interval. Returns how many it has closed.
 *
 * Suspends: if `close` of the options does.
 * Callable from: a fiber, a plain thread.
 * Ownership: borrows the pool.
 * Errors: none.
 * Cancellation: no. */
TN_API size_t tn_resource_pool_trim(tn_resource_pool *pool);

/* Counters of a pool. */
typedef struct tn_resource_pool_counters {
    size_t size;     /* of this struct, in bytes; set by the caller */
    size_t idle;     /* resources that wait for a task now */
    size_t in_use;   /* resources of tasks now, and those that are being made or checked */
    uint64_t opened; /* so far */
    uint64_t closed;
} tn_resource_pool_counters;

/* Writes the counters as they are now.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `*counters` is written, up to its size.
 * Errors: TN_EINVAL: `size` is wrong.
 * Cancellation: no. */
TN_API int tn_resource_pool_count(tn_resource_pool *pool, tn_resource_pool_counters *counters);

#ifdef __cplusplus
}
#endif

#endif
