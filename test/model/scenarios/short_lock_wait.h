/* SPDX-License-Identifier: MIT */
/* The short lock waits without its spins, so that the search leaves nothing out; short_lock.c has the spins. Defines functions
 * of the library, so it is for one source of a program. */
#ifndef TN_MODEL_SHORT_LOCK_WAIT_H
#define TN_MODEL_SHORT_LOCK_WAIT_H

#include "model.h"
#include "short_lock.h"

void tni_short_lock_pause(const tni_a32 *word, uint32_t value, unsigned tries)
{
    (void)tries;
    model_until_changed(word, value);
}

void tni_short_lock_wait(tni_short_lock *lock, uint32_t before)
{
    (void)before;
    do
        model_until_changed(&lock->held, 1);
    while (tni_a32_exchange(&lock->held, 1, TNI_ACQUIRE) != 0);
}

void tni_short_lock_wait_released_held(const tni_short_lock *lock)
{
    do
        model_until_changed(&lock->held, 1);
    while (tni_a32_load(&lock->held, TNI_ACQUIRE) != 0);
}

#endif
