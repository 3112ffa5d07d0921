/* SPDX-License-Identifier: MIT */
/* tournant: a mutual exclusion lock for tasks. */
#ifndef TN_MUTEX_H
#define TN_MUTEX_H

#include <tn/waiter.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A lock that a task may hold while it suspends, and that is handed on in the order in which it was asked for: nobody overtakes.
 * It belongs to no task: whoever got it may have another one unlock it. Not recursive. Opaque; in the caller's memory, which may
 * be freed as soon as nobody holds it or waits for it. For a few instructions without a suspension an ordinary mutex is faster
 * under contention. */
typedef struct tn_mutex {
    union {
        uint64_t word_;
        unsigned char bytes_[64];
    } opaque;
} tn_mutex;

/* clang-format off */
#define TN_MUTEX_INIT {{0}}
/* clang-format on */

/* Suspends: no. Callable from: anywhere. Ownership: the caller's memory. Cancellation: no checkpoint. */
TN_API void tn_mutex_init(tn_mutex *mutex);

/* The end of a mutex that nobody holds or waits for (asserted).
 * Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API void tn_mutex_fini(tn_mutex *mutex);

/* Takes the lock, behind all who asked before.
 * Suspends: while it is held, or the task's budget is used up. Callable from: a fiber, a plain thread.
 * Ownership: on success the caller holds it. Errors: none but the cancellation.
 * Cancellation: checkpoint; TN_ECANCELED: it is not held. */
TN_API int tn_mutex_lock(tn_mutex *mutex);

/* Takes the lock if it is free: 0, or TN_EAGAIN.
 * Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API int tn_mutex_try_lock(tn_mutex *mutex);

/* Gives the lock to the one that has waited longest, or frees it.
 * Suspends: no. Callable from: anywhere. Errors: none; asserts that it is held. Cancellation: no checkpoint. */
TN_API void tn_mutex_unlock(tn_mutex *mutex);

/* A future that is ready, with 0, when it holds the lock. Dropped before that has been answered, it holds nothing. */
typedef struct tn_mutex_future {
    tn_future base;
    tn_mutex *mutex;
    tn_waiter waiter;
} tn_mutex_future;

/* Suspends: no. Callable from: anywhere. Ownership: the caller's memory. Cancellation: no checkpoint. */
TN_API void tn_mutex_lock_init(tn_mutex_future *future, tn_mutex *mutex);

#ifdef __cplusplus
}
#endif

#endif
