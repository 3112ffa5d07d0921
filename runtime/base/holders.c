/* SPDX-License-Identifier: MIT */
/* The mode in which locks record their holders: its variables, and its beginning. */
#include "base/holders.h"

/* No word of a lock has it. */
#define NO_WORD (UINT32_C(1) << 31)

tni_a32 tni_holders_free = {0};
tni_a32 tni_holders_locked = {1};
tni_a32 tni_holders_or_order = {0};
tni_a32 tni_holders_on = {0};

static tni_a32 runtimes = {0}; /* that were created in the mode */

void tni_holders_take_slow_path(void)
{
    /* Relaxed, all: they guard no data. A thread that reads an old value takes or releases its lock as before.
     * tni_holders_enable publishes them. */
    tni_a32_store(&tni_holders_or_order, 1, TNI_RELAXED);
    tni_a32_store(&tni_holders_free, NO_WORD, TNI_RELAXED);
    tni_a32_store(&tni_holders_locked, NO_WORD, TNI_RELAXED);
}

uint64_t tni_holders_enable(void)
{
    /* Relaxed: a number. */
    uint64_t number = tni_a32_fetch_add(&runtimes, 1, TNI_RELAXED) % ((1U << (64 - TNI_HOLDERS_ID_BITS)) - 1) + 1;

    tni_holders_take_slow_path();
    /* Release: publishes what that has written; partner: tni_holders_are_recorded. */
    tni_a32_store(&tni_holders_on, 1, TNI_RELEASE);
    return number << TNI_HOLDERS_ID_BITS;
}
