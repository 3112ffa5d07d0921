/* SPDX-License-Identifier: MIT */
/* tournant: a mutual exclusion lock for tasks. */
#ifndef TN_MUTEX_H
#define TN_MUTEX_H

#include <tn/waiter.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A lock that a task may hold while it suspends. Waiters get it in the order in which they asked; no call overtakes a waiter.
 * It belongs to no task: any task or thread may unlock it on behalf of the holder. It is not recursive. Opaque. It is in the
 * caller's memory, which may be freed as soon as no one holds the lock and no call waits for it.
 *
 * For a few instructions without a suspension an ordinary mutex is faster under contention. */
typedef struct tn_mutex {
    union {
        uint64_t word_;
        unsigned char bytes_[64];
    } opaque;
} tn_mutex;

/* Initializes a mutex statically: unlocked. */
/* clang-format off */
#define TN_MUTEX_INIT {{0}}
/* clang-format on */

/* Initializes an unlocked mutex.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `mutex` is in the caller's memory.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_mutex_init(tn_mutex *mutex);

/* Ends the use of a mutex. It asserts that the mutex is not held and that no call waits for it.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the memory is the caller's again.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_mutex_fini(tn_mutex *mutex);

/* Acquires the lock. Waiters get it in the order in which they asked.
 *
 * Suspends: while the lock is held, or when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: on success the caller holds the lock.
 * Errors: TN_ECANCELED, TN_ETIMEDOUT: the lock is not held.
 * Cancellation: yes; the lock is not held. */
TN_API int tn_mutex_lock(tn_mutex *mutex);

/* Acquires the lock, like tn_mutex_lock, but never fails: neither a cancellation nor a deadline ends the wait. It is for
 * clean-up that needs the lock, and for code that could do nothing without it.
 *
 * Suspends: while the lock is held, or when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: the caller holds the lock.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_mutex_lock_always(tn_mutex *mutex);

/* Acquires the lock if it is free.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: on success the caller holds the lock.
 * Errors: TN_EAGAIN: the lock is held.
 * Cancellation: no. */
TN_API int tn_mutex_try_lock(tn_mutex *mutex);

/* Hands the lock to the waiter that has waited longest, or frees it. It asserts that the lock is held.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the caller no longer holds the lock.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_mutex_unlock(tn_mutex *mutex);

/* A future that is ready, with 0, when it holds the lock. If it is dropped before a poll has returned 0, it holds nothing. */
typedef struct tn_mutex_future {
    tn_future base;
    tn_mutex *mutex;
    tn_waiter waiter; /* private */
} tn_mutex_future;

/* Prepares `future` to acquire the lock. Nothing happens until it is polled.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `future` is in the caller's memory; it borrows `mutex` until it is ready or dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_mutex_lock_init(tn_mutex_future *future, tn_mutex *mutex);

#ifdef __cplusplus
}
#endif

#endif
