/* SPDX-License-Identifier: MIT */
/* tournant: waiting until a number of things are done. */
#ifndef TN_WAIT_GROUP_H
#define TN_WAIT_GROUP_H

#include <tn/waiter.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A count of things that are not done yet. Opaque; in the caller's memory, which may be freed as soon as the last wait has been
 * answered, also when the last tn_wait_group_done has not returned yet. */
typedef struct tn_wait_group {
    union {
        uint64_t word_;
        unsigned char bytes_[64];
    } opaque;
} tn_wait_group;

/* clang-format off */
#define TN_WAIT_GROUP_INIT {{0}}
/* clang-format on */

/* Suspends: no. Callable from: anywhere. Ownership: the caller's memory. Cancellation: no checkpoint. */
TN_API void tn_wait_group_init(tn_wait_group *group);

/* The end of a group that nobody waits for (asserted). Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API void tn_wait_group_fini(tn_wait_group *group);

/* So many things more; at most UINT32_MAX altogether. Before the count can reach 0, or else a wait may end without them.
 * Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API void tn_wait_group_add(tn_wait_group *group, uint32_t count);

/* One of them is done; with the last one all waits end.
 * Suspends: no. Callable from: anywhere. Errors: none; asserts that one was left. Cancellation: no checkpoint. */
TN_API void tn_wait_group_done(tn_wait_group *group);

/* Waits until all are done.
 * Suspends: unless they are. Callable from: a fiber, a plain thread. Errors: none but the cancellation.
 * Cancellation: checkpoint. */
TN_API int tn_wait_group_wait(tn_wait_group *group);

/* 0 when all are done, else TN_EAGAIN. Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API int tn_wait_group_try_wait(tn_wait_group *group);

/* A future that is ready, with 0, when all are done. */
typedef struct tn_wait_group_future {
    tn_future base;
    tn_wait_group *group;
    tn_waiter waiter;
} tn_wait_group_future;

/* Suspends: no. Callable from: anywhere. Ownership: the caller's memory. Cancellation: no checkpoint. */
TN_API void tn_wait_group_wait_init(tn_wait_group_future *future, tn_wait_group *group);

#ifdef __cplusplus
}
#endif

#endif
