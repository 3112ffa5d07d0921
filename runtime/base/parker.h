/* SPDX-License-Identifier: MIT */
/* Where a thread sleeps: one word, EMPTY -> PARKED_x -> NOTIFIED -> EMPTY.
 *
 * A notification is never lost: it is an exchange, so it either finds the sleeper's mark and then wakes it, or is found by the
 * sleeper's own compare-and-swap, which then does not sleep. A worker sleeps in its loop (PARKED_LOOP; who notifies it sends
 * the loop a wake, which pends if the loop is not run yet), everyone else on the word itself (PARKED_FUTEX).
 */
#ifndef TNI_PARKER_H
#define TNI_PARKER_H

#include "base/prim.h"

enum { TNI_PARK_EMPTY, TNI_PARK_FUTEX, TNI_PARK_LOOP, TNI_PARK_NOTIFIED };

typedef struct {
    tni_a32 state;
} tni_parker;

static inline void tni_parker_init(tni_parker *parker)
{
    tni_a32_init(&parker->state, TNI_PARK_EMPTY);
}

/* Sleeper: about to sleep in the way `how`; false: a notification is there already (and used up), do not sleep. */
static inline bool tni_parker_prepare(tni_parker *parker, uint32_t how)
{
    uint32_t old = TNI_PARK_EMPTY;

    /* Publishes that we sleep; partner: the exchange in tni_parker_notify; one of the two is first. */
    if (tni_a32_cas(&parker->state, &old, how, TNI_ACQ_REL))
        return true;
    tni_assert(old == TNI_PARK_NOTIFIED, "two threads sleep on one parker");
    /* Observes what the notifier wrote before. */
    (void)tni_a32_exchange(&parker->state, TNI_PARK_EMPTY, TNI_ACQUIRE);
    return false;
}

/* Sleeper: awake again. */
static inline void tni_parker_finish(tni_parker *parker)
{
    /* Observes what the notifier wrote; a notification that came is used up. */
    (void)tni_a32_exchange(&parker->state, TNI_PARK_EMPTY, TNI_ACQUIRE);
}

/* Sleeps until notified or `deadline_ns`; returns at once when notified before. */
static inline void tni_parker_wait(tni_parker *parker, uint64_t deadline_ns)
{
    if (!tni_parker_prepare(parker, TNI_PARK_FUTEX))
        return;
    tni_futex_wait(&parker->state, TNI_PARK_FUTEX, deadline_ns);
    tni_parker_finish(parker);
}

/* Wakes the sleeper, or keeps the next sleep from happening. Answers true when it sleeps in its loop: then the caller has to wake
 * that. */
static inline bool tni_parker_notify(tni_parker *parker)
{
    /* Release, also when NOTIFIED already: the sleeper must see what this caller wrote. Acquire: the loop that it sleeps in is
     * seen as it was when it went to sleep. */
    uint32_t old = tni_a32_exchange(&parker->state, TNI_PARK_NOTIFIED, TNI_ACQ_REL);

    if (old == TNI_PARK_FUTEX)
        tni_futex_wake(&parker->state, 1);
    return old == TNI_PARK_LOOP;
}

#endif
