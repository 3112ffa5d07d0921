/* SPDX-License-Identifier: MIT */
/* A file's own position: the kernel lets one call at a time use it, and the others wait in the kernel. A worker must not wait
 * there for a transfer, so it makes such a call itself only while no thread that may block can be inside of one. README.md
 * ("Files") has the argument. */
#ifndef TNI_POSITION_H
#define TNI_POSITION_H

#include <limits.h>

#include "base/atomic.h"
#include "base/thread.h"

/* The word: how many calls at the position have begun that are made where they may block, and this while a worker makes one. */
#define TNI_POSITION_IN_PLACE UINT32_C(0x80000000)

typedef struct {
    tni_a32 word;
} tni_position;

static inline void tni_position_init(tni_position *position)
{
    tni_a32_init(&position->word, 0);
}

/* A worker: true: it may make a short call at the position; tni_position_end_in_place follows. False: others use it. */
static inline bool tni_position_try_in_place(tni_position *position)
{
    uint32_t unused = 0;

    /* Acquire: the calls that have ended come before ours; partner: tni_position_leave. */
    return tni_a32_cas(&position->word, &unused, TNI_POSITION_IN_PLACE, TNI_ACQUIRE);
}

static inline void tni_position_end_in_place(tni_position *position)
{
    /* Release: our call comes before those of who waits for this; partner: tni_position_wait_in_place_ended. */
    if (tni_a32_fetch_and(&position->word, ~TNI_POSITION_IN_PLACE, TNI_RELEASE) != TNI_POSITION_IN_PLACE)
        tni_futex_wake(&position->word, INT_MAX);
}

/* A call that may block begins: no worker makes one from now on until tni_position_leave, but one may be under way. */
static inline void tni_position_enter(tni_position *position)
{
    /* Relaxed: it is ordered against the workers' CAS by being of the same word, and publishes nothing. */
    (void)tni_a32_fetch_add(&position->word, 1, TNI_RELAXED);
}

/* Between tni_position_enter and leave, on the thread that makes the call, before it: waits for the worker's. */
static inline void tni_position_wait_in_place_ended(tni_position *position)
{
    uint32_t word;

    /* Acquire: the worker's call comes before ours; partner: tni_position_end_in_place. */
    while ((word = tni_a32_load(&position->word, TNI_ACQUIRE)) & TNI_POSITION_IN_PLACE)
        tni_futex_wait(&position->word, word, TNI_FOREVER);
}

static inline void tni_position_leave(tni_position *position)
{
    /* Release: our call comes before a worker's; partner: tni_position_try_in_place. */
    (void)tni_a32_fetch_sub(&position->word, 1, TNI_RELEASE);
}

#endif
