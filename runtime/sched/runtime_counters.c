/* SPDX-License-Identifier: MIT */
/* Public functions that return the number of workers, the number of tasks, and the counters of a core. */
#include "base/count.h"

#include "sched/runtime.h"

unsigned tn_runtime_workers(const tn_runtime *runtime)
{
    return runtime->core_count;
}

size_t tn_runtime_tasks(const tn_runtime *runtime)
{
    return (size_t)tni_runtime_live(runtime);
}

int tn_runtime_counters(const tn_runtime *runtime, unsigned index, tn_counters *out)
{
    const tni_counts *counts;

    if (index > runtime->core_count)
        return TN_EINVAL;
    counts = index == runtime->core_count ? &runtime->external : &runtime->cores[index]->counts;
    /* Relaxed, all of them: statistics, read without synchronization. */
    out->spawned = tni_a64_load(&counts->spawned, TNI_RELAXED);
    out->finished = tni_a64_load(&counts->finished, TNI_RELAXED);
    out->polls = tni_a64_load(&counts->polls, TNI_RELAXED);
    out->steals = tni_a64_load(&counts->steals, TNI_RELAXED);
    /* Relaxed: as above. */
    out->steal_attempts = tni_a64_load(&counts->steal_attempts, TNI_RELAXED);
    out->parks = tni_a64_load(&counts->parks, TNI_RELAXED);
    out->wakes = tni_a64_load(&counts->wakes, TNI_RELAXED);
    out->overflows = tni_a64_load(&counts->overflows, TNI_RELAXED);
    /* Relaxed: as above. */
    out->injector_takes = tni_a64_load(&counts->injector_takes, TNI_RELAXED);
    out->driver_polls = tni_a64_load(&counts->driver_polls, TNI_RELAXED);
    out->timers_fired = tni_a64_load(&counts->timers_fired, TNI_RELAXED);
    out->cores_handed_over = tni_a64_load(&counts->cores_handed_over, TNI_RELAXED);
    out->stack_used_max_bytes = tni_a64_load(&counts->stack_used_max_bytes, TNI_RELAXED);
    /* Relaxed: as above. */
    out->driver_events = index == runtime->core_count ? 0 : tni_a64_load(&runtime->cores[index]->driver.events, TNI_RELAXED);
    return 0;
}

uint64_t tni_runtime_runs(const tn_runtime *runtime)
{
    uint64_t sum = tni_a64_load(&runtime->external.polls, TNI_ACQUIRE); /* on workers without a core; acquire: as below */

    for (unsigned i = 0; i < runtime->core_count; i++)
        /* Acquire: what follows observes that a task whose run is in the sum runs, or has run; partner: tni_count. Weaker, a
         * check for cycles could take it for one that still rests. */
        sum += tni_a64_load(&runtime->cores[i]->counts.polls, TNI_ACQUIRE);
    return sum;
}
