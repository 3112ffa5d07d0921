/* SPDX-License-Identifier: MIT */
/* tournant: a changing number of futures that are waited for together. */
#ifndef TN_FUTURE_SET_H
#define TN_FUTURE_SET_H

#include <tn/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Futures come and go, and a wait returns the next one that is ready. Only those that were added or woken since are polled,
 * however many there are: each once, then others run. One task or thread uses a set at a time. */
typedef struct tn_future_set tn_future_set;

/* A future in a set; valid until it is ready or removed. */
typedef struct tn_future_set_member tn_future_set_member;

/* A future that was ready; it has been dropped. */
typedef struct tn_ready {
    tn_future *future;
    void *tag;  /* as given to tn_future_set_add */
    int result; /* what it answered */
} tn_ready;

/* `runtime`: whose timers serve the futures; NULL: that of the calling task.
 * Suspends: no. Callable from: anywhere. Ownership: to be destroyed, before its runtime.
 * Errors: TN_ENOMEM, TN_EINVAL (no runtime). Cancellation: no checkpoint. */
TN_API int tn_future_set_create(tn_future_set **out, tn_runtime *runtime);

/* Drops all futures that are left. NULL is allowed.
 * Suspends: no. Callable from: anywhere. Ownership: consumes the set. Cancellation: no checkpoint. */
TN_API void tn_future_set_destroy(tn_future_set *set);

/* Puts `future` into the set, to be polled at the next wait. `out`: what to remove it by; may be NULL.
 * Suspends: no. Callable from: the user of the set. Ownership: on success the future is the set's until it is ready or removed.
 * Errors: TN_ENOMEM. Cancellation: no checkpoint. */
TN_API int tn_future_set_add(tn_future_set *set, tn_future *future, void *tag, tn_future_set_member **out);

/* Drops the future.
 * Suspends: no. Callable from: the user of the set. Ownership: consumes `member`; the future's memory is the caller's again.
 * Cancellation: no checkpoint. */
TN_API void tn_future_set_remove(tn_future_set *set, tn_future_set_member *member);

/* How many there are. Suspends: no. Callable from: the user of the set. */
TN_API size_t tn_future_set_count(const tn_future_set *set);

/* Waits for the next one that is ready: 1, and `out` is set; 0: the set is empty.
 * Suspends: unless one is ready. Callable from: a fiber, a plain thread. Ownership: the future's memory is the caller's again.
 * Errors: none. Cancellation: checkpoint; nothing is lost. */
TN_API int tn_future_set_next(tn_future_set *set, tn_ready *out);

/* Answers as tn_future_set_next. */
typedef struct tn_future_set_future {
    tn_future base;
    tn_future_set *set;
    tn_ready ready; /* when the answer is 1 */
} tn_future_set_future;

/* Its drop leaves the set as it is. Suspends: no. Callable from: anywhere. Ownership: borrows the set until it is dropped. */
TN_API void tn_future_set_next_init(tn_future_set_future *future, tn_future_set *set);

#ifdef __cplusplus
}
#endif

#endif
