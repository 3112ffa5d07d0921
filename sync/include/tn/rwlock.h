/* SPDX-License-Identifier: MIT */
/* tournant: a lock that many readers or one writer hold. */
#ifndef TN_RWLOCK_H
#define TN_RWLOCK_H

#include <tn/waiter.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A read-write lock: readers share it, a writer holds it alone. It is granted in the order in which it was asked for. A reader
 * that asks while a writer waits queues behind the writer, so writers do not starve.
 *
 * A reader that locks it a second time may wait for ever. Opaque; in the caller's memory. */
typedef struct tn_rwlock {
    union {
        uint64_t word_;
        unsigned char bytes_[64];
    } opaque;
} tn_rwlock;

/* Initializes a read-write lock statically: unlocked. */
/* clang-format off */
#define TN_RWLOCK_INIT {{0}}
/* clang-format on */

/* Initializes an unlocked read-write lock.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `lock` is in the caller's memory.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_rwlock_init(tn_rwlock *lock);

/* Ends the use of a read-write lock. It asserts that the lock is not held and that no call waits for it.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the memory is the caller's again.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_rwlock_fini(tn_rwlock *lock);

/* Acquires the lock for reading, together with other readers, behind all calls that asked before.
 *
 * Suspends: while the lock cannot be granted, or when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: on success the caller holds the lock for reading.
 * Errors: TN_ECANCELED, TN_ETIMEDOUT: the lock is not held.
 * Cancellation: yes; the lock is not held. */
TN_API int tn_rwlock_read(tn_rwlock *lock);

/* Acquires the lock for writing, alone, behind all calls that asked before.
 *
 * Suspends: while the lock cannot be granted, or when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: on success the caller holds the lock for writing.
 * Errors: TN_ECANCELED, TN_ETIMEDOUT: the lock is not held.
 * Cancellation: yes; the lock is not held. */
TN_API int tn_rwlock_write(tn_rwlock *lock);

/* Acquires the lock for reading, like tn_rwlock_read, but never fails: neither a cancellation nor a deadline ends the wait. It is
 * for clean-up that needs the lock, and for code that could do nothing without it.
 *
 * Suspends: while the lock cannot be granted, or when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: the caller holds the lock for reading.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_rwlock_read_always(tn_rwlock *lock);

/* Acquires the lock for reading if that needs no waiting.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: on success the caller holds the lock for reading.
 * Errors: TN_EAGAIN: a writer holds the lock, or a call waits for it.
 * Cancellation: no. */
TN_API int tn_rwlock_try_read(tn_rwlock *lock);

/* Acquires the lock for writing, like tn_rwlock_write, but never fails: neither a cancellation nor a deadline ends the wait. It
 * is for clean-up that needs the lock, and for code that could do nothing without it.
 *
 * Suspends: while the lock cannot be granted, or when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: the caller holds the lock for writing.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_rwlock_write_always(tn_rwlock *lock);

/* Acquires the lock for writing if that needs no waiting.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: on success the caller holds the lock for writing.
 * Errors: TN_EAGAIN: the lock is held, or a call waits for it.
 * Cancellation: no. */
TN_API int tn_rwlock_try_write(tn_rwlock *lock);

/* Releases a lock that is held for reading. It asserts that the lock is held for reading.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the caller no longer holds the lock.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_rwlock_read_unlock(tn_rwlock *lock);

/* Releases a lock that is held for writing. It asserts that the lock is held for writing.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the caller no longer holds the lock.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_rwlock_write_unlock(tn_rwlock *lock);

/* Makes the writer a reader; no other writer gets the lock in between. It asserts that the lock is held for writing.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the caller holds the lock for reading.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_rwlock_downgrade(tn_rwlock *lock);

/* A future that is ready, with 0, when it holds the lock. If it is dropped before a poll has returned 0, it holds nothing. */
typedef struct tn_rwlock_future {
    tn_future base;
    tn_rwlock *lock;
    tn_waiter waiter; /* private */
} tn_rwlock_future;

/* Prepares `future` to acquire the lock for reading. Nothing happens until it is polled.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `future` is in the caller's memory; it borrows `lock` until it is ready or dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_rwlock_read_init(tn_rwlock_future *future, tn_rwlock *lock);

/* Prepares `future` to acquire the lock for writing. Nothing happens until it is polled.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `future` is in the caller's memory; it borrows `lock` until it is ready or dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_rwlock_write_init(tn_rwlock_future *future, tn_rwlock *lock);

#ifdef __cplusplus
}
#endif

#endif
