/* SPDX-License-Identifier: MIT */
/* tournant: a counting semaphore for tasks. */
#ifndef TN_SEMAPHORE_H
#define TN_SEMAPHORE_H

#include <tn/waiter.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Permits, handed out in the order in which they were asked for: who asks for many is not overtaken by who asks for few. Opaque;
 * in the caller's memory, which may be freed as soon as nobody waits for it or calls it. */
typedef struct tn_semaphore {
    union {
        uint64_t word_;
        unsigned char bytes_[64];
    } opaque;
} tn_semaphore;

/* A semaphore never holds more permits. */
#define TN_SEMAPHORE_MAX (UINT64_MAX >> 3)

/* A static semaphore with `permits`. */
/* clang-format off */
#define TN_SEMAPHORE_INIT(permits) {{(uint64_t)(permits) << 2}}
/* clang-format on */

/* Suspends: no. Callable from: anywhere. Ownership: the caller's memory. Cancellation: no checkpoint. */
TN_API void tn_semaphore_init(tn_semaphore *semaphore, uint64_t permits);

/* The end of a semaphore that nobody waits for (asserted). Permits may still be out, if nobody gives them back.
 * Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API void tn_semaphore_fini(tn_semaphore *semaphore);

/* Takes `count` permits, all at once, behind all who asked before.
 * Suspends: while they are not there, or the task's budget is used up. Callable from: a fiber, a plain thread.
 * Ownership: to be given back with tn_semaphore_release, by anyone. Errors: TN_EPIPE: the semaphore is closed.
 * Cancellation: checkpoint; TN_ECANCELED: none was taken. */
TN_API int tn_semaphore_acquire(tn_semaphore *semaphore, uint64_t count);

/* As tn_semaphore_acquire, if they are there and nobody waits; TN_EAGAIN otherwise.
 * Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API int tn_semaphore_try_acquire(tn_semaphore *semaphore, uint64_t count);

/* Gives permits back, or new ones: any number may be added up to TN_SEMAPHORE_MAX (asserted).
 * Suspends: no. Callable from: anywhere. Errors: none. Cancellation: no checkpoint. */
TN_API void tn_semaphore_release(tn_semaphore *semaphore, uint64_t count);

/* Takes up to `count` of the permits that are there out of the semaphore for good; answers how many.
 * Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API uint64_t tn_semaphore_forget(tn_semaphore *semaphore, uint64_t count);

/* From now on each acquire, waiting or to come, answers TN_EPIPE. Permits may still be given back and forgotten; that does not
 * open it again.
 * Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API void tn_semaphore_close(tn_semaphore *semaphore);

/* Permits that are there now. Suspends: no. Callable from: anywhere. */
TN_API uint64_t tn_semaphore_available(const tn_semaphore *semaphore);

/* A future that is ready, with 0, when it holds `count` permits; TN_EPIPE when the semaphore is closed. Dropped before that has
 * been answered, it holds none. */
typedef struct tn_semaphore_future {
    tn_future base;
    tn_semaphore *semaphore;
    tn_waiter waiter;
} tn_semaphore_future;

/* Suspends: no. Callable from: anywhere. Ownership: the caller's memory. Cancellation: no checkpoint. */
TN_API void tn_semaphore_acquire_init(tn_semaphore_future *future, tn_semaphore *semaphore, uint64_t count);

/* Permits with their semaphore, as one thing that is handed round; a value of it has one owner. */
typedef struct tn_permit {
    tn_semaphore *semaphore;
    uint64_t count;
} tn_permit;

/* As tn_semaphore_acquire; on failure the permit is empty, and may be released. */
TN_API int tn_permit_acquire(tn_permit *permit, tn_semaphore *semaphore, uint64_t count);

/* Takes `count` out of it into one of its own (asserts that it has so many).
 * Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API tn_permit tn_permit_split(tn_permit *permit, uint64_t count);

/* Adds `other`, which is empty then; both are of one semaphore (asserted). Otherwise as tn_permit_split. */
TN_API void tn_permit_merge(tn_permit *permit, tn_permit *other);

/* Gives it back; an empty one is left alone. It is empty then. As tn_semaphore_release. */
TN_API void tn_permit_release(tn_permit *permit);

/* Empties it and gives nothing back: the semaphore has so many less for good. Otherwise as tn_permit_release. */
TN_API void tn_permit_forget(tn_permit *permit);

#ifdef __cplusplus
}
#endif

#endif
