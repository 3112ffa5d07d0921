/* SPDX-License-Identifier: MIT */
/* tournant: a barrier: a number of tasks wait until all of them have arrived. */
#ifndef TN_BARRIER_H
#define TN_BARRIER_H

#include <tn/waiter.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A task that arrives waits until `parties` tasks have arrived. Then all of them continue, and the barrier can be used again.
 * Opaque; in the caller's memory. */
typedef struct tn_barrier {
    union {
        uint64_t word_;
        unsigned char bytes_[80];
    } opaque;
} tn_barrier;

/* Initializes a barrier for `parties` tasks statically. */
/* clang-format off */
#define TN_BARRIER_INIT(parties) {{(uint64_t)(parties)}}
/* clang-format on */

/* The value that tn_barrier_wait returns to the leader. */
#define TN_BARRIER_LEADER 1

/* Initializes a barrier for `parties` tasks. It asserts that `parties` is at least 1.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `barrier` is in the caller's memory.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_barrier_init(tn_barrier *barrier, uint64_t parties);

/* Ends the use of a barrier. It asserts that no call waits at it.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the memory is the caller's again.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_barrier_fini(tn_barrier *barrier);

/* Arrives at the barrier and waits for the other parties. Returns TN_BARRIER_LEADER to the last one that arrived, and 0 to the
 * others.
 *
 * Suspends: until all parties have arrived; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: none.
 * Errors: TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; either the call does not count as an arrival, or all parties had arrived and the others have continued. */
TN_API int tn_barrier_wait(tn_barrier *barrier);

/* A future that returns what tn_barrier_wait returns. Its first poll is the arrival. If it is dropped while it waits, it does
 * not count as an arrival. */
typedef struct tn_barrier_future {
    tn_future base;
    tn_barrier *barrier;
    tn_waiter waiter; /* private */
} tn_barrier_future;

/* Prepares `future` to arrive at the barrier. Nothing happens until it is polled.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `future` is in the caller's memory; it borrows `barrier` until it is ready or dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_barrier_wait_init(tn_barrier_future *future, tn_barrier *barrier);

#ifdef __cplusplus
}
#endif

#endif
