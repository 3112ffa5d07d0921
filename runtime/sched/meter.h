/* SPDX-License-Identifier: MIT */
/* Measurements of tasks: how long one waits in a queue, how long its run takes, and how long it has waited for what. README.md
 * ("Measurements") has the cost.
 *
 *   becomes runnable: the sampler of the core or thread chooses it: `measured` is set, and `queued_at` is its stamp
 *   begins to run:    if `measured` is set: the queue delay is counted, and the worker's `run_began` is set
 *   leaves its run:   if `run_began` is set: the length of the run is counted */
#ifndef TNI_METER_H
#define TNI_METER_H

#include "base/histogram.h"
#include "base/sampler.h"
#include "base/tls.h"
#include "task/task.h"

/* One kind of wait. The thread that sets `key` fills `name` before it stores `ready`. */
typedef struct {
    tni_a64 key;   /* a hash of the name's text; 0: unused */
    tni_a32 ready; /* 1: `name` is there */
    char name[sizeof((tn_metrics_wait *)NULL)->name];
    tni_a64 count;
    tni_a64 total_ns;
} tni_meter_wait;

/* Of a core: written by its holder, but `waits` by any thread. Of what happens without a core: written by any thread, by
 * additions that are atomic. All zero at the start. */
typedef struct {
    tni_histogram queue_delay;
    tni_histogram run_length;
    tni_histogram poll_gap;
    tni_histogram timer_lateness;
    tni_meter_wait waits[TN_METRICS_WAITS]; /* the last entry: all that found no other one */
} tni_meter;

/* The rest of the following functions, for a task that is measured. */
void tni_meter_queued_now(tni_meter *meter, tni_sampler *sampler, tn_task *task);
void tni_meter_begun_now(tni_meter *meter, bool shared, tn_task *task, tni_stamp *run_began);
void tni_meter_left_now(tni_meter *meter, bool shared, tn_task *task, tni_stamp *run_began);

/* Holder of the core with that meter and sampler: a task that the caller owns has become runnable. */
static inline void tni_meter_queued(tni_meter *meter, tni_sampler *sampler, tn_task *task)
{
    if (tni_sampler_hits(sampler))
        tni_meter_queued_now(meter, sampler, task);
}

/* Any thread, without a core: the same. `outside`: the meter of what happens without a core. */
static inline void tni_meter_queued_outside(tni_meter *outside, tn_task *task)
{
    tni_sampler *sampler = &tni_tls_get()->sampler;

    if (tni_sampler_hits(sampler))
        tni_meter_queued_now(outside, sampler, task);
}

/* `timers` have fired, the first of them so late. */
static inline void tni_meter_timers(tni_meter *meter, uint64_t late_ns, unsigned timers)
{
    if (TNI_MEASURES && timers > 0)
        tni_histogram_add(&meter->timer_lateness, late_ns, timers);
}

/* Adds what was measured to `out`. */
void tni_meter_read(const tni_meter *meter, tn_metrics *out);

#endif
