/* SPDX-License-Identifier: MIT */
/* Measurements of a runtime: how long tasks wait for a worker, how long they run, what they wait for, and how the pool does.
 *
 * Measuring is always on and its memory is fixed when the runtime is created. A core measures each of its tasks while it runs
 * fewer than some thousand a second. Above that it measures one in 2, 4, 8, ... 256 tasks and counts it as so many. So what is
 * rare on a busy core may be missed, and counts of measured tasks are estimates there. All times are exact to 16 ns. */
#ifndef TN_METRICS_H
#define TN_METRICS_H

#include <tn/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Number of buckets of a histogram. The first four count times below 64, 128, 192 and 256 ns. Above, each power of two has four
 * buckets of equal width. The last one also counts all longer times. tn_histogram_bound_ns returns the bounds. */
#define TN_HISTOGRAM_BUCKETS 120

typedef struct tn_histogram {
    uint64_t count;  /* times that were counted */
    uint64_t sum_ns; /* of these times */
    uint64_t buckets[TN_HISTOGRAM_BUCKETS];
} tn_histogram;

/* Most kinds of waits that are told apart; further ones are counted together as "other". */
#define TN_METRICS_WAITS 32

/* The waits of one kind that have ended. */
typedef struct tn_metrics_wait {
    char name[24];     /* what was waited for, as in dumps; empty: the entry is not used */
    uint64_t count;    /* how often */
    uint64_t total_ns; /* for how long, all waits together; each to within a few hundred microseconds */
} tn_metrics_wait;

/* The classes of jobs of the pool: functions of the program, calls on files, lookups of names. */
enum { TN_METRICS_JOBS, TN_METRICS_FILES, TN_METRICS_NAMES, TN_METRICS_POOL_CLASSES };

/* A snapshot. Its parts are read one after the other while the runtime goes on, so they may differ by a moment. */
typedef struct tn_metrics {
    size_t size; /* of this struct, in bytes; set by the caller */

    tn_histogram queue_delay;    /* from when a task became runnable to its run */
    tn_histogram run_length;     /* of a run of a task, until it waited, yielded or ended */
    tn_histogram poll_gap;       /* between two polls of a core's loop that its worker made without sleeping in between */
    tn_histogram timer_lateness; /* of timers; those that fire together count with the lateness of the earliest */
    tn_metrics_wait waits[TN_METRICS_WAITS];

    tn_counters counters;   /* sums of tn_runtime_counters over the cores, and of what was done outside of them */
    uint64_t tasks;         /* tasks that have not ended */
    uint64_t queued;        /* tasks in the run queues of cores */
    uint64_t injected;      /* tasks in the queue that all cores share */
    uint64_t registrations; /* descriptors that loops watch */
    uint64_t stacks;        /* stacks in use by fibers, or kept by a core for the next ones */
    uint32_t cores;         /* cores that the snapshot is about */
    uint32_t parked;        /* of these: the worker sleeps */
    uint32_t searching;     /* of these: the worker looks for work on other cores */
    uint32_t replacements;  /* threads beside the workers, for cores whose worker is stuck */

    tn_histogram pool_waited[TN_METRICS_POOL_CLASSES]; /* from the call to the start of a job; not sampled */
    tn_histogram pool_ran[TN_METRICS_POOL_CLASSES];    /* from the start to the end of a job; not sampled */
    uint64_t pool_queued[TN_METRICS_POOL_CLASSES];     /* jobs that wait for a thread */
    uint32_t pool_threads;                             /* threads of the pool */
} tn_metrics;

/* For `core` of tn_metrics_snapshot: all cores, and what happens outside of them. */
#define TN_METRICS_ALL (-1)

/* Takes a snapshot. `core`: the index of a core, or TN_METRICS_ALL. Of a single core there are the four histograms, the waits,
 * and the counters. Its gauges are `queued`, `registrations`, `cores`, `parked` and `searching`; the rest is 0. The caller sets
 * out->size. A shorter struct, of older headers, gets the members that it has. What this library does not know is 0.
 *
 * It takes no lock and allocates nothing, so it works while workers are stuck, whatever they hold. The struct has some 10 KiB.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: borrows the runtime; `out` is the caller's.
 * Errors: TN_EINVAL: there is no such core, or out->size is below that of a size_t or above a mebibyte.
 * Cancellation: no. */
TN_API int tn_metrics_snapshot(const tn_runtime *runtime, int core, tn_metrics *out);

/* Returns the lower bound of bucket `index`, in nanoseconds: the bucket counts times from there to below the bound of the next
 * one. With TN_HISTOGRAM_BUCKETS or more it returns UINT64_MAX.
 *
 * Suspends: no.
 * Callable from: anywhere, a signal handler too.
 * Ownership: none.
 * Errors: none.
 * Cancellation: no. */
TN_API uint64_t tn_histogram_bound_ns(unsigned index);

/* Returns a time that at least the fraction `q` (0 to 1) of the counted times did not exceed: the upper bound of the bucket where
 * the fraction is reached. If that is the last bucket, it returns the lower bound. An empty histogram has 0.
 *
 * Suspends: no.
 * Callable from: anywhere, a signal handler too.
 * Ownership: borrows the histogram.
 * Errors: none.
 * Cancellation: no. */
TN_API uint64_t tn_histogram_quantile_ns(const tn_histogram *histogram, double q);

#ifdef __cplusplus
}
#endif

#endif
