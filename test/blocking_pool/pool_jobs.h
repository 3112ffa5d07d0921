/* SPDX-License-Identifier: MIT */
/* Helpers for the tests of the pool: jobs that count, jobs that wait at a gate, a runtime with a small pool. */
#ifndef TT_POOL_JOBS_H
#define TT_POOL_JOBS_H

#include <stdatomic.h>

#include <tn/blocking.h>

#include "support/runtime.h"

static inline void *count_up(void *arg)
{
    atomic_fetch_add((atomic_long *)arg, 1);
    return arg;
}

static inline tn_blocking_counters counters(tn_runtime *runtime)
{
    tn_blocking_counters out = {.size = sizeof out};

    tt_check(tn_runtime_blocking(runtime, &out) == 0);
    return out;
}

/* `threads`, `queue`: 0 means the default. */
static inline tn_runtime *runtime_with(unsigned threads, size_t queue)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    options.blocking_threads = threads;
    options.blocking_queue_max = queue;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    return runtime;
}

/* A job that opens one gate when it begins and ends when another gate opens. */
typedef struct {
    tt_gate begun;
    tt_gate end;
} blocker;

/* clang-format off */
#define BLOCKER_INIT {TT_GATE_INIT, TT_GATE_INIT}
/* clang-format on */

static inline void *block(void *arg)
{
    blocker *self = arg;

    tt_gate_open(&self->begun);
    tt_gate_wait(&self->end, 1);
    return arg;
}

#endif
