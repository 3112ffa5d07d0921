/* SPDX-License-Identifier: MIT */
/* A sampler chooses which tasks are measured: all of them while they come slowly, else one in 2, 4, ... 256, so that about a
 * thousand a second are measured. It is used by one thread at a time; all zero is a sampler. */
#ifndef TNI_SAMPLER_H
#define TNI_SAMPLER_H

#include "base/config.h"
#include "base/defs.h"
#include "base/thread.h"

typedef struct {
    int32_t left;     /* tasks to pass over before the next one that is measured */
    uint32_t log2;    /* one in two to this power is measured */
    uint64_t last_ns; /* when the last one was */
} tni_sampler;

/* A time in steps of 16 ns, and in the lower four bits the log2 of how many tasks the measured one counts for. Never 0. */
typedef uint64_t tni_stamp;

#define TNI_STAMP_LOG2 UINT64_C(15)

static inline uint64_t tni_sampler_ns(tni_stamp stamp)
{
    return stamp & ~TNI_STAMP_LOG2;
}

static inline uint64_t tni_sampler_weight(tni_stamp stamp)
{
    return UINT64_C(1) << (stamp & TNI_STAMP_LOG2);
}

/* The time from a stamp to another time; clocks of two processors may differ by a little. */
static inline uint64_t tni_sampler_since(tni_stamp stamp, uint64_t now_ns)
{
    return now_ns > tni_sampler_ns(stamp) ? now_ns - tni_sampler_ns(stamp) : 0;
}

/* Whether the next task is measured. */
static inline bool tni_sampler_hits(tni_sampler *sampler)
{
    return TNI_MEASURES && tni_unlikely(--sampler->left < 0);
}

/* Called for a task that is measured, at `now_ns`. Returns its stamp, and chooses when the next one is due. */
static inline tni_stamp tni_sampler_take(tni_sampler *sampler, uint64_t now_ns)
{
    uint64_t since_ns = now_ns - sampler->last_ns;
    tni_stamp stamp = (now_ns & ~TNI_STAMP_LOG2) | sampler->log2;

    if (since_ns < TNI_MEASURE_NS && sampler->log2 < TNI_MEASURE_LOG2_MAX)
        sampler->log2++;
    else if (since_ns > TNI_MEASURE_NS * 8)
        sampler->log2 = 0;
    else if (since_ns > TNI_MEASURE_NS * 2 && sampler->log2 > 0)
        sampler->log2--;
    sampler->last_ns = now_ns;
    sampler->left = (INT32_C(1) << sampler->log2) - 1;
    return stamp;
}

#endif
