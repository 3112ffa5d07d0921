/* SPDX-License-Identifier: MIT */
/* The parker: the word that a thread sleeps on.
 *
 * States:
 *   EMPTY     the thread runs
 *   FUTEX     it sleeps on the word itself, or is about to
 *   LOOP      a worker that sleeps in its event loop, or is about to
 *   NOTIFIED  a notification that the thread has not consumed yet
 *
 * Steps of the sleeper: 1. CAS EMPTY -> FUTEX or LOOP; if it finds NOTIFIED, it consumes that and does not sleep. 2. Sleep.
 * 3. Exchange to EMPTY.
 * Steps of a notifier: 1. exchange to NOTIFIED. 2. If that returned FUTEX: wake the futex. If LOOP: wake the loop; a
 * wake that comes before the sleep ends the sleep at once.
 *
 * No notification is lost: the CAS and the exchange are on one word. Either the exchange finds the sleeper's state and then
 * wakes it, or the CAS finds NOTIFIED.
 */
#ifndef TNI_PARKER_H
#define TNI_PARKER_H

#include "base/atomic.h"
#include "base/thread.h"

enum { TNI_PARK_EMPTY, TNI_PARK_FUTEX, TNI_PARK_LOOP, TNI_PARK_NOTIFIED };

typedef struct {
    tni_a32 state;
} tni_parker;

static inline void tni_parker_init(tni_parker *parker)
{
    tni_a32_init(&parker->state, TNI_PARK_EMPTY);
}

/* Sleeper: declares that it is about to sleep in the way `how`. False: there was a notification, which is consumed: do not
 * sleep. */
static inline bool tni_parker_prepare(tni_parker *parker, uint32_t how)
{
    uint32_t old = TNI_PARK_EMPTY;

    /* Publishes that this thread sleeps; partner: the exchange in tni_parker_notify. The later one of the two observes the
     * earlier one. */
    if (tni_a32_cas(&parker->state, &old, how, TNI_ACQ_REL))
        return true;
    tni_assert(old == TNI_PARK_NOTIFIED, "two threads sleep on one parker");
    /* Observes what the notifier wrote before; partner: tni_parker_notify. */
    (void)tni_a32_exchange(&parker->state, TNI_PARK_EMPTY, TNI_ACQUIRE);
    return false;
}

/* Sleeper: runs again. */
static inline void tni_parker_finish(tni_parker *parker)
{
    /* Observes what the notifier wrote; consumes its notification. Partner: tni_parker_notify. */
    (void)tni_a32_exchange(&parker->state, TNI_PARK_EMPTY, TNI_ACQUIRE);
}

/* Sleeps until notified or until `deadline_ns`. Returns at once if there was a notification. */
static inline void tni_parker_wait(tni_parker *parker, uint64_t deadline_ns)
{
    if (!tni_parker_prepare(parker, TNI_PARK_FUTEX))
        return;
    tni_futex_wait(&parker->state, TNI_PARK_FUTEX, deadline_ns);
    tni_parker_finish(parker);
}

/* Wakes the sleeper, or prevents its next sleep. Returns true if it sleeps in its loop: then the caller must wake the loop. */
static inline bool tni_parker_notify(tni_parker *parker)
{
    /* Release, also if the word is NOTIFIED already: the sleeper must observe what this caller wrote; partner:
     * tni_parker_finish. Acquire: observes the loop as it was when the sleeper entered it; partner: tni_parker_prepare. */
    uint32_t old = tni_a32_exchange(&parker->state, TNI_PARK_NOTIFIED, TNI_ACQ_REL);

    if (old == TNI_PARK_FUTEX)
        tni_futex_wake(&parker->state, 1);
    return old == TNI_PARK_LOOP;
}

#endif
