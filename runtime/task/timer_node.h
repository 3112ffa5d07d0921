/* SPDX-License-Identifier: MIT */
/* The node of a timer wheel (wheel.h). Each task header contains one. */
#ifndef TNI_TIMER_NODE_H
#define TNI_TIMER_NODE_H

#include "base/defs.h"

/* One timer, in memory of its owner. Zeroed or set to TNI_TIMER_INIT before its first use. */
typedef struct tni_timer tni_timer;
struct tni_timer {
    tni_timer *prev;        /* ring of its slot; NULL: not in a wheel */
    tni_timer *next;        /* ring of its slot; in an expired chain the next node or NULL */
    const void *ahead;      /* a node further along the ring when this one was added; only prefetched, it may be freed by now */
    uint64_t deadline_tick; /* the tick at which it expires; if that had passed when it was added, the wheel's tick then */
};

_Static_assert(sizeof(tni_timer) <= 32, "each task header contains one");

/* clang-format off */
#define TNI_TIMER_INIT {NULL, NULL, NULL, 0}
/* clang-format on */

/* Whether the timer is in a wheel. False in an expired chain. */
static inline bool tni_timer_linked(const tni_timer *timer)
{
    return timer->prev != NULL;
}

#endif
