/* SPDX-License-Identifier: MIT */
/* Log-linear histograms of times, written by one thread or by several, and readable by any thread at any time. All zero is an
 * empty histogram. */
#ifndef TNI_HISTOGRAM_H
#define TNI_HISTOGRAM_H

#include <tn/metrics.h>

#include "base/atomic.h"

typedef struct {
    tni_a64 sum_ns;
    tni_a64 buckets[TN_HISTOGRAM_BUCKETS];
} tni_histogram;

/* The bucket of a time. Units of 64 ns; above four of them, the two bits behind the highest one choose a quarter. */
static inline unsigned tni_histogram_index(uint64_t ns)
{
    uint64_t units = ns >> 6;
    unsigned log2;
    unsigned index;

    if (units < 4)
        return (unsigned)units;
    log2 = 63 - (unsigned)__builtin_clzll((unsigned long long)units);
    index = (log2 - 1) * 4 + ((unsigned)(units >> (log2 - 2)) & 3);
    return index < TN_HISTOGRAM_BUCKETS ? index : TN_HISTOGRAM_BUCKETS - 1;
}

/* Counts a time `weight` times. Single writer. */
void tni_histogram_add(tni_histogram *self, uint64_t ns, uint64_t weight);
/* The same for any number of writers. */
void tni_histogram_add_shared(tni_histogram *self, uint64_t ns, uint64_t weight);

/* Adds what was counted to `out`. */
void tni_histogram_read(const tni_histogram *self, tn_histogram *out);

#endif
