/* SPDX-License-Identifier: MIT */
/* Counters per core: written only by the worker that holds the core, readable by any thread at any time. */
#ifndef TNI_COUNT_H
#define TNI_COUNT_H

#include <tn/runtime.h>

#include "base/atomic.h"

/* In the same order as in tn_counters: they are copied one by one. */
typedef struct {
    tni_a64 spawned;
    tni_a64 finished;
    tni_a64 polls;
    tni_a64 steals;
    tni_a64 steal_attempts;
    tni_a64 parks;
    tni_a64 wakes;
    tni_a64 overflows;
    tni_a64 injector_takes;
    tni_a64 driver_polls;
    tni_a64 driver_events;
    tni_a64 timers_fired;
    tni_a64 cores_handed_over;
    tni_a64 stack_used_max_bytes;
} tni_counts;

_Static_assert(sizeof(tni_counts) == sizeof(tn_counters), "the two lists must agree");

/* Single writer. Release: a thread that reads the count of a task's end observes all that came before it, in particular the
 * spawns of its children; partner: tni_runtime_live. */
static inline void tni_count(tni_a64 *counter, uint64_t n)
{
    tni_a64_store(counter, tni_a64_load(counter, TNI_RELAXED) + n, TNI_RELEASE);
}

/* Any number of writers: for counters that threads without a core write. Release: as tni_count. */
static inline void tni_count_shared(tni_a64 *counter, uint64_t n)
{
    (void)tni_a64_fetch_add(counter, n, TNI_RELEASE);
}

#endif
