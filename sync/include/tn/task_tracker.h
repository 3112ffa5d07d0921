/* SPDX-License-Identifier: MIT */
/* tournant: a task tracker: counts what is alive, such as the sessions of a server, and waits for its end. */
#ifndef TN_TASK_TRACKER_H
#define TN_TASK_TRACKER_H

#include <tn/wait_group.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A count of tasks, sessions or requests that can be closed and waited for. A server enters each session, closes the tracker when
 * it is to stop, and then waits until the sessions have left. Unlike a wait group, it may be empty in between, and no
 * session can begin once it is closed. Opaque. It is in the caller's memory, which may be freed as soon as the last wait has
 * returned, even if the last tn_task_tracker_leave or tn_task_tracker_close has not returned yet. */
typedef struct tn_task_tracker {
    tn_wait_group ended; /* private */
    uint64_t opaque[2];  /* private */
} tn_task_tracker;

/* Initializes a tracker: it is open, and the count is 0.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `tracker` is in the caller's memory.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_task_tracker_init(tn_task_tracker *tracker);

/* Ends the use of a tracker. It asserts that no call waits for it.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the memory is the caller's again.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_task_tracker_fini(tn_task_tracker *tracker);

/* Counts one more. Call it before the task is spawned, and tn_task_tracker_leave if the spawn fails. It must not be called when a
 * wait may have returned: a task that accepts, and so calls it after the close, is itself counted.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: none.
 * Errors: TN_ESHUTDOWN: the tracker is closed, and nothing was counted.
 * Cancellation: no. */
TN_API int tn_task_tracker_enter(tn_task_tracker *tracker);

/* Counts one less. The last one to leave a closed tracker ends all waits. It asserts that the count is not 0.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: none.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_task_tracker_leave(tn_task_tracker *tracker);

/* Closes the tracker: each later tn_task_tracker_enter fails. If the count is 0, all waits end. A second call does nothing. It
 * must not be made when a wait may have returned.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: none.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_task_tracker_close(tn_task_tracker *tracker);

/* Returns the count, which may change at any time unless the caller is the only one that enters and leaves.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: none.
 * Errors: none.
 * Cancellation: no. */
TN_API size_t tn_task_tracker_count(const tn_task_tracker *tracker);

/* Waits until the tracker is closed and the count is 0. What was done before each leave is visible then.
 *
 * Suspends: unless that is so already; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: none.
 * Errors: TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; the tracker is unchanged. */
TN_API int tn_task_tracker_wait(tn_task_tracker *tracker);

/* Prepares `future` to wait as tn_task_tracker_wait does: it is ready, with 0, when the tracker is closed and the count is 0.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `future` is in the caller's memory; it borrows `tracker` until it is ready or dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_task_tracker_wait_init(tn_wait_group_future *future, tn_task_tracker *tracker);

#ifdef __cplusplus
}
#endif

#endif
