/* SPDX-License-Identifier: MIT */
/* Marked pieces of work, such as a request: how long one took, and how the time was spent. */
#ifndef TN_WORK_H
#define TN_WORK_H

#include <tn/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A piece of work of one task, between tn_work_begin and tn_work_end. It takes no memory but this. Opaque. */
typedef struct tn_work {
    uint64_t opaque[40]; /* private */
} tn_work;

/* Begins a piece of work of the calling task. A work inside another one counts for both. When it ends after
 * options.report_slow_ns or more, a line in the log says how the time was spent. If that option is 0, nothing is measured, and
 * the call does nothing.
 * tn_serve marks each request of a session itself: from its first bytes to the next call of tn_session_wait_request. Requests
 * that a session serves between two of these calls, because their bytes came with others, count as one piece of work.
 *
 * Suspends: no.
 * Callable from: a fiber, a stackless task; elsewhere without effect.
 * Ownership: `work` is in use until tn_work_end, and must not move. `name` is borrowed until then.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_work_begin(tn_work *work, const char *name);

/* Ends a piece of work, and logs it if it was slow. The task that began it calls this, before it ends.
 *
 * Suspends: no.
 * Callable from: the task that began it; elsewhere without effect.
 * Ownership: the memory is the caller's again.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_work_end(tn_work *work);

/* How many kinds of waits are told apart. The last entry also counts all further kinds. */
#define TN_WORK_WAITS 8

/* The waits of one kind. */
typedef struct tn_work_wait {
    char name[24]; /* what was waited for, as in dumps; empty: the entry is not used */
    uint64_t count;
    uint64_t total_ns;
} tn_work_wait;

/* How the time of a piece of work was spent: the total is the sum of the three times. */
typedef struct tn_work_spent {
    size_t size;        /* of this struct, in bytes; set by the caller */
    uint64_t total_ns;  /* since its begin */
    uint64_t ran_ns;    /* on a worker; this includes calls that block the thread */
    uint64_t queued_ns; /* runnable, but no worker had taken it yet */
    uint64_t waited_ns; /* for what `waits` has */
    uint64_t turns;     /* times that a worker took it from a queue */
    tn_work_wait waits[TN_WORK_WAITS];
} tn_work_spent;

/* Reads how the time was spent so far. The caller sets out->size. A shorter struct, of older headers, gets the members that it
 * has.
 *
 * Suspends: no.
 * Callable from: the task that began it.
 * Ownership: borrows the work; `out` is the caller's.
 * Errors: TN_EINVAL: out->size is too small or too large. TN_ENOTSUP: nothing is measured.
 * Cancellation: no. */
TN_API int tn_work_read(const tn_work *work, tn_work_spent *out);

#ifdef __cplusplus
}
#endif

#endif
