/* SPDX-License-Identifier: MIT */
/* tournant: initialization that runs once, in the first task that needs it. */
#ifndef TN_ONCE_H
#define TN_ONCE_H

#include <tn/waiter.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Guards a value that is initialized at its first use. The initialization may suspend. If it fails, the next task that needs
 * the value tries again. Opaque; in the caller's memory, beside the value. */
typedef struct tn_once {
    union {
        uint64_t word_;
        unsigned char bytes_[64];
    } opaque;
} tn_once;

/* Initializes a once statically: not done. */
/* clang-format off */
#define TN_ONCE_INIT {{0}}
/* clang-format on */

/* The value that tn_once_begin returns to the caller that must initialize the value: the initializer. */
#define TN_ONCE_MINE 1

/* Initializes a once: not done.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `once` is in the caller's memory.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_once_init(tn_once *once);

/* Ends the use of a once. It asserts that no call waits for it.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the memory is the caller's again.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_once_fini(tn_once *once);

/* Returns 0 when the value is initialized, by another task or by make(arg) in this call.
 *
 * If `make` returns a negative value, this call returns it, and the next caller tries again. Any other value is success. `make`
 * may suspend, and may itself be cancelled.
 *
 * Suspends: while another task initializes the value, while `make` suspends, or when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: `arg` is borrowed for the call.
 * Errors: those of `make`; TN_ECANCELED, TN_ETIMEDOUT. If `make` may return these two, tn_checkpoint shows it (tn/scope.h).
 * Cancellation: yes; the value may not be initialized. If it was initialized when the call began, the call is no cancellation
 * point. */
TN_API int tn_once_run(tn_once *once, int (*make)(void *arg), void *arg);

/* Begins the initialization. Returns 0 if the value is initialized, or TN_ONCE_MINE if the caller must initialize it now.
 *
 * Suspends: while another task initializes the value, or when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: after TN_ONCE_MINE the caller is the initializer; it ends that with tn_once_complete or tn_once_abandon.
 * Errors: TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; the caller is not the initializer, and the value may not be initialized. If it was initialized when the
 * call began, the call is no cancellation point. */
TN_API int tn_once_begin(tn_once *once);

/* Begins the initialization without waiting. Returns 0 if the value is initialized, or TN_ONCE_MINE if the caller must
 * initialize it now.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: after TN_ONCE_MINE the caller is the initializer; it ends that with tn_once_complete or tn_once_abandon.
 * Errors: TN_EAGAIN: another task initializes the value.
 * Cancellation: no. */
TN_API int tn_once_try_begin(tn_once *once);

/* Marks the value as initialized: all waiters continue. It asserts that an initialization has begun.
 *
 * Suspends: no.
 * Callable from: anywhere, by the initializer.
 * Ownership: the caller is no longer the initializer.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_once_complete(tn_once *once);

/* Gives up the initialization: the first waiter becomes the initializer. It asserts that an initialization has begun.
 *
 * Suspends: no.
 * Callable from: anywhere, by the initializer.
 * Ownership: the caller is no longer the initializer.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_once_abandon(tn_once *once);

/* Returns whether the value is initialized. If it is, what the initializer wrote is visible.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: none.
 * Errors: none.
 * Cancellation: no. */
TN_API bool tn_once_is_done(const tn_once *once);

/* A future that returns what tn_once_begin returns. If it is dropped after it was chosen as the initializer, and before a poll
 * has returned that, the next waiter is chosen. */
typedef struct tn_once_future {
    tn_future base;
    tn_once *once;
    tn_waiter waiter; /* private */
} tn_once_future;

/* Prepares `future` to begin the initialization. Nothing happens until it is polled.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `future` is in the caller's memory; it borrows `once` until it is ready or dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_once_begin_init(tn_once_future *future, tn_once *once);

#ifdef __cplusplus
}
#endif

#endif
