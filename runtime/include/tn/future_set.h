/* SPDX-License-Identifier: MIT */
/* tournant: waiting for a changing number of futures. */
#ifndef TN_FUTURE_SET_H
#define TN_FUTURE_SET_H

#include <tn/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A set of futures. Futures are added and removed at any time, and a wait returns the next one that is ready. A wait polls only
 * the futures that were added or woken since, however many there are, each of them once. Then other tasks run. One task or
 * thread uses a set at a time: its user. */
typedef struct tn_future_set tn_future_set;

/* A future in a set. It is valid until the future is ready or removed. */
typedef struct tn_future_set_member tn_future_set_member;

/* A future that was ready. It has been dropped. */
typedef struct tn_ready {
    tn_future *future; /* as given to tn_future_set_add */
    void *tag;         /* as given to tn_future_set_add */
    int result;        /* of the future */
} tn_ready;

/* Creates an empty set. `runtime`: the runtime whose timers wake the futures; NULL: that of the calling task.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: on success the caller owns the set, and must destroy it before its runtime is destroyed.
 * Errors: TN_ENOMEM. TN_EINVAL: there is no runtime.
 * Cancellation: no. */
TN_API int tn_future_set_create(tn_future_set **out, tn_runtime *runtime);

/* Drops all futures that are left, and frees the set. NULL is allowed.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: consumes the set; the memory of its futures is the caller's again.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_future_set_destroy(tn_future_set *set);

/* Adds `future` to the set; the next wait polls it. `tag` is returned with its result. `out` (may be NULL) receives the member
 * by which the future can be removed.
 *
 * Suspends: no.
 * Callable from: the user of the set.
 * Ownership: on success the future belongs to the set until it is ready or removed.
 * Errors: TN_ENOMEM.
 * Cancellation: no. */
TN_API int tn_future_set_add(tn_future_set *set, tn_future *future, void *tag, tn_future_set_member **out);

/* Removes a future from the set, and drops it.
 *
 * Suspends: no.
 * Callable from: the user of the set.
 * Ownership: consumes `member`; the memory of the future is the caller's again.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_future_set_remove(tn_future_set *set, tn_future_set_member *member);

/* Returns the number of futures in the set.
 *
 * Suspends: no.
 * Callable from: the user of the set.
 * Ownership: borrows the set.
 * Errors: none.
 * Cancellation: no. */
TN_API size_t tn_future_set_count(const tn_future_set *set);

/* Waits for the next future that is ready. Returns 1 when `out` is set, and 0 when the set is empty.
 *
 * Suspends: unless a future is ready or the set is empty.
 * Callable from: a fiber, a plain thread; the user of the set.
 * Ownership: the memory of the future that was ready is the caller's again.
 * Errors: TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; no future and no result is lost. */
TN_API int tn_future_set_next(tn_future_set *set, tn_ready *out);

/* A future that is ready when a future of the set is, or when the set is empty. Its result is the one that tn_future_set_next
 * returns. */
typedef struct tn_future_set_future {
    tn_future base;
    tn_future_set *set; /* the set that it waits for */
    tn_ready ready;     /* set when the result is 1 */
} tn_future_set_future;

/* Prepares `future` to wait for the next ready future of the set. Its drop leaves the set as it is.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the set is borrowed until the future is dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_future_set_next_init(tn_future_set_future *future, tn_future_set *set);

#ifdef __cplusplus
}
#endif

#endif
