/* SPDX-License-Identifier: MIT */
/* tournant: pauses between attempts, which grow, and repeating a call until it succeeds. */
#ifndef TN_BACKOFF_H
#define TN_BACKOFF_H

#include <tn/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Pauses between attempts. Each is random, between a half of its limit and the limit, so that clients which failed
 * together do not come back together. The limit doubles from `first_ns` to `most_ns`. A value without an end. */
typedef struct tn_backoff {
    uint64_t first_ns;  /* the limit of the first pause; at least 1 */
    uint64_t most_ns;   /* the largest limit */
    uint64_t limit_ns_; /* private: of the next pause; 0: none was made yet */
    uint64_t random_;   /* private */
} tn_backoff;

/* Initializes a backoff statically. */
/* clang-format off */
#define TN_BACKOFF_INIT(first_ns, most_ns) {(first_ns), (most_ns), 0, 0}
/* clang-format on */

/* Returns how long to wait before the next attempt, in nanoseconds.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `backoff` is changed; one task uses it at a time.
 * Errors: none.
 * Cancellation: no. */
TN_API uint64_t tn_backoff_next(tn_backoff *backoff);

/* Begins again with the first pause: after a success.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `backoff` is changed.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_backoff_reset(tn_backoff *backoff);

/* Waits before the next attempt.
 *
 * Suspends: yes.
 * Callable from: a fiber, a plain thread.
 * Ownership: `backoff` is changed.
 * Errors: TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; the pause has ended early. */
TN_API int tn_backoff_wait(tn_backoff *backoff);

/* An attempt of tn_retry. Returns 0 or an error. `attempt` counts from 1. */
typedef int (*tn_attempt_fn)(void *arg, unsigned attempt);

/* Calls `fn(arg, n)` until it returns 0 or an error that does not pass, at most `attempts_max` times (0: no limit), with a pause
 * of `backoff` after each failure. `passes(error)` returns whether another attempt is worthwhile; NULL: it is, after any error.
 * After TN_ECANCELED, or once the deadline of a scope around the call has come, there is no other attempt.
 *
 * Suspends: yes.
 * Callable from: a fiber, a plain thread.
 * Ownership: all is borrowed for the call.
 * Errors: the last result of `fn`. TN_ECANCELED, TN_ETIMEDOUT: in a pause.
 * Cancellation: yes; the last attempt has failed. */
TN_API int tn_retry(tn_backoff *backoff, unsigned attempts_max, tn_attempt_fn fn, void *arg, bool (*passes)(int error));

#ifdef __cplusplus
}
#endif

#endif
