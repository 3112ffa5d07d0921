/* SPDX-License-Identifier: MIT */
/* Guards calls that use a file's own position. The kernel runs one such call at a time; the others block in the kernel. A
 * worker must not block there for a transfer, so it makes such a call itself only while no call that may block is under way.
 * README.md ("Files") has the argument. */
#ifndef TNI_POSITION_H
#define TNI_POSITION_H

#include <limits.h>

#include "base/atomic.h"
#include "base/thread.h"

/* The word: the number of calls at the position that may block, and this bit while a worker makes a call. */
#define TNI_POSITION_IN_PLACE UINT32_C(0x80000000)

typedef struct {
    tni_a32 word;
} tni_position;

static inline void tni_position_init(tni_position *position)
{
    tni_a32_init(&position->word, 0);
}

/* For a worker. True: it may make a short call at the position, then tni_position_end_in_place. False: the position is in
 * use. */
static inline bool tni_position_try_in_place(tni_position *position)
{
    uint32_t unused = 0;

    /* Observes the calls that have ended; partner: tni_position_leave. */
    return tni_a32_cas(&position->word, &unused, TNI_POSITION_IN_PLACE, TNI_ACQUIRE);
}

static inline void tni_position_end_in_place(tni_position *position)
{
    /* Publishes the worker's call to the threads that wait for its end; partner: tni_position_wait_in_place_ended. */
    if (tni_a32_fetch_and(&position->word, ~TNI_POSITION_IN_PLACE, TNI_RELEASE) != TNI_POSITION_IN_PLACE)
        tni_futex_wake(&position->word, INT_MAX);
}

/* Announces a call that may block: until tni_position_leave no worker starts a call, but one may be under way. */
static inline void tni_position_enter(tni_position *position)
{
    /* Relaxed: publishes nothing; the workers' CAS is on the same word, which orders the two. */
    (void)tni_a32_fetch_add(&position->word, 1, TNI_RELAXED);
}

/* Called between tni_position_enter and tni_position_leave by the thread that makes the call, before it: waits for the worker's
 * call to end. */
static inline void tni_position_wait_in_place_ended(tni_position *position)
{
    uint32_t word;

    /* Observes the worker's call; partner: tni_position_end_in_place. */
    while ((word = tni_a32_load(&position->word, TNI_ACQUIRE)) & TNI_POSITION_IN_PLACE)
        tni_futex_wait(&position->word, word, TNI_FOREVER);
}

static inline void tni_position_leave(tni_position *position)
{
    /* Publishes this call to a worker; partner: tni_position_try_in_place. */
    (void)tni_a32_fetch_sub(&position->word, 1, TNI_RELEASE);
}

#endif
