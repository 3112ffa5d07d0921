/* SPDX-License-Identifier: MIT */
#include "short_lock.h"

/* Looks twice as far apart each time: who holds the lock gets more done meanwhile than it would with somebody else reading its
 * line all the time. */
enum { SPINS = 10, SPIN_HINTS_MAX = 64, YIELDS = 20 };

#define NAP_NS 50000

void tni_short_lock_pause(const tni_a32 *word, uint32_t value, unsigned tries)
{
    if (tries < SPINS) {
        for (unsigned hints = 1u << tries < SPIN_HINTS_MAX ? 1u << tries : SPIN_HINTS_MAX; hints > 0; hints--)
            tni_spin_hint();
    } else if (tries < SPINS + YIELDS) {
        tni_thread_yield();
    } else {
        tni_futex_wait((tni_a32 *)(uintptr_t)word, value, tni_clock_ns() + NAP_NS); /* nobody wakes us: the time does */
    }
}

static bool try_acquire(tni_short_lock *lock)
{
    /* Relaxed look, so that those who wait do not steal the word from its holder; the exchange observes the last holder. */
    return tni_a32_load(&lock->held, TNI_RELAXED) == 0 && tni_a32_exchange(&lock->held, 1, TNI_ACQUIRE) == 0;
}

void tni_short_lock_wait(tni_short_lock *lock)
{
    for (unsigned tries = 0; !try_acquire(lock); tries++)
        tni_short_lock_pause(&lock->held, 1, tries);
}

void tni_short_lock_wait_released_held(const tni_short_lock *lock)
{
    /* Acquire: as in tni_short_lock_wait_released. */
    for (unsigned tries = 0; tni_a32_load(&lock->held, TNI_ACQUIRE) != 0; tries++)
        tni_short_lock_pause(&lock->held, 1, tries);
}
