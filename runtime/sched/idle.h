/* SPDX-License-Identifier: MIT */
/* Who sleeps, who searches, and when a sleeper is woken. README.md ("Idle") has the argument; in short:
 *
 *   submit:  push the task; full fence; wake one worker only if nobody searches and somebody is parked
 *   park:    mark this core parked; stop searching; full fence; check every queue once more; do what may make tasks runnable;
 *            check the own queue; only then sleep
 *
 * One of the two sees the other. A woken worker counts as searching from before it wakes, so that many submits wake one worker; a
 * searcher that finds work passes the search on if there is more.
 */
#ifndef TNI_IDLE_H
#define TNI_IDLE_H

#include "base/atomic.h"
#include "base/config.h"

#define TNI_IDLE_WORDS (TNI_WORKERS_MAX / 64)

typedef struct {
    tni_cache_aligned tni_a32 searching; /* workers that look for work, or were woken to */
    tni_a32 parked_count;                /* a hint for the cap on searchers */
    tni_a64 parked[TNI_IDLE_WORDS];      /* a bit a core: its worker sleeps or is about to */
    unsigned cores;                      /* constant */
} tni_idle;

void tni_idle_init(tni_idle *idle, unsigned cores);

/* Marks the core parked; the caller then puts a full fence and looks at all queues. */
void tni_idle_park(tni_idle *idle, unsigned core);

/* Takes the mark back; false: a waker has taken it, and counts this worker as searching. */
bool tni_idle_unpark(tni_idle *idle, unsigned core);

/* Is the core's mark set? */
bool tni_idle_is_parked(const tni_idle *idle, unsigned core);

/* Are all cores parked? By reads that may be out of date. */
bool tni_idle_all_parked(const tni_idle *idle);

/* A worker without work asks to search: true when it counts as a searcher now. At most half as many as there are busy workers. */
bool tni_idle_search_begin(tni_idle *idle);

/* A searcher stops. True: it was the last one; if it found work, it has to look whether there is more and wake another. */
bool tni_idle_search_end(tni_idle *idle);

/* After a submit (and its full fence): the core to wake, which counts as searching from now on; -1: none is to be woken. */
int tni_idle_choose(tni_idle *idle);

#endif
