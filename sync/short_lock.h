/* SPDX-License-Identifier: MIT */
/* A lock of one word for a few instructions: a list is changed, a value copied. Never held over a suspension, a wake or an
 * allocation.
 *
 * Release is a plain store, which is half the price of a lock that can put threads to sleep. Who finds it taken spins, then lets
 * other threads of its processor run, then sleeps for a moment at a time: so a holder that lost its processor, even one of lower
 * priority, gets it back. A zeroed word is a free lock.
 */
#ifndef TNI_SHORT_LOCK_H
#define TNI_SHORT_LOCK_H

#include "base/prim.h"

typedef struct {
    tni_a32 held; /* 0 or 1 */
} tni_short_lock;

/* Before the next look at a word that had this value at the last `tries` looks. */
void tni_short_lock_pause(const tni_a32 *word, uint32_t value, unsigned tries);

void tni_short_lock_wait(tni_short_lock *lock);

static inline void tni_short_lock_acquire(tni_short_lock *lock)
{
    /* Observes what the last holder did; partner: tni_short_lock_release. */
    if (tni_unlikely(tni_a32_exchange(&lock->held, 1, TNI_ACQUIRE) != 0))
        tni_short_lock_wait(lock);
}

static inline void tni_short_lock_release(tni_short_lock *lock)
{
    /* Publishes what we did to the next holder; partner: tni_short_lock_acquire. */
    tni_a32_store(&lock->held, 0, TNI_RELEASE);
}

void tni_short_lock_wait_released_held(const tni_short_lock *lock);

/* Waits until whoever held the lock at some moment before has let go of it, so that its memory may be freed. */
static inline void tni_short_lock_wait_released(const tni_short_lock *lock)
{
    /* Acquire: the holder's accesses are over; partner: tni_short_lock_release. */
    if (tni_unlikely(tni_a32_load(&lock->held, TNI_ACQUIRE) != 0))
        tni_short_lock_wait_released_held(lock);
}

#endif
