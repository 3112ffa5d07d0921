/* SPDX-License-Identifier: MIT */
/* The slow path of the short lock: how a thread waits until the lock is free. */
#include "short_lock.h"

#include "base/thread.h"

/* A waiter doubles the time between two loads: the holder gets more done if other threads do not read its cache line all the
 * time. */
enum { SPINS = 10, SPIN_HINTS_MAX = 64, YIELDS = 20 };

#define SLEEP_NS 50000

void tni_short_lock_pause(const tni_a32 *word, uint32_t value, unsigned tries)
{
    if (tries < SPINS) {
        for (unsigned hints = 1u << tries < SPIN_HINTS_MAX ? 1u << tries : SPIN_HINTS_MAX; hints > 0; hints--)
            tni_spin_hint();
    } else if (tries < SPINS + YIELDS) {
        tni_thread_yield();
    } else {
        tni_futex_wait((tni_a32 *)(uintptr_t)word, value, tni_clock_ns() + SLEEP_NS); /* no thread wakes it, it times out */
    }
}

static bool try_acquire(tni_short_lock *lock)
{
    /* Relaxed load, so that waiters do not take the cache line from the holder. The exchange observes what the last holder did;
     * partner: tni_short_lock_release (short_lock.h). */
    return tni_a32_load(&lock->held, TNI_RELAXED) == 0 && tni_a32_exchange(&lock->held, 1, TNI_ACQUIRE) == 0;
}

void tni_short_lock_wait(tni_short_lock *lock, uint32_t before)
{
    for (unsigned tries = 0; before != 0 && !try_acquire(lock); tries++)
        tni_short_lock_pause(&lock->held, 1, tries);
    tni_order_acquire();
    tni_order_release();
}

void tni_short_lock_wait_released_held(const tni_short_lock *lock)
{
    /* Observes the holder's accesses; partner: tni_short_lock_release (short_lock.h). */
    for (unsigned tries = 0; tni_a32_load(&lock->held, TNI_ACQUIRE) != 0; tries++)
        tni_short_lock_pause(&lock->held, 1, tries);
    tni_order_acquire();
}
