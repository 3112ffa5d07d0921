/* SPDX-License-Identifier: MIT */
/* Whether locks record which task holds them (tn_options.report_wait_cycles). The mode is one for the process, because a lock
 * belongs to no runtime. Once on it stays on: a lock that was taken while it was off has no recorded holder.
 *
 * A mutex that is free costs nothing when the mode is off. Its first compare-and-swap compares the lock word with a variable,
 * which has the free or the locked value. In the mode, and with ThreadSanitizer (base/order.h), the variable has a value that no
 * lock word has. So the comparison fails and leads to the slow path, which records the holder. */
#ifndef TNI_HOLDERS_H
#define TNI_HOLDERS_H

#include "base/atomic.h"

/* Each runtime in the mode has a number. A holder is recorded as that number above the task's id in so many bits. */
#define TNI_HOLDERS_ID_BITS 44
/* In place of a key: the holder of the lock is not known. */
#define TNI_HOLDERS_UNRECORDED UINT64_C(1)

/* 0 and 1; in the mode, and with ThreadSanitizer, two values that no lock word has. */
__attribute__((visibility("hidden"))) extern tni_a32 tni_holders_free;
__attribute__((visibility("hidden"))) extern tni_a32 tni_holders_locked;
/* Not 0: holders are recorded, or ThreadSanitizer runs: where a branch for one exists already, it serves both. */
__attribute__((visibility("hidden"))) extern tni_a32 tni_holders_or_order;
/* 1: holders are recorded. */
__attribute__((visibility("hidden"))) extern tni_a32 tni_holders_on;

/* Makes each lock take its slow path. */
void tni_holders_take_slow_path(void);

/* Switches the mode on. Returns the number of a new runtime, in the upper bits. Never 0. */
uint64_t tni_holders_enable(void);

static inline bool tni_holders_are_recorded(void)
{
    /* Acquire: a thread that records a holder observes the other variables, so that it clears the word when it unlocks; partner:
     * tni_holders_enable. One that misses the beginning of the mode records nothing, and an unknown holder closes no cycle. */
    return tni_unlikely(tni_a32_load(&tni_holders_on, TNI_ACQUIRE) != 0);
}

static inline bool tni_holders_or_order_is_on(void)
{
    /* Relaxed: observed by a thread that has recorded a holder, as above; the order of ThreadSanitizer is on before there are
     * tasks. */
    return tni_unlikely(tni_a32_load(&tni_holders_or_order, TNI_RELAXED) != 0);
}

#endif
