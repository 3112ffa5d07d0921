/* SPDX-License-Identifier: MIT */
/* A one-word lock for a few instructions: a list is changed, a value copied. Never held over a suspension, a wake or an
 * allocation.
 *
 * Release is a plain store, half the price of the release of a lock that wakes threads. A waiter spins, then yields the
 * processor, then sleeps for a short time again and again. So a preempted holder, even one of lower priority, gets the
 * processor back. A zeroed word is a free lock.
 */
#ifndef TNI_SHORT_LOCK_H
#define TNI_SHORT_LOCK_H

#include "base/atomic.h"
#include "base/held.h"
#include "base/order.h"

typedef struct {
    tni_a32 held; /* 0 or 1 */
} tni_short_lock;

/* Pauses before the next load of `word`, which had this value in the last `tries` loads. */
void tni_short_lock_pause(const tni_a32 *word, uint32_t value, unsigned tries);

/* The slow path of an acquire, whose exchange has returned `before`: if that is not 0 another thread holds the lock. Reports the
 * order in both directions: what the caller did before happens before the next holder's code. */
void tni_short_lock_wait(tni_short_lock *lock, uint32_t before);

static inline void tni_short_lock_acquire(tni_short_lock *lock)
{
    uint32_t before;

    tni_held_assert_not(lock, "a thread takes a short lock that it holds");
    /* Observes what the last holder did; partner: tni_short_lock_release. */
    before = tni_a32_exchange(&lock->held, 1, TNI_ACQUIRE);
    if (tni_unlikely(before != tni_order_zero))
        tni_short_lock_wait(lock, before);
    tni_held_add(lock);
}

static inline void tni_short_lock_release(tni_short_lock *lock)
{
    tni_held_remove(lock);
    /* Publishes what this holder did to the next one; partner: tni_short_lock_acquire. */
    tni_a32_store(&lock->held, 0, TNI_RELEASE);
}

/* In a function that needs the lock: the calling thread holds it. Such a function has a name that ends in `_locked`. */
#define tni_short_lock_assert_held(lock) tni_held_assert(lock, "the calling thread does not hold the short lock")

void tni_short_lock_wait_released_held(const tni_short_lock *lock);

/* Waits until the thread that holds the lock now, if any, has released it, so that the lock's memory may be freed. */
static inline void tni_short_lock_wait_released(const tni_short_lock *lock)
{
    /* Observes the holder's accesses; partner: tni_short_lock_release. */
    if (tni_unlikely(tni_a32_load(&lock->held, TNI_ACQUIRE) != tni_order_zero))
        tni_short_lock_wait_released_held(lock);
}

#endif
