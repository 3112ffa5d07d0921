/* SPDX-License-Identifier: MIT */
/* The claim word of a wait: it decides whether the source of the event or the waiter itself ends the wait.
 *
 * States: NULL (no task waits), or the waiter's counted waker. The side that exchanges the waker out has claimed the wait: the
 * source, to wake the waiter, or the waiter, because it was cancelled, its deadline passed, or it need not wait. Exactly one
 * side wins.
 *
 * Steps:
 *   source:  1. makes the condition true;  2. tni_wait_wake (exchange)
 *   waiter:  1. tni_wait_arm (exchange);  2. checks the condition again, and suspends only if it is still false
 *
 * No wake is lost: both exchanges are read-modify-writes of one word, so one comes first. If the waiter's does, the source
 * finds the waker. If the source's does, the waiter's exchange reads it (or a later one) and acquires the condition, which step
 * 2 then sees.
 *
 * Nothing is freed early: the word belongs to the object that is waited for (a task header, a registration), not to the
 * waiter's frame. The source touches only that object and the waker, which is counted.
 */
#ifndef TNI_WAIT_H
#define TNI_WAIT_H

#include <tn/future.h>

#include "base/atomic.h"

typedef struct {
    tni_aptr claim; /* tn_waker *, counted; NULL: no task waits */
} tni_wait;

static inline void tni_wait_init(tni_wait *wait)
{
    tni_aptr_init(&wait->claim, NULL);
}

/* Waiter: from now on tni_wait_wake() finds `waker`, to which the wait takes a reference. At most one waiter at a time. */
static inline void tni_wait_arm(tni_wait *wait, tn_waker *waker)
{
    tn_waker *old;

    /* Relaxed: only this waiter can have stored it. If a source takes it now, that source wakes the waiter. */
    if (tni_aptr_load(&wait->claim, TNI_RELAXED) == waker)
        return;
    /* Publishes the waker, observes the condition of a source whose exchange was earlier; partner: tni_wait_wake. With less
     * than acq_rel the second check of the condition could miss what that source wrote. */
    old = tni_aptr_exchange(&wait->claim, tn_waker_retain(waker), TNI_ACQ_REL);
    if (old != NULL)
        tn_waker_release(old);
}

/* Waiter: ends its own wait. Returns false if a wake has claimed it first. */
static inline bool tni_wait_disarm(tni_wait *wait)
{
    tn_waker *waker;

    /* Only this waiter arms, so NULL is final. Acquire: observes what the source that claimed first wrote; partner:
     * tni_wait_wake. */
    if (tni_aptr_load(&wait->claim, TNI_ACQUIRE) == NULL)
        return false;
    /* As the load above, for a source whose exchange comes between the load and this one. */
    waker = tni_aptr_exchange(&wait->claim, NULL, TNI_ACQ_REL);
    if (waker == NULL)
        return false;
    tn_waker_release(waker);
    return true;
}

/* Source: ends the wait and wakes the waiter. Returns false if no task waits. */
static inline bool tni_wait_wake(tni_wait *wait)
{
    /* Publishes the condition to a waiter that arms later, observes the waker of a waiter that has armed; partner:
     * tni_wait_arm. Always a read-modify-write, even if no task seems to wait: a plain load could miss a waiter that does not
     * see the condition yet. */
    tn_waker *waker = tni_aptr_exchange(&wait->claim, NULL, TNI_ACQ_REL);
    if (waker == NULL)
        return false;
    tn_waker_wake(waker);
    return true;
}

/* --- Waiting for an end ------------------------------------------------------------------------------------------------------
 *
 * If the event happens only once, the word holds the event too: the exchange that takes the waker leaves TNI_WAIT_OVER. The
 * waiter arms by a CAS, which finds either NULL or TNI_WAIT_OVER. So there is no condition to check again. */

#define TNI_WAIT_OVER ((void *)(uintptr_t)1)

/* The result of tni_wait_arm_once(). */
typedef enum { TNI_WAIT_ARMED, TNI_WAIT_BUSY /* another task waits */, TNI_WAIT_IS_OVER } tni_wait_met;

/* Any thread: whether the event has happened. */
static inline bool tni_wait_is_over(const tni_wait *wait)
{
    /* Observes what the source did before the event; partner: tni_wait_end. */
    return tni_aptr_load(&wait->claim, TNI_ACQUIRE) == TNI_WAIT_OVER;
}

/* Source: the event has happened. Returns the waiter's waker, which the caller must wake, or NULL. */
static inline tn_waker *tni_wait_end(tni_wait *wait)
{
    /* Publishes the event to a thread that reads TNI_WAIT_OVER; acquire: observes the waker as its task armed it. Partners:
     * tni_wait_is_over, the CAS of tni_wait_arm_once. */
    return tni_aptr_exchange(&wait->claim, TNI_WAIT_OVER, TNI_ACQ_REL);
}

/* Waiter: from now on tni_wait_end() finds `waker`, to which the wait takes a reference by `retain`: tn_waker_retain, or the same
 * for a kind of waker that the caller knows. `old`: the waker that the same waiter armed before, or NULL. */
__attribute__((always_inline)) static inline tni_wait_met tni_wait_arm_once_by(tni_wait *wait, tn_waker *old, tn_waker *waker,
                                                                               tn_waker *(*retain)(tn_waker *waker))
{
    void *met = old;

    if (tni_wait_is_over(wait))
        return TNI_WAIT_IS_OVER;
    if (old == waker)
        return TNI_WAIT_ARMED;
    /* Publishes the waker; observes the event if that came first (the failed CAS acquires). Partner: tni_wait_end. */
    if (tni_aptr_cas(&wait->claim, &met, retain(waker), TNI_ACQ_REL)) {
        if (old != NULL)
            tn_waker_release(old);
        return TNI_WAIT_ARMED;
    }
    tn_waker_release(waker);
    return met == TNI_WAIT_OVER ? TNI_WAIT_IS_OVER : TNI_WAIT_BUSY;
}

static inline tni_wait_met tni_wait_arm_once(tni_wait *wait, tn_waker *old, tn_waker *waker)
{
    return tni_wait_arm_once_by(wait, old, waker, tn_waker_retain);
}

/* Waiter: stops waiting. If tni_wait_end() has taken `waker` already, the source wakes it. */
static inline void tni_wait_disarm_once(tni_wait *wait, tn_waker *waker)
{
    void *met = waker;

    /* Acq_rel: as the exchange in tni_wait_disarm. */
    if (tni_aptr_cas(&wait->claim, &met, NULL, TNI_ACQ_REL))
        tn_waker_release(waker);
}

#endif
