/* SPDX-License-Identifier: MIT */
/* Replaces tasks where a scenario does without them: a waker that counts its wakes, and on which a thread can sleep. Defines
 * the public functions, so it is for one source of a program. */
#ifndef TN_MODEL_WAKER_H
#define TN_MODEL_WAKER_H

#include "model.h"
#include "task/task.h"

struct tn_waker {
    tn_task task;       /* first: a waker leads to it; only its budget is used */
    tni_a32 references; /* besides its owner's */
    tni_a32 wakes;
};

tn_waker *tn_waker_retain(tn_waker *waker)
{
    (void)tni_a32_fetch_add(&waker->references, 1, TNI_RELAXED);
    return waker;
}

void tn_waker_release(tn_waker *waker)
{
    model_check(tni_a32_fetch_sub(&waker->references, 1, TNI_ACQ_REL) > 0);
}

void tn_waker_wake_by_ref(tn_waker *waker)
{
    (void)tni_a32_fetch_add(&waker->wakes, 1, TNI_RELEASE);
    tni_futex_wake(&waker->wakes, 1);
}

void tn_waker_wake(tn_waker *waker)
{
    tn_waker_wake_by_ref(waker);
    tn_waker_release(waker);
}

/* Sleeps until there have been more than `seen` wakes. Returns their number. */
static inline uint32_t waker_wait(tn_waker *waker, uint32_t seen)
{
    uint32_t wakes;

    while ((wakes = tni_a32_load(&waker->wakes, TNI_ACQUIRE)) == seen)
        tni_futex_wait(&waker->wakes, seen, TNI_FOREVER);
    return wakes;
}

#endif
