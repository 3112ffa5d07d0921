/* SPDX-License-Identifier: MIT */
/* tournant: a counting semaphore for tasks. */
#ifndef TN_SEMAPHORE_H
#define TN_SEMAPHORE_H

#include <tn/waiter.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A number of permits, which are granted in the order in which they were asked for: a call that asks for few does not overtake
 * one that asks for many. Opaque. It is in the caller's memory, which may be freed as soon as no call waits for it or uses
 * it. */
typedef struct tn_semaphore {
    union {
        uint64_t word_;
        unsigned char bytes_[64];
    } opaque;
} tn_semaphore;

/* The largest number of permits that a semaphore may hold. */
#define TN_SEMAPHORE_MAX (UINT64_MAX >> 3)

/* Initializes a semaphore with `permits` permits statically. */
/* clang-format off */
#define TN_SEMAPHORE_INIT(permits) {{(uint64_t)(permits) << 2}}
/* clang-format on */

/* Initializes a semaphore with `permits` permits, at most TN_SEMAPHORE_MAX (asserted).
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `semaphore` is in the caller's memory.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_semaphore_init(tn_semaphore *semaphore, uint64_t permits);

/* Ends the use of a semaphore. It asserts that no call waits for it. Permits may still be held if they are never released.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the memory is the caller's again.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_semaphore_fini(tn_semaphore *semaphore);

/* Acquires `count` permits, all at once, behind all calls that asked before. `count`: at most TN_SEMAPHORE_MAX (asserted).
 *
 * Suspends: while the permits cannot be granted, or when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: on success the caller holds the permits; any task or thread may release them with tn_semaphore_release.
 * Errors: TN_EPIPE: the semaphore is closed; TN_ECANCELED, TN_ETIMEDOUT: no permit is held.
 * Cancellation: yes; no permit is held. */
TN_API int tn_semaphore_acquire(tn_semaphore *semaphore, uint64_t count);

/* Acquires `count` permits if they are available and no call waits.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: on success the caller holds the permits; any task or thread may release them with tn_semaphore_release.
 * Errors: TN_EAGAIN: the permits are not available, or a call waits; TN_EPIPE: the semaphore is closed.
 * Cancellation: no. */
TN_API int tn_semaphore_try_acquire(tn_semaphore *semaphore, uint64_t count);

/* Releases permits, or adds new ones: any number up to TN_SEMAPHORE_MAX permits altogether (asserted).
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the permits are the semaphore's.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_semaphore_release(tn_semaphore *semaphore, uint64_t count);

/* Removes up to `count` of the available permits from the semaphore for good. Returns how many.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the removed permits no longer exist.
 * Errors: none.
 * Cancellation: no. */
TN_API uint64_t tn_semaphore_forget(tn_semaphore *semaphore, uint64_t count);

/* Closes the semaphore: from now on each acquire returns TN_EPIPE, also those that wait. Permits can still be released and
 * forgotten; that does not open it again.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: none.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_semaphore_close(tn_semaphore *semaphore);

/* Returns the number of permits that are available now.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: none.
 * Errors: none.
 * Cancellation: no. */
TN_API uint64_t tn_semaphore_available(const tn_semaphore *semaphore);

/* A future that is ready, with 0, when it holds the permits, or with TN_EPIPE when the semaphore is closed. If it is dropped
 * before a poll has returned 0, it holds none. */
typedef struct tn_semaphore_future {
    tn_future base;
    tn_semaphore *semaphore;
    tn_waiter waiter; /* private */
} tn_semaphore_future;

/* Prepares `future` to acquire `count` permits, at most TN_SEMAPHORE_MAX (asserted). Nothing happens until it is polled.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `future` is in the caller's memory; it borrows `semaphore` until it is ready or dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_semaphore_acquire_init(tn_semaphore_future *future, tn_semaphore *semaphore, uint64_t count);

/* A number of permits together with their semaphore, as a value that can be passed on. A value has one owner. */
typedef struct tn_permit {
    tn_semaphore *semaphore;
    uint64_t count; /* permits; 0: the permit is empty */
} tn_permit;

/* Acquires `count` permits, all at once, behind all calls that asked before. On failure `*permit` is empty, and may be
 * released.
 *
 * Suspends: while the permits cannot be granted, or when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: on success `*permit` holds the permits; it ends with tn_permit_release or tn_permit_forget.
 * Errors: TN_EPIPE: the semaphore is closed; TN_ECANCELED, TN_ETIMEDOUT: no permit is held.
 * Cancellation: yes; no permit is held. */
TN_API int tn_permit_acquire(tn_permit *permit, tn_semaphore *semaphore, uint64_t count);

/* Moves `count` permits out of `permit` into a new one, and returns it. It asserts that `permit` has so many.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the result is the caller's.
 * Errors: none.
 * Cancellation: no. */
TN_API tn_permit tn_permit_split(tn_permit *permit, uint64_t count);

/* Moves the permits of `other` into `permit`; `other` is empty afterwards. It asserts that both are of one semaphore.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `permit` holds the permits of both.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_permit_merge(tn_permit *permit, tn_permit *other);

/* Releases the permits; `permit` is empty afterwards. An empty permit is left as it is.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the permits are the semaphore's.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_permit_release(tn_permit *permit);

/* Empties `permit` without releasing anything: the semaphore has so many permits less for good.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the permits no longer exist.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_permit_forget(tn_permit *permit);

#ifdef __cplusplus
}
#endif

#endif
