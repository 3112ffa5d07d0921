/* SPDX-License-Identifier: MIT */
/* A wait: one claim word between a task that waits for something and whoever ends the wait.
 *
 * The word holds the waiter's counted waker, or NULL. Whoever exchanges the waker out has claimed the wait: the source of the
 * event to wake it, or the waiter itself because it was cancelled, its deadline passed, or it need not wait after all. Exactly
 * one wins.
 *
 * No wake-up is lost:
 *   source:  make the condition true;  tni_wait_wake (exchange)
 *   waiter:  tni_wait_arm (exchange);  look at the condition again; suspend only if it is still false
 * Both exchanges are read-modify-writes of one word, so one comes first. If the waiter's does, the source finds the waker. If
 * the source's does, the waiter's exchange reads it (or a later one) and acquires the condition, which the second look then
 * sees.
 *
 * Nothing is freed early: the word belongs to the object that is waited for (a task's header, a registration), not to the
 * waiter's frame, and the source touches only that object and the waker, which is counted.
 */
#ifndef TNI_WAIT_H
#define TNI_WAIT_H

#include <tn/future.h>

#include "base/prim.h"

typedef struct {
    tni_aptr claim; /* tn_waker *, owned; NULL: nobody waits */
} tni_wait;

static inline void tni_wait_init(tni_wait *wait)
{
    tni_aptr_init(&wait->claim, NULL);
}

/* Waiter: from now on a wake finds `waker` (borrowed; a reference is kept). One waiter at a time. */
static inline void tni_wait_arm(tni_wait *wait, tn_waker *waker)
{
    tn_waker *old;

    /* Relaxed: only ourselves could have put it there, and if a source takes it now the wake is on its way. */
    if (tni_aptr_load(&wait->claim, TNI_RELAXED) == waker)
        return;
    /* Publishes that we wait, observes the condition of a source that was here before us; partner: tni_wait_wake. With less than
     * acq_rel the second look at the condition could miss what that source wrote. */
    old = tni_aptr_exchange(&wait->claim, tn_waker_retain(waker), TNI_ACQ_REL);
    if (old != NULL)
        tn_waker_release(old);
}

/* Waiter: takes the claim back; false when a wake has won it. */
static inline bool tni_wait_disarm(tni_wait *wait)
{
    tn_waker *waker;

    /* Only we arm, so what is empty stays so. Acquire: observes a source that claimed before us, with all it wrote; partner:
     * tni_wait_wake. */
    if (tni_aptr_load(&wait->claim, TNI_ACQUIRE) == NULL)
        return false;
    /* As above, of a source that comes just now. */
    waker = tni_aptr_exchange(&wait->claim, NULL, TNI_ACQ_REL);
    if (waker == NULL)
        return false;
    tn_waker_release(waker);
    return true;
}

/* Source: ends the wait of whoever waits; false when nobody does. */
static inline bool tni_wait_wake(tni_wait *wait)
{
    /* Publishes the condition to a waiter that arms later, observes the waker of one that has armed; partner: tni_wait_arm.
     * Always a read-modify-write, also when nobody seems to wait: a plain look could miss a waiter that does not see the
     * condition yet. */
    tn_waker *waker = tni_aptr_exchange(&wait->claim, NULL, TNI_ACQ_REL);
    if (waker == NULL)
        return false;
    tn_waker_wake(waker);
    return true;
}

/* --- Waiting for an end ------------------------------------------------------------------------------------------------------
 *
 * Where the event comes once and for all, the word holds the event too: TNI_WAIT_OVER, put there by the exchange that takes the
 * waker. The waiter arms by a CAS, which finds either nobody or the end, so there is no condition to look at again. */

#define TNI_WAIT_OVER ((void *)(uintptr_t)1)

/* What arming met. */
typedef enum { TNI_WAIT_ARMED, TNI_WAIT_BUSY /* somebody else waits */, TNI_WAIT_IS_OVER } tni_wait_met;

/* Anyone: has the event come? */
static inline bool tni_wait_is_over(const tni_wait *wait)
{
    /* Observes what the source did before the event; partner: tni_wait_end. */
    return tni_aptr_load(&wait->claim, TNI_ACQUIRE) == TNI_WAIT_OVER;
}

/* Source: the event comes, for good. Answers the waker of who waits, for the caller to wake, or NULL. */
static inline tn_waker *tni_wait_end(tni_wait *wait)
{
    /* Publishes the event to whoever finds it over; acquire: the waker as its task armed it. Partners: tni_wait_is_over, the CAS
     * of tni_wait_arm_once. */
    return tni_aptr_exchange(&wait->claim, TNI_WAIT_OVER, TNI_ACQ_REL);
}

/* Waiter: from now on the end finds `waker` (borrowed; a reference is kept) instead of `old`: the waiter's own from before, or
 * NULL. */
static inline tni_wait_met tni_wait_arm_once(tni_wait *wait, tn_waker *old, tn_waker *waker)
{
    void *met = old;

    if (tni_wait_is_over(wait))
        return TNI_WAIT_IS_OVER;
    if (old == waker)
        return TNI_WAIT_ARMED;
    /* Publishes the waker; observes the event, if that was first (a CAS that fails acquires). Partner: tni_wait_end. */
    if (tni_aptr_cas(&wait->claim, &met, tn_waker_retain(waker), TNI_ACQ_REL)) {
        if (old != NULL)
            tn_waker_release(old);
        return TNI_WAIT_ARMED;
    }
    tn_waker_release(waker);
    return met == TNI_WAIT_OVER ? TNI_WAIT_IS_OVER : TNI_WAIT_BUSY;
}

/* Waiter: does not wait any more; if the end has taken `waker` already, the wake is on its way. */
static inline void tni_wait_disarm_once(tni_wait *wait, tn_waker *waker)
{
    void *met = waker;

    /* Acq_rel: as the exchange in tni_wait_disarm. */
    if (tni_aptr_cas(&wait->claim, &met, NULL, TNI_ACQ_REL))
        tn_waker_release(waker);
}

#endif
