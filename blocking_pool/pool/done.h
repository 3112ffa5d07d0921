/* SPDX-License-Identifier: MIT */
/* One word that says that something is over, and holds who waits for it.
 *
 * NULL: not over, nobody waits. A waker: not over, its owner waits. TNI_DONE: over. The source makes one exchange to TNI_DONE and
 * does not touch the word again; whoever has seen TNI_DONE may free it. So, unlike a tni_wait, it may lie on the waiter's own
 * stack.
 *
 * No wake-up is lost: the waiter puts its waker there by CAS. Either it comes before the source's exchange, which then finds the
 * waker, or it fails and finds TNI_DONE.
 */
#ifndef TNI_DONE_H
#define TNI_DONE_H

#include <tn/future.h>

#include "base/atomic.h"

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
    return tni_aptr_load(&done->word, TNI_ACQUIRE) == TNI_DONE;
}

/* Source, once. The word may be gone when this returns. */
static inline void tni_done_set(tni_done *done)
{
    /* Publishes the result to who looks, observes the waker of who waits; partner: tni_done_poll. */
    tn_waker *waker = tni_aptr_exchange(&done->word, TNI_DONE, TNI_ACQ_REL);

    tni_assert(waker != TNI_DONE, "a job is over twice");
    if (waker != NULL)
        tn_waker_wake(waker);
}

/* Waiter: 0: over; TN_PENDING: `waker` is kept; TN_EBUSY: somebody else waits. `mine`: what this waiter has put there, NULL
 * before its first poll. */
static inline int tni_done_poll(tni_done *done, tn_waker **mine, tn_waker *waker)
{
    /* Observes the result; partner: tni_done_set. */
    void *old = tni_aptr_load(&done->word, TNI_ACQUIRE);

    if (old != TNI_DONE && old == (void *)waker && old == (void *)*mine)
        return TN_PENDING;
    if (old != TNI_DONE && old != (void *)*mine)
        return TN_EBUSY;
    if (old != TNI_DONE) {
        /* Publishes that we wait; partner: tni_done_set. A failure has observed the result. */
        if (tni_aptr_cas(&done->word, &old, tn_waker_retain(waker), TNI_ACQ_REL)) {
            if (*mine != NULL)
                tn_waker_release(*mine);
            *mine = waker;
            return TN_PENDING;
        }
        tn_waker_release(waker);
        if (old != TNI_DONE)
            return TN_EBUSY;
    }
    *mine = NULL; /* the source has taken it */
    return 0;
}

/* Waiter: does not wait any more. */
static inline void tni_done_unregister(tni_done *done, tn_waker **mine)
{
    void *old = *mine;

    /* If it is still there, nobody has touched it; if not, the source has it, and wakes it. Acquire: not needed. */
    if (old != NULL && tni_aptr_cas(&done->word, &old, NULL, TNI_ACQUIRE))
        tn_waker_release(*mine);
    *mine = NULL;
}

#endif
