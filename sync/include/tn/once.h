/* SPDX-License-Identifier: MIT */
/* tournant: something that is done once, by whoever needs it first. */
#ifndef TN_ONCE_H
#define TN_ONCE_H

#include <tn/waiter.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Guards a value that is made at its first use, and may take suspending to make. If making it fails, the next who wants it
 * tries. Opaque; in the caller's memory, beside the value. */
typedef struct tn_once {
    union {
        uint64_t word_;
        unsigned char bytes_[64];
    } opaque;
} tn_once;

/* clang-format off */
#define TN_ONCE_INIT {{0}}
/* clang-format on */

/* What tn_once_begin answers to the one that has to make it. */
#define TN_ONCE_MINE 1

/* Suspends: no. Callable from: anywhere. Ownership: the caller's memory. Cancellation: no checkpoint. */
TN_API void tn_once_init(tn_once *once);

/* The end of one that nobody waits for (asserted). Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API void tn_once_fini(tn_once *once);

/* 0 when it is done, made by another or by make(arg) now. What `make` answers is answered on failure (less than 0), to this
 * caller; the next one tries again. It may suspend, and see a cancellation.
 * Suspends: while another makes it. Callable from: a fiber, a plain thread. Errors: those of `make`.
 * Cancellation: checkpoint, unless it is done; TN_ECANCELED: it may not be done. */
TN_API int tn_once_run(tn_once *once, int (*make)(void *arg), void *arg);

/* The same in parts: 0 when it is done; TN_ONCE_MINE: the caller makes it now, and ends that with tn_once_complete or
 * tn_once_abandon. Otherwise as tn_once_run. */
TN_API int tn_once_begin(tn_once *once);

/* As tn_once_begin; TN_EAGAIN while another makes it. Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API int tn_once_try_begin(tn_once *once);

/* It is done: everyone who waits goes on.
 * Suspends: no. Callable from: anywhere, by whoever makes it. Cancellation: no checkpoint. */
TN_API void tn_once_complete(tn_once *once);

/* It was not done: the first who waits makes it. As tn_once_complete. */
TN_API void tn_once_abandon(tn_once *once);

/* Is it done? What its maker wrote is visible then. Suspends: no. Callable from: anywhere. */
TN_API bool tn_once_is_done(const tn_once *once);

/* A future that answers as tn_once_begin does. Dropped when it was to make it and has not been told yet, the next one is. */
typedef struct tn_once_future {
    tn_future base;
    tn_once *once;
    tn_waiter waiter;
} tn_once_future;

/* Suspends: no. Callable from: anywhere. Ownership: the caller's memory. Cancellation: no checkpoint. */
TN_API void tn_once_begin_init(tn_once_future *future, tn_once *once);

#ifdef __cplusplus
}
#endif

#endif
