/* SPDX-License-Identifier: MIT */
/* A future that the test completes by hand, and that counts the calls of its operations. */
#ifndef TT_MANUAL_H
#define TT_MANUAL_H

#include <stdatomic.h>
#include <stdbool.h>

#include <tn/future.h>

typedef struct {
    tn_future base;
    atomic_int result; /* what a poll returns; TN_PENDING at first */
    _Atomic(tn_waker *) waker;
    atomic_uint polls;
    atomic_uint drops;
} tt_manual;

void tt_manual_init(tt_manual *manual);

/* From now on polls return this; no task is woken. */
void tt_manual_set(tt_manual *manual, int result);

/* Wakes the waiter, if there is one. */
void tt_manual_wake(tt_manual *manual);

/* Sets the result and wakes the waiter. */
void tt_manual_ready(tt_manual *manual, int result);

/* A condition for tt_wait_until. */
bool tt_manual_was_polled(void *manual);

#endif
