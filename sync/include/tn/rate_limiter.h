/* SPDX-License-Identifier: MIT */
/* tournant: a limit of how many operations begin in a time. */
#ifndef TN_RATE_LIMITER_H
#define TN_RATE_LIMITER_H

#include <tn/mutex.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A bucket of tokens, which fills at a steady rate and is full at first. An operation takes tokens before it begins. Waiters get
 * theirs in the order in which they asked. Opaque; in the caller's memory. */
typedef struct tn_rate_limiter {
    tn_mutex turn_; /* private */
    union {
        uint64_t word_;
        unsigned char bytes_[64];
    } opaque;
} tn_rate_limiter;

/* Initializes a limiter of `tokens` tokens per `period_ns`, with a full bucket of `burst` tokens. All are at least 1 (asserted),
 * `burst` times `period_ns` is at most 2^62 (asserted), and so is `tokens`.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `limiter` is in the caller's memory.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_rate_limiter_init(tn_rate_limiter *limiter, uint64_t tokens, uint64_t period_ns, uint64_t burst);

/* Ends the use of a limiter. It asserts that no call waits for it.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the memory is the caller's again.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_rate_limiter_fini(tn_rate_limiter *limiter);

/* Takes `count` tokens, all at once, behind all calls that asked before.
 *
 * Suspends: until the bucket has the tokens, or when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: the tokens are used up.
 * Errors: TN_EINVAL: `count` is larger than the burst. TN_ECANCELED, TN_ETIMEDOUT: no token was taken.
 * Cancellation: yes; no token was taken. */
TN_API int tn_rate_limiter_acquire(tn_rate_limiter *limiter, uint64_t count);

/* Takes `count` tokens if the bucket has them and no call waits.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the tokens are used up.
 * Errors: TN_EAGAIN: the bucket has too few, or a call waits. TN_EINVAL: `count` is larger than the burst.
 * Cancellation: no. */
TN_API int tn_rate_limiter_try_acquire(tn_rate_limiter *limiter, uint64_t count);

#ifdef __cplusplus
}
#endif

#endif
