/* SPDX-License-Identifier: MIT */
/* tournant: waiting for several futures at once, for one until a time, and for the ticks of an interval.
 *
 * Each combination is a future too, so a stackless task can poll it, and others can combine it further. It borrows the futures
 * that it names. Their memory and the arrays are the caller's, and must not move until the combination is dropped. A NULL entry
 * is skipped; its result in a join is 0. Nothing is allocated.
 *
 * Each wake polls every future that is not ready yet. For many futures, or a changing number of them, see tn/future_set.h. */
#ifndef TN_COMBINE_H
#define TN_COMBINE_H

#include <tn/future.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- Select: the first that is ready; the others continue ---------------------------------------------------------------- */

/* A future that is ready when one of several is. Its result is the index of that one. */
typedef struct tn_select_future {
    tn_future base;
    tn_future *const *futures; /* `count` entries; NULL: skipped */
    unsigned count;
    bool biased; /* polling starts at the first future, not at a random one */
    int result;  /* of the future that is ready; set when this one is */
} tn_select_future;

/* Wait until one of the futures is ready, and return its index. `result` receives the result of that future.
 *
 * No future is dropped. Those that are not ready may be selected again, and continue where they were: a sleep with its
 * deadline, a read with what it holds. They keep a waker of this task until they are polled again or dropped, so they may wake
 * the task spuriously in between. The one that was ready must not be polled again: drop it, and then prepare it anew or set its
 * entry to NULL.
 *
 * If several are ready, the first one that is polled is returned. tn_select starts polling at a random one, so that none
 * starves; tn_select_biased starts at the first one.
 *
 * Suspends: unless one of the futures is ready.
 * Callable from: a fiber, a plain thread.
 * Ownership: all futures stay the caller's.
 * Errors: TN_EINVAL: no future is named. TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; no future is dropped. */
TN_API int tn_select(tn_future *const *futures, unsigned count, int *result);
TN_API int tn_select_biased(tn_future *const *futures, unsigned count, int *result);

/* Prepare `future` to select among `futures`, like tn_select and tn_select_biased. Its drop drops none of them.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the futures and the array are borrowed until `future` is dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_select_init(tn_select_future *future, tn_future *const *futures, unsigned count);
TN_API void tn_select_init_biased(tn_select_future *future, tn_future *const *futures, unsigned count);

/* --- Race: the first that is ready; the others are dropped --------------------------------------------------------------- */

/* Waits until one of the futures is ready, and returns its index. `result` receives the result of that future. Polling starts
 * at a random one. All futures are dropped in the end, in every case.
 *
 * Suspends: unless one of the futures is ready.
 * Callable from: a fiber, a plain thread.
 * Ownership: all futures are dropped; their memory stays the caller's.
 * Errors: TN_EINVAL: no future is named. TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; all futures are dropped. */
TN_API int tn_race(tn_future *const *futures, unsigned count, int *result);

/* Prepares `future` to race `futures`, like tn_race. Its drop drops them all.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the futures belong to `future` until it is dropped; the array is borrowed until then.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_race_init(tn_select_future *future, tn_future *const *futures, unsigned count);

/* --- Join: all of them --------------------------------------------------------------------------------------------------- */

/* A future that is ready when all of several are. Its result is the one that tn_join_all or tn_try_join_all returns. */
typedef struct tn_join_all_future {
    tn_future base;
    tn_future *const *futures; /* `count` entries; NULL: skipped */
    int *results;              /* `count` entries */
    unsigned count;
    bool first_error; /* the first negative result drops the rest */
} tn_join_all_future;

/* Waits until all futures are ready, and returns 0 whatever their results are. `results`, an array of `count`, receives the
 * results. Each future is dropped as soon as it is ready. No future of the library has TN_ECANCELED as a result of its own.
 *
 * Suspends: unless all futures are ready.
 * Callable from: a fiber, a plain thread.
 * Ownership: all futures are dropped, in every case; their memory stays the caller's.
 * Errors: TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; the futures that were not ready are dropped, and their results are TN_ECANCELED. */
TN_API int tn_join_all(tn_future *const *futures, int *results, unsigned count);

/* Waits until all futures are ready, like tn_join_all, or until one has a negative result. Then the rest is dropped, with
 * TN_ECANCELED as its results, and the negative result is returned.
 *
 * Suspends: unless all futures are ready, or one has a negative result.
 * Callable from: a fiber, a plain thread.
 * Ownership: all futures are dropped, in every case; their memory stays the caller's.
 * Errors: the first negative result. TN_ECANCELED, TN_ETIMEDOUT. If a future has such a result, tn_checkpoint shows it
 * (tn/scope.h).
 * Cancellation: yes; the futures that were not ready are dropped, and their results are TN_ECANCELED. */
TN_API int tn_try_join_all(tn_future *const *futures, int *results, unsigned count);

