/* SPDX-License-Identifier: MIT */
/* Functions that have been brief whenever tn_run_blocking called them lately. Hints all: a wrong one costs time. */
#ifndef TNI_INLINE_STATS_H
#define TNI_INLINE_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include <tn/blocking.h>

#include "base/atomic.h"

#define TNI_INLINE_STATS_DEFAULT_NS 20000
/* Brief calls on end that it takes; so many after one that was longer than ten times the limit. */
#define TNI_INLINE_STATS_WANTED 64
#define TNI_INLINE_STATS_WANTED_AGAIN 1024

enum { TNI_INLINE_STATS_FUNCTIONS = 16, TNI_INLINE_STATS_BITS = 16 };

typedef struct {
    uint64_t limit_ns; /* constant: what takes less is brief; 1: nothing is */
    tni_a64
        functions[TNI_INLINE_STATS_FUNCTIONS]; /* by a hash: the address, and how many brief calls are still wanted; 0: none */
    tni_a64 calls;                             /* that workers have made */
} tni_inline_stats;

static inline void tni_inline_stats_init(tni_inline_stats *brief, uint64_t limit_ns)
{
    brief->limit_ns = limit_ns != 0 ? limit_ns : TNI_INLINE_STATS_DEFAULT_NS;
    for (unsigned i = 0; i < TNI_INLINE_STATS_FUNCTIONS; i++)
        tni_a64_init(&brief->functions[i], 0);
    tni_a64_init(&brief->calls, 0);
}

/* An address has 48 bits, on all processors that there is a fiber switch for. */
static inline uint64_t tni_inline_stats_key(tn_job_fn fn)
{
    return (uint64_t)(uintptr_t)fn << TNI_INLINE_STATS_BITS;
}

static inline unsigned tni_inline_stats_slot(tn_job_fn fn)
{
    return (unsigned)(((uint64_t)(uintptr_t)fn * UINT64_C(0x9e3779b97f4a7c15)) >> 60);
}

static inline bool tni_inline_stats_eligible(const tni_inline_stats *brief, tn_job_fn fn)
{
    /* Relaxed: a hint. */
    return brief->limit_ns > 1 &&
           tni_a64_load(&brief->functions[tni_inline_stats_slot(fn)], TNI_RELAXED) == tni_inline_stats_key(fn);
}

/* It has taken `ns`. Of two that note at once one may be forgotten. Where nothing changes nothing is written: many look. */
static inline void tni_inline_stats_record(tni_inline_stats *brief, tn_job_fn fn, uint64_t ns)
{
    tni_a64 *function = &brief->functions[tni_inline_stats_slot(fn)];
    uint64_t old = tni_a64_load(function, TNI_RELAXED); /* relaxed: a hint */
    uint64_t key = tni_inline_stats_key(fn);
    uint64_t left = old & ((UINT64_C(1) << TNI_INLINE_STATS_BITS) - 1);

    if (old - left != key)
        left = TNI_INLINE_STATS_WANTED;
    if (ns / 10 >= brief->limit_ns)
        left = TNI_INLINE_STATS_WANTED_AGAIN;
    else if (ns >= brief->limit_ns)
        left = left > TNI_INLINE_STATS_WANTED ? left : TNI_INLINE_STATS_WANTED;
    else if (left > 0)
        left--;
    if (old != (key | left))
        tni_a64_store(function, key | left, TNI_RELAXED); /* relaxed: as above */
}

#endif
