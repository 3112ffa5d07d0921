/* SPDX-License-Identifier: MIT */
/* tournant: waiting for several futures at once, and for one until a time.
 *
 * Each of these is a future too, so a stackless task polls it and others combine it further. The futures named by one are
 * borrowed: their memory, and the arrays, are the caller's and stay where they are until it is dropped. A NULL entry is skipped.
 * Nothing is allocated. Each wake polls every branch that is not ready yet: for many of them, or a changing number, see
 * tn/future_set.h. */
#ifndef TN_COMBINE_H
#define TN_COMBINE_H

#include <tn/future.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- Select: the first that is ready; the others go on ---------------------------------------------------------------------- */

/* Answers the index of a future that is ready; its own answer in `result`. */
typedef struct tn_select_future {
    tn_future base;
    tn_future *const *futures;
    unsigned count;
    bool biased;
    int result; /* when it is ready */
} tn_select_future;

/* Waits until one of the futures is ready and answers its index; `result` gets what it answered. Nothing is dropped: those that
 * are not ready may be selected again, and go on where they were (a sleep with its deadline, a read with what it holds). They
 * keep a waker of this task until they are polled again or dropped, so it may be woken in vain meanwhile. The one that was ready
 * must not be polled again: drop it, and prepare it anew or set its entry to NULL.
 * Which one, if several are ready: polling starts at a random one, so that none starves; the biased form goes from the first on.
 * Suspends: unless one is ready. Callable from: a fiber, a plain thread. Ownership: all stay the caller's.
 * Errors: TN_EINVAL: no future is named. Cancellation: checkpoint; nothing is dropped. */
TN_API int tn_select(tn_future *const *futures, unsigned count, int *result);
TN_API int tn_select_biased(tn_future *const *futures, unsigned count, int *result);

/* Suspends: no. Callable from: anywhere. Ownership: borrows futures and array until it is dropped. */
TN_API void tn_select_init(tn_select_future *future, tn_future *const *futures, unsigned count);
TN_API void tn_select_init_biased(tn_select_future *future, tn_future *const *futures, unsigned count);

/* --- Race: the first that is ready; the others are dropped ------------------------------------------------------------------ */

/* As tn_select, but all futures are dropped in the end, in every case.
 * Suspends: unless one is ready. Callable from: a fiber, a plain thread. Ownership: all are dropped; their memory stays the
 * caller's.
 * Errors: TN_EINVAL: no future is named. Cancellation: checkpoint; all are dropped. */
TN_API int tn_race(tn_future *const *futures, unsigned count, int *result);

/* Its drop drops them all. Suspends: no. Callable from: anywhere. Ownership: the futures are its own until it is dropped. */
TN_API void tn_race_init(tn_select_future *future, tn_future *const *futures, unsigned count);

/* --- Join: all of them ------------------------------------------------------------------------------------------------------ */

typedef struct tn_join_all_future {
    tn_future base;
    tn_future *const *futures;
    int *results;
    unsigned count;
    bool first_error;
} tn_join_all_future;

/* Waits until all futures are ready; `results` (as many) gets their answers. Each is dropped as soon as it is ready.
 * Suspends: unless all are ready. Callable from: a fiber, a plain thread. Ownership: all are dropped, in every case.
 * Errors: none of its own: 0, whatever the results are. Cancellation: checkpoint; the rest is dropped, with TN_ECANCELED as its
 * results. */
TN_API int tn_join_all(tn_future *const *futures, int *results, unsigned count);

/* As tn_join_all, but the first negative answer drops the rest (whose results are TN_ECANCELED), and is answered. */
TN_API int tn_try_join_all(tn_future *const *futures, int *results, unsigned count);

/* Suspends: no. Callable from: anywhere. Ownership: the futures are its own until it is dropped; the arrays are borrowed. */
TN_API void tn_join_all_init(tn_join_all_future *future, tn_future *const *futures, int *results, unsigned count);
TN_API void tn_try_join_all_init(tn_join_all_future *future, tn_future *const *futures, int *results, unsigned count);

/* --- Timeout: one, until a time --------------------------------------------------------------------------------------------- */

/* Answers what `inner` does, or TN_ETIMEDOUT. */
typedef struct tn_timeout_future {
    tn_future base;
    tn_future *inner;
    uint64_t deadline_ns;
    uint64_t timeout_ns; /* not 0: the time has not begun */
} tn_timeout_future;

/* Waits for `future` until `deadline_ns` (tn_now); if it is ready by then, that counts. For straight-line code a scope
 * (tn/scope.h) does this for any number of calls.
 * Suspends: unless ready. Callable from: a fiber, a plain thread. Ownership: the future is dropped in every case.
 * Errors: TN_ETIMEDOUT; else whatever the future answers. Cancellation: checkpoint; the future is dropped. */
TN_API int tn_timeout(tn_future *future, uint64_t deadline_ns);

/* As tn_timeout, for `timeout_ns` from when `future` is first found not ready: where it is ready at once, nobody looks at the
 * clock. */
TN_API int tn_timeout_for(tn_future *future, uint64_t timeout_ns);

/* Its drop drops `inner`. To be polled with the waker of the task that polls it, as a sleep.
 * Suspends: no. Callable from: anywhere. Ownership: `inner` is its own until it is dropped. */
TN_API void tn_timeout_init(tn_timeout_future *future, tn_future *inner, uint64_t deadline_ns);

/* As tn_timeout_init, for `timeout_ns` from the first poll that finds `inner` not ready. */
TN_API void tn_timeout_for_init(tn_timeout_future *future, tn_future *inner, uint64_t timeout_ns);

/* --- Interval: again and again ---------------------------------------------------------------------------------------------- */

/* What becomes of ticks whose time has passed before they were waited for. */
typedef enum tn_missed {
    TN_MISSED_BURST, /* they come at once, one after the other, until none is behind */
    TN_MISSED_DELAY, /* they are left out; the next one comes a period from now */
    TN_MISSED_SKIP,  /* they are left out; the next one comes at the next multiple of the period */
} tn_missed;

typedef struct tn_interval {
    uint64_t next_ns; /* when the next tick is due */
    uint64_t period_ns;
    tn_missed missed;
} tn_interval;

/* A future of one tick. Answers 0; prepare it anew for the next one. */
typedef struct tn_interval_future {
    tn_future base;
    tn_interval *interval;
    uint64_t due_ns; /* when it is ready: when the tick was due */
} tn_interval_future;

/* Ticks at `first_ns` (tn_now), and every `period_ns` (not 0) from then on.
 * Suspends: no. Callable from: anywhere. Ownership: the caller's memory; there is nothing to be freed. */
TN_API void tn_interval_init(tn_interval *interval, uint64_t first_ns, uint64_t period_ns, tn_missed missed);

/* Waits for the next tick, which is never early; `due_ns` (may be NULL) gets the time it was due at.
 * Suspends: unless it is due. Callable from: a fiber, a plain thread; one at a time. Ownership: borrows it. Errors: none.
 * Cancellation: checkpoint; no tick is lost. */
TN_API int tn_interval_tick(tn_interval *interval, uint64_t *due_ns);

/* Suspends: no. Callable from: anywhere. Ownership: borrows `interval` until it is dropped. */
TN_API void tn_interval_tick_init(tn_interval_future *future, tn_interval *interval);

#ifdef __cplusplus
}
#endif

#endif
