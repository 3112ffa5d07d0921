/* SPDX-License-Identifier: MIT */
/* Who sleeps, who searches, and when a sleeper is woken. README.md ("Idle") has the argument; in short:
 *
 *   submit:  push the task; full fence; wake one worker only if nobody searches and somebody is parked
 *   park:    mark this core parked; stop searching; full fence; check every queue once more; do what may make tasks runnable;
 *            check the own queue; only then sleep
 *
 * One of the two sees the other. A woken worker counts as searching from before it wakes, so that many submits wake one worker; a
 * searcher that finds work passes the search on if there is more. The monitor strikes a searcher that does not get to run.
 *
 * Both marks of a core are in one word, so that a waker takes the one and sets the other in a single step.
 */
#ifndef TNI_IDLE_H
#define TNI_IDLE_H

#include "base/atomic.h"
#include "base/config.h"

#define TNI_IDLE_CORES 32 /* to a word */
#define TNI_IDLE_WORDS (TNI_WORKERS_MAX / TNI_IDLE_CORES)

typedef struct {
    tni_cache_aligned tni_a64 marks[TNI_IDLE_WORDS]; /* lower half: its worker sleeps or is about to; upper half: it searches */
    unsigned cores;                                  /* constant */
} tni_idle;

void tni_idle_init(tni_idle *idle, unsigned cores);

/* Marks the core parked; the caller then puts a full fence and looks at all queues. */
void tni_idle_park(tni_idle *idle, unsigned core);

/* Takes the mark back; false: a waker has taken it, and has counted this worker as searching, or the monitor, which has not. */
bool tni_idle_unpark(tni_idle *idle, unsigned core);

/* Is the core marked parked, or counted as searching? */
bool tni_idle_is_parked(const tni_idle *idle, unsigned core);
bool tni_idle_is_searching(const tni_idle *idle, unsigned core);

/* Are all cores parked? By reads that may be out of date. */
bool tni_idle_all_parked(const tni_idle *idle);

/* A worker without work asks to search: true when it counts as a searcher now. At most half as many as there are busy workers. */
bool tni_idle_search_begin(tni_idle *idle, unsigned core);

/* A searcher stops, or the monitor strikes it. */
typedef enum {
    TNI_SEARCH_STRUCK, /* it did not count any more */
    TNI_SEARCH_ENDED,  /* others still search */
    TNI_SEARCH_LAST,   /* it was the last one: if it found work, it has to look whether there is more and wake another */
} tni_search;
tni_search tni_idle_search_end(tni_idle *idle, unsigned core);

/* After a submit (and its full fence): the core to wake, which counts as searching from now on; -1: none is to be woken. */
int tni_idle_choose(tni_idle *idle);

#endif
