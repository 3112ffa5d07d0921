/* SPDX-License-Identifier: MIT */
/* A future that is ready when a test says so, and counts what is done to it. */
#ifndef TT_MANUAL_H
#define TT_MANUAL_H

#include <stdatomic.h>
#include <stdbool.h>

#include <tn/future.h>

typedef struct {
    tn_future base;
    atomic_int answer; /* what a poll answers; TN_PENDING at first */
    _Atomic(tn_waker *) waker;
    atomic_uint polls;
    atomic_uint drops;
} tt_manual;

void tt_manual_init(tt_manual *manual);

/* From now on polls answer this; nobody is woken. */
void tt_manual_set(tt_manual *manual, int answer);

/* Wakes whoever waits, if anyone does. */
void tt_manual_wake(tt_manual *manual);

/* Both. */
void tt_manual_ready(tt_manual *manual, int answer);

/* For tt_wait_until. */
bool tt_manual_was_polled(void *manual);

#endif
