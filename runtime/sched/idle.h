/* SPDX-License-Identifier: MIT */
/* Which workers are parked, which search, and which one a submit wakes. README.md ("Idle") has the argument; in short:
 *
 *   submit:  push the task; full fence; wake one worker only if no core is marked searching and one is marked parked
 *   park:    mark this core parked; stop searching; full fence; check every queue again; do what may make tasks runnable; check
 *            the own queue; only then sleep
 *
 * One of the two observes the other. The waker marks the core of a worker searching before it wakes the worker, so that many
 * submits wake one worker. The last searcher that finds work wakes another worker if there is more. The monitor strikes a
 * searcher that gets no processor: it clears its mark.
 *
 * Both marks of a core are in one word, so that a waker clears one and sets the other in a single step.
 *
 * At most `limit` workers should be awake. Submits wake no worker of a core from that index on (README.md, "Fewer processors").
 */
#ifndef TNI_IDLE_H
#define TNI_IDLE_H

#include "base/atomic.h"
#include "base/config.h"

#define TNI_IDLE_CORES 32 /* per word */
#define TNI_IDLE_WORDS (TNI_WORKERS_MAX / TNI_IDLE_CORES)

typedef struct {
    tni_cache_aligned tni_a64 marks[TNI_IDLE_WORDS]; /* one bit per core and half: lower: parked or parking; upper: searching */
    unsigned cores;                                  /* constant */
    tni_a32 limit;                                   /* how many workers should be awake at most; at least 1 */
} tni_idle;

void tni_idle_init(tni_idle *idle, unsigned cores);

/* Marks the core parked. The caller then makes a full fence and checks all queues. */
void tni_idle_park(tni_idle *idle, unsigned core);

/* Clears the parked mark. False: it was cleared already, by a waker, which has marked the core searching, or by the monitor,
 * which has not. */
bool tni_idle_unpark(tni_idle *idle, unsigned core);

/* Whether the core is marked parked, and whether it is marked searching. */
bool tni_idle_is_parked(const tni_idle *idle, unsigned core);
bool tni_idle_is_searching(const tni_idle *idle, unsigned core);

/* Whether all cores are marked parked. The result may be out of date. */
bool tni_idle_all_parked(const tni_idle *idle);

/* Sets the limit, at least 1; initially it is the number of cores. After a rise the caller makes a full fence, checks for work,
 * and wakes a worker if there is some. */
void tni_idle_set_limit(tni_idle *idle, unsigned limit);

/* How many workers should be awake at most. */
static inline unsigned tni_idle_limit(const tni_idle *idle)
{
    /* Relaxed: each value is right, also an old one: core 0 is below every limit (README.md, "Fewer processors"). */
    return tni_a32_load(&idle->limit, TNI_RELAXED);
}

/* Whether submits wake no worker of this core. */
static inline bool tni_idle_is_reserve(const tni_idle *idle, unsigned core)
{
    return tni_unlikely(core >= tni_idle_limit(idle));
}

/* Whether more workers are awake than should be. */
bool tni_idle_has_surplus(const tni_idle *idle);

/* Called by the worker of the core, which is awake: whether it must leave its work to others. This is so if its core is a
 * reserve, and more workers are awake than should be. The count may be out of date. */
static inline bool tni_idle_is_surplus(const tni_idle *idle, unsigned core)
{
    return tni_idle_is_reserve(idle, core) && tni_idle_has_surplus(idle);
}

/* Called by a worker without work: marks its core searching. False: it must not search, because half as many workers search as
 * are busy. */
bool tni_idle_search_begin(tni_idle *idle, unsigned core);

/* Clears the searching mark of a core: its worker stops, or the monitor strikes it. Returns what that means for the worker. */
typedef enum {
    TNI_SEARCH_STRUCK, /* the mark was cleared already */
    TNI_SEARCH_ENDED,  /* other cores are marked searching */
    TNI_SEARCH_LAST,   /* it was the last: if it found work, it checks for more and wakes another worker */
} tni_search;
tni_search tni_idle_search_end(tni_idle *idle, unsigned core);

/* Called after a submit and its full fence: chooses a parked core below the limit, clears its parked mark and marks it searching.
 * The caller wakes its worker. -1: no worker must be woken. */
int tni_idle_choose(tni_idle *idle);

#endif
