/* SPDX-License-Identifier: MIT */
/* tournant: storage for a queued waiter, part of each future of a synchronization primitive. */
#ifndef TN_WAITER_H
#define TN_WAITER_H

#include <tn/future.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A node of a queue of waiters. It is part of a future, so waiting allocates nothing. Opaque. */
typedef struct tn_waiter {
    union {
        uint64_t word_;
        unsigned char bytes_[56];
    } opaque;
} tn_waiter;

#ifdef __cplusplus
}
#endif

#endif
