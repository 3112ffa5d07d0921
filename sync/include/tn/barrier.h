/* SPDX-License-Identifier: MIT */
/* tournant: a place where tasks wait until all have come. */
#ifndef TN_BARRIER_H
#define TN_BARRIER_H

#include <tn/waiter.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Whoever comes waits until `parties` have; then all go on, and it can be used again. Opaque; in the caller's memory. */
typedef struct tn_barrier {
    union {
        uint64_t word_;
        unsigned char bytes_[80];
    } opaque;
} tn_barrier;

/* clang-format off */
#define TN_BARRIER_INIT(parties) {{(uint64_t)(parties)}}
/* clang-format on */

/* What the leader is answered. */
#define TN_BARRIER_LEADER 1

/* `parties`: at least 1 (asserted). Suspends: no. Callable from: anywhere. Ownership: the caller's memory. Cancellation: no
 * checkpoint. */
TN_API void tn_barrier_init(tn_barrier *barrier, uint64_t parties);

/* The end of a barrier that nobody waits at (asserted). Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API void tn_barrier_fini(tn_barrier *barrier);

/* Waits for the others. Answers TN_BARRIER_LEADER to one of them, the last that came, and 0 to the rest.
 * Suspends: unless it is the last. Callable from: a fiber, a plain thread. Errors: none but the cancellation.
 * Cancellation: checkpoint; TN_ECANCELED: it does not count as having come, or the others had all come and have gone on. */
TN_API int tn_barrier_wait(tn_barrier *barrier);

/* A future that answers as tn_barrier_wait does. It has come when it is first polled; dropped while it waits, it has not. */
typedef struct tn_barrier_future {
    tn_future base;
    tn_barrier *barrier;
    tn_waiter waiter;
} tn_barrier_future;

/* Suspends: no. Callable from: anywhere. Ownership: the caller's memory. Cancellation: no checkpoint. */
TN_API void tn_barrier_wait_init(tn_barrier_future *future, tn_barrier *barrier);

#ifdef __cplusplus
}
#endif

#endif
