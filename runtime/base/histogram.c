/* SPDX-License-Identifier: MIT */
/* Histograms of times. Every access is relaxed: the counts guard no data, and a reader may see a part of an addition. */
#include "base/histogram.h"

static void add_to(tni_a64 *word, uint64_t n)
{
    /* Relaxed, both: the caller is the only writer. */
    tni_a64_store(word, tni_a64_load(word, TNI_RELAXED) + n, TNI_RELAXED);
}

void tni_histogram_add(tni_histogram *self, uint64_t ns, uint64_t weight)
{
    add_to(&self->buckets[tni_histogram_index(ns)], weight);
    add_to(&self->sum_ns, ns * weight);
}

void tni_histogram_add_shared(tni_histogram *self, uint64_t ns, uint64_t weight)
{
    /* Relaxed, all: as above; the additions are atomic because there are several writers. */
    (void)tni_a64_fetch_add(&self->buckets[tni_histogram_index(ns)], weight, TNI_RELAXED);
    (void)tni_a64_fetch_add(&self->sum_ns, ns * weight, TNI_RELAXED);
}

void tni_histogram_read(const tni_histogram *self, tn_histogram *out)
{
    out->sum_ns += tni_a64_load(&self->sum_ns, TNI_RELAXED); /* relaxed: statistics */
    for (unsigned i = 0; i < TN_HISTOGRAM_BUCKETS; i++) {
        uint64_t times = tni_a64_load(&self->buckets[i], TNI_RELAXED); /* relaxed: as above */
        out->buckets[i] += times;
        out->count += times;
    }
}

uint64_t tn_histogram_bound_ns(unsigned index)
{
    unsigned log2 = index / 4 + 1;

    if (index >= TN_HISTOGRAM_BUCKETS)
        return UINT64_MAX;
    if (index < 4)
        return (uint64_t)index << 6;
    return (UINT64_C(4) + index % 4) << (log2 - 2) << 6;
}

uint64_t tn_histogram_quantile_ns(const tn_histogram *histogram, double q)
{
    uint64_t total = 0;
    uint64_t below = 0;
    double wanted;

    for (unsigned i = 0; i < TN_HISTOGRAM_BUCKETS; i++)
        total += histogram->buckets[i];
    wanted = q * (double)total;
    for (unsigned i = 0; i < TN_HISTOGRAM_BUCKETS && total > 0; i++) {
        below += histogram->buckets[i];
        if (below > 0 && (double)below >= wanted)
            return tn_histogram_bound_ns(i + 1 < TN_HISTOGRAM_BUCKETS ? i + 1 : i);
    }
    return 0;
}