/* Prepare `future` to join `futures`, like tn_join_all and tn_try_join_all. Its drop drops those that are not ready.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the futures belong to `future` until it is dropped; the arrays are borrowed until then.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_join_all_init(tn_join_all_future *future, tn_future *const *futures, int *results, unsigned count);
TN_API void tn_try_join_all_init(tn_join_all_future *future, tn_future *const *futures, int *results, unsigned count);

/* --- Timeout: one, until a time ------------------------------------------------------------------------------------------ */

/* A future with a deadline. Its result is that of `inner`, or TN_ETIMEDOUT. */
typedef struct tn_timeout_future {
    tn_future base;
    tn_future *inner;     /* the future that it waits for */
    uint64_t deadline_ns; /* a time of tn_now */
    uint64_t timeout_ns;  /* private: not 0: the time has not begun */
} tn_timeout_future;

/* Waits for `future` until `deadline_ns`, a time of tn_now. If the future is ready by then, its result counts. For
 * straight-line code a cancel scope (tn/scope.h) does this for any number of calls.
 *
 * Suspends: unless the future is ready.
 * Callable from: a fiber, a plain thread.
 * Ownership: the future is dropped in every case; its memory stays the caller's.
 * Errors: TN_ETIMEDOUT: it was not ready in time, or a cancel scope has ended; tn_checkpoint shows it (tn/scope.h). TN_ECANCELED.
 * Otherwise the result of the future.
 * Cancellation: yes; the future is dropped. */
TN_API int tn_timeout(tn_future *future, uint64_t deadline_ns);

/* Waits for `future` for `timeout_ns` nanoseconds, which begin when it is first found not ready. If it is ready at once, the
 * clock is not read.
 *
 * Suspends: unless the future is ready.
 * Callable from: a fiber, a plain thread.
 * Ownership: the future is dropped in every case; its memory stays the caller's.
 * Errors: TN_ETIMEDOUT: it was not ready in time, or a cancel scope has ended; tn_checkpoint shows it (tn/scope.h). TN_ECANCELED.
 * Otherwise the result of the future.
 * Cancellation: yes; the future is dropped. */
TN_API int tn_timeout_for(tn_future *future, uint64_t timeout_ns);

/* Prepares `future` to wait for `inner` until `deadline_ns`, a time of tn_now. Its drop drops `inner`. It must be polled with
 * the waker of the task that polls it, like a sleep.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `inner` belongs to `future` until that is dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_timeout_init(tn_timeout_future *future, tn_future *inner, uint64_t deadline_ns);

/* Prepares `future` to wait for `inner` for `timeout_ns` nanoseconds, which begin with the first poll that finds it not ready.
 * Its drop drops `inner`. It must be polled with the waker of the task that polls it, like a sleep.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `inner` belongs to `future` until that is dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_timeout_for_init(tn_timeout_future *future, tn_future *inner, uint64_t timeout_ns);

/* --- Interval: periodic ticks -------------------------------------------------------------------------------------------- */

/* What happens to ticks whose time has passed before they were waited for. */
typedef enum tn_missed {
    TN_MISSED_BURST, /* they come at once, one after the other, until none is behind */
    TN_MISSED_DELAY, /* they are left out; the next one comes one period from now */
    TN_MISSED_SKIP,  /* they are left out; the next one comes at the next multiple of the period */
} tn_missed;

/* A sequence of ticks. */
typedef struct tn_interval {
    uint64_t next_ns;   /* when the next tick is due, a time of tn_now */
    uint64_t period_ns; /* from one tick to the next, in nanoseconds */
    tn_missed missed;   /* what happens to late ticks */
} tn_interval;

/* A future of one tick. Its result is 0. Prepare it anew for the next tick. */
typedef struct tn_interval_future {
    tn_future base;
    tn_interval *interval; /* the interval of the tick */
    uint64_t due_ns;       /* when the tick was due, a time of tn_now; set when the future is ready */
} tn_interval_future;

/* Prepares an interval whose first tick is due at `first_ns`, a time of tn_now, and then one every `period_ns` nanoseconds,
 * which must not be 0 (asserted).
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the memory is the caller's; nothing has to be freed.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_interval_init(tn_interval *interval, uint64_t first_ns, uint64_t period_ns, tn_missed missed);

/* Waits for the next tick, which is never early. `due_ns` (may be NULL) receives the time at which it was due.
 *
 * Suspends: unless the tick is due.
 * Callable from: a fiber, a plain thread; one at a time per interval.
 * Ownership: borrows the interval.
 * Errors: TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; no tick is lost. */
TN_API int tn_interval_tick(tn_interval *interval, uint64_t *due_ns);

/* Prepares `future` to wait for the next tick of the interval.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the interval is borrowed until the future is dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_interval_tick_init(tn_interval_future *future, tn_interval *interval);

#ifdef __cplusplus
}
#endif

#endif
