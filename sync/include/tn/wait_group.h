/* SPDX-License-Identifier: MIT */
/* tournant: a wait group: tasks wait until a number of jobs are done. */
#ifndef TN_WAIT_GROUP_H
#define TN_WAIT_GROUP_H

#include <tn/waiter.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A count of jobs that are not done yet. Opaque. It is in the caller's memory, which may be freed as soon as the last wait has
 * returned, even if the last tn_wait_group_done has not returned yet. */
typedef struct tn_wait_group {
    union {
        uint64_t word_;
        unsigned char bytes_[64];
    } opaque;
} tn_wait_group;

/* Initializes a wait group statically: the count is 0. */
/* clang-format off */
#define TN_WAIT_GROUP_INIT {{0}}
/* clang-format on */

/* Initializes a wait group; the count is 0.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `group` is in the caller's memory.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_wait_group_init(tn_wait_group *group);

/* Ends the use of a wait group. It asserts that no call waits for it.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the memory is the caller's again.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_wait_group_fini(tn_wait_group *group);

/* Adds `count` jobs; the count may be at most UINT32_MAX (asserted). Call it before the count can reach 0, otherwise a wait may
 * return before these jobs are done.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: none.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_wait_group_add(tn_wait_group *group, uint32_t count);

/* Marks one job as done; after the last one all waits return. It asserts that the count is not 0.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: none.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_wait_group_done(tn_wait_group *group);

/* Waits until all jobs are done.
 *
 * Suspends: unless all jobs are done; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: none.
 * Errors: TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; the count is unchanged. */
TN_API int tn_wait_group_wait(tn_wait_group *group);

/* Returns 0 if all jobs are done.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: none.
 * Errors: TN_EAGAIN: a job is not done.
 * Cancellation: no. */
TN_API int tn_wait_group_try_wait(tn_wait_group *group);

/* A future that is ready, with 0, when all jobs are done. */
typedef struct tn_wait_group_future {
    tn_future base;
    tn_wait_group *group;
    tn_waiter waiter; /* private */
} tn_wait_group_future;

/* Prepares `future` to wait until all jobs are done. Nothing happens until it is polled.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `future` is in the caller's memory; it borrows `group` until it is ready or dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_wait_group_wait_init(tn_wait_group_future *future, tn_wait_group *group);

#ifdef __cplusplus
}
#endif

#endif
