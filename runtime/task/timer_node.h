/* SPDX-License-Identifier: MIT */
/* What a timer wheel keeps of a timer, in its owner's memory: each task has one. See wheel.h. */
#ifndef TNI_TIMER_NODE_H
#define TNI_TIMER_NODE_H

#include "base/defs.h"

/* One timer, in its owner's memory; zeroed or TNI_TIMER_INIT before its first use. */
typedef struct tni_timer tni_timer;
struct tni_timer {
    tni_timer *prev;        /* ring of its place; NULL: not in a wheel */
    tni_timer *next;        /* ring of its place; in an expired chain the next node or NULL */
    const void *ahead;      /* a node some places on when this one was filed; only for prefetching: it may be gone */
    uint64_t deadline_tick; /* the tick it goes off at; for one added too late, the wheel's tick at that time */
};

_Static_assert(sizeof(tni_timer) <= 32, "a task holds one");

/* clang-format off */
#define TNI_TIMER_INIT {NULL, NULL, NULL, 0}
/* clang-format on */

/* Whether the timer is in a wheel. False in an expired chain. */
static inline bool tni_timer_linked(const tni_timer *timer)
{
    return timer->prev != NULL;
}

#endif
