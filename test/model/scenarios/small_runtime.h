/* SPDX-License-Identifier: MIT */
/* A runtime of one core whose worker has no thread of its own, for scenarios on the shipped worker, core and driver: a thread of
 * the scenario plays the worker. */
#ifndef TN_MODEL_SMALL_RUNTIME_H
#define TN_MODEL_SMALL_RUNTIME_H

#include "model.h"
#include "sched/runtime.h"

/* In setup. */
static inline tn_runtime *small_runtime_create(void)
{
    tn_runtime *runtime;
    tn_options options = tn_options_default();
    tni_core *core;

    options.flavor = TN_CURRENT_THREAD;
    options.guard = TN_GUARD_NONE;
    options.stack_size_bytes = 16 * 1024;
    options.trim_interval_ns = UINT64_MAX; /* a worker that a scenario plays does not trim */
    model_check(tn_runtime_create(&runtime, &options) == 0);
    core = runtime->cores[0];
    model_name(&runtime->quiet, 4, "quiet");
    model_name(&runtime->idle.marks[0], 8, "idle.marks");
    model_name(&runtime->injector.length, 4, "injector.length");
    model_name(&runtime->workers->parker, 4, "parker");
    model_name(&runtime->workers->claim, 4, "claim");
    model_name(&runtime->workers->in_runtime, 4, "in_runtime");
    model_name(&runtime->workers->core, 8, "worker.core");
    model_name(&core->worker, 8, "core.worker");
    model_name(&core->driver.owned, 4, "driver.owned");
    model_name(&core->driver.inbox, 8, "driver.inbox");
    model_name(&core->driver.incomplete, 4, "driver.incomplete");
    model_name(&core->timers.lock, sizeof(tni_os_mutex), "timers.lock");
    model_name(&core->timers.next_ns, 8, "timers.next_ns");
    return runtime;
}

/* In finish. */
static inline void small_runtime_destroy(tn_runtime *runtime)
{
    model_check(tn_runtime_destroy(runtime, TN_SHUTDOWN_WAIT, TNI_FOREVER) == 0);
}

#endif
