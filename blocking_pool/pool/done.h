/* SPDX-License-Identifier: MIT */
/* A completion word: whether something is done, and the waker of the one task that waits for it.
 *
 * States: NULL: not done, no waiter. A waker: not done, its owner waits. TNI_DONE: done.
 *
 * The source makes one exchange to TNI_DONE and does not access the word again. A waiter that has seen TNI_DONE may free it,
 * so, unlike a tni_wait, the word may be on the waiter's own stack.
 *
 * No wake is lost: the waiter stores its waker by CAS. If the CAS precedes the source's exchange, the exchange finds the waker.
 * Otherwise the CAS fails and reads TNI_DONE.
 */
#ifndef TNI_DONE_H
#define TNI_DONE_H

#include <tn/future.h>

#include "base/atomic.h"
#include "base/order.h"

#define TNI_DONE ((void *)1)

typedef struct {
    tni_aptr word;
} tni_done;

static inline void tni_done_init(tni_done *done)
{
    tni_aptr_init(&done->word, NULL);
}

static inline bool tni_done_is_set(const tni_done *done)
{
    /* Observes the result; partner: tni_done_set. */
    bool set = tni_aptr_load(&done->word, TNI_ACQUIRE) == TNI_DONE;

    tni_order_acquire();
    return set;
}

/* Called once, by the source. The word's memory may be freed before this returns. */
static inline void tni_done_set(tni_done *done)
{
    /* Publishes the result, observes the waker of the waiter; partner: tni_done_poll. */
    tn_waker *waker = tni_aptr_exchange(&done->word, TNI_DONE, TNI_ACQ_REL);

    tni_assert(waker != TNI_DONE, "a job is over twice");
    if (waker != NULL)
        tn_waker_wake(waker);
}

/* For the waiter. 0: done; TN_PENDING: `waker` is stored; TN_EBUSY: another task waits. *registered is the waker that this
 * waiter has stored, NULL before its first poll. */
static inline int tni_done_poll(tni_done *done, tn_waker **registered, tn_waker *waker)
{
    /* Observes the result; partner: tni_done_set. */
    void *old = tni_aptr_load(&done->word, TNI_ACQUIRE);

    if (old != TNI_DONE && old == (void *)waker && old == (void *)*registered)
        return TN_PENDING;
    if (old != TNI_DONE && old != (void *)*registered)
        return TN_EBUSY;
    if (old != TNI_DONE) {
        /* Publishes the waker; partner: tni_done_set. A failure observes the result. */
        if (tni_aptr_cas(&done->word, &old, tn_waker_retain(waker), TNI_ACQ_REL)) {
            if (*registered != NULL)
                tn_waker_release(*registered);
            *registered = waker;
            return TN_PENDING;
        }
        tn_waker_release(waker);
        if (old != TNI_DONE)
            return TN_EBUSY;
    }
    *registered = NULL; /* the source has taken the reference */
    tni_order_acquire();
    return 0;
}

/* For the waiter: cancels the wait. */
static inline void tni_done_unregister(tni_done *done, tn_waker **registered)
{
    void *old = *registered;

    /* If the waker is still there, the source has not taken it; otherwise the source wakes it. Observes nothing that is needed.
     * Acquire, because the CAS has no weaker form. */
    if (old != NULL && tni_aptr_cas(&done->word, &old, NULL, TNI_ACQUIRE))
        tn_waker_release(*registered);
    *registered = NULL;
}

#endif
