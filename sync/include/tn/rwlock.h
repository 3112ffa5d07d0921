/* SPDX-License-Identifier: MIT */
/* tournant: a lock that many readers or one writer hold. */
#ifndef TN_RWLOCK_H
#define TN_RWLOCK_H

#include <tn/waiter.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Readers share it, a writer has it alone. First come, first served: a reader that comes while a writer waits goes behind it, so
 * writers do not starve (and a reader that locks it a second time may wait for ever). Opaque; in the caller's memory. */
typedef struct tn_rwlock {
    union {
        uint64_t word_;
        unsigned char bytes_[64];
    } opaque;
} tn_rwlock;

/* clang-format off */
#define TN_RWLOCK_INIT {{0}}
/* clang-format on */

/* Suspends: no. Callable from: anywhere. Ownership: the caller's memory. Cancellation: no checkpoint. */
TN_API void tn_rwlock_init(tn_rwlock *lock);

/* The end of a lock that nobody holds or waits for (asserted).
 * Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API void tn_rwlock_fini(tn_rwlock *lock);

/* Takes it together with other readers, or alone, behind all who asked before.
 * Suspends: while it cannot be had, or the task's budget is used up. Callable from: a fiber, a plain thread.
 * Ownership: on success the caller holds it. Errors: none but the cancellation.
 * Cancellation: checkpoint; TN_ECANCELED: it is not held. */
TN_API int tn_rwlock_read(tn_rwlock *lock);
TN_API int tn_rwlock_write(tn_rwlock *lock);

/* Takes it if that needs no waiting: 0, or TN_EAGAIN. Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API int tn_rwlock_try_read(tn_rwlock *lock);
TN_API int tn_rwlock_try_write(tn_rwlock *lock);

/* Gives back what was taken by read, or by write.
 * Suspends: no. Callable from: anywhere. Errors: none; asserts that it is held so. Cancellation: no checkpoint. */
TN_API void tn_rwlock_read_unlock(tn_rwlock *lock);
TN_API void tn_rwlock_write_unlock(tn_rwlock *lock);

/* The writer goes on as a reader; no other writer comes between. As tn_rwlock_write_unlock. */
TN_API void tn_rwlock_downgrade(tn_rwlock *lock);

/* A future that is ready, with 0, when it holds the lock. Dropped before that has been answered, it holds nothing. */
typedef struct tn_rwlock_future {
    tn_future base;
    tn_rwlock *lock;
    tn_waiter waiter;
} tn_rwlock_future;

/* Suspends: no. Callable from: anywhere. Ownership: the caller's memory. Cancellation: no checkpoint. */
TN_API void tn_rwlock_read_init(tn_rwlock_future *future, tn_rwlock *lock);
TN_API void tn_rwlock_write_init(tn_rwlock_future *future, tn_rwlock *lock);

#ifdef __cplusplus
}
#endif

#endif
