/* SPDX-License-Identifier: MIT */
/* Records which functions have been short-running in recent calls of tn_run_blocking, and so are eligible to run on the worker.
 * All values are hints: a wrong one costs time only. */
#ifndef TNI_INLINE_STATS_H
#define TNI_INLINE_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include <tn/blocking.h>

#include "base/atomic.h"

#define TNI_INLINE_STATS_DEFAULT_NS 20000
/* Short calls in a row that make a function eligible. The second value applies after a call of 10 times the limit or more. */
#define TNI_INLINE_STATS_WANTED 64
#define TNI_INLINE_STATS_WANTED_AGAIN 1024

enum { TNI_INLINE_STATS_FUNCTIONS = 16, TNI_INLINE_STATS_BITS = 16 };

typedef struct {
    uint64_t limit_ns; /* constant; a shorter call is short-running; 1: no call is */
    /* The address of a function, and how many short calls it still needs to become eligible. In the order of their first calls;
     * 0: empty, and so are those behind it. Which entry a function gets depends on its address only if the table is full. */
    tni_a64 functions[TNI_INLINE_STATS_FUNCTIONS];
    tni_a64 calls; /* made on workers so far */
} tni_inline_stats;

static inline void tni_inline_stats_init(tni_inline_stats *stats, uint64_t limit_ns)
{
    stats->limit_ns = limit_ns != 0 ? limit_ns : TNI_INLINE_STATS_DEFAULT_NS;
    for (unsigned i = 0; i < TNI_INLINE_STATS_FUNCTIONS; i++)
        tni_a64_init(&stats->functions[i], 0);
    tni_a64_init(&stats->calls, 0);
}

/* Addresses have 48 bits on all processors that the fiber switch supports. */
static inline uint64_t tni_inline_stats_key(tn_job_fn fn)
{
    return (uint64_t)(uintptr_t)fn << TNI_INLINE_STATS_BITS;
}

/* Finds the entry of a function, or the one that is to become its own. `value`: what is in the entry. */
static inline unsigned tni_inline_stats_slot(const tni_inline_stats *stats, tn_job_fn fn, uint64_t *value)
{
    for (unsigned i = 0; i < TNI_INLINE_STATS_FUNCTIONS; i++) {
        *value = tni_a64_load(&stats->functions[i], TNI_RELAXED); /* relaxed: a hint */
        if (*value >> TNI_INLINE_STATS_BITS == tni_inline_stats_key(fn) >> TNI_INLINE_STATS_BITS || *value == 0)
            return i;
    }
    *value = 0;
    return (unsigned)(((uint64_t)(uintptr_t)fn * UINT64_C(0x9e3779b97f4a7c15)) >> 60);
}

static inline bool tni_inline_stats_eligible(const tni_inline_stats *stats, tn_job_fn fn)
{
    uint64_t value;

    if (stats->limit_ns <= 1)
        return false;
    (void)tni_inline_stats_slot(stats, fn, &value);
    return value == tni_inline_stats_key(fn);
}

/* Records that a call of the function has taken `ns`. If two threads record a call at the same time, one record may be lost.
 * Writes only if the value changes, because many threads read the table. */
static inline void tni_inline_stats_record(tni_inline_stats *stats, tn_job_fn fn, uint64_t ns)
{
    uint64_t old;
    tni_a64 *function = &stats->functions[tni_inline_stats_slot(stats, fn, &old)];
    uint64_t key = tni_inline_stats_key(fn);
    uint64_t left = old == 0 ? TNI_INLINE_STATS_WANTED : old - key;

    if (ns / 10 >= stats->limit_ns)
        left = TNI_INLINE_STATS_WANTED_AGAIN;
    else if (ns >= stats->limit_ns)
        left = left > TNI_INLINE_STATS_WANTED ? left : TNI_INLINE_STATS_WANTED;
    else if (left > 0)
        left--;
    if (old != (key | left))
        tni_a64_store(function, key | left, TNI_RELAXED); /* relaxed: a hint */
}

#endif
