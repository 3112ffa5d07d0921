/* SPDX-License-Identifier: MIT */
/* tn_metrics_snapshot: what is measured and counted all the time, read without a lock. */
#include <tn/metrics.h>
#include <tn/task.h>

#include <string.h>

#include "base/result.h"
#include "sched/runtime.h"

static void add_counters(const tn_runtime *runtime, unsigned index, tn_metrics *out)
{
    tn_counters counters;

    (void)tn_runtime_counters(runtime, index, &counters);
    out->counters.spawned += counters.spawned;
    out->counters.finished += counters.finished;
    out->counters.polls += counters.polls;
    out->counters.steals += counters.steals;
    out->counters.steal_attempts += counters.steal_attempts;
    out->counters.parks += counters.parks;
    out->counters.wakes += counters.wakes;
    out->counters.overflows += counters.overflows;
    out->counters.injector_takes += counters.injector_takes;
    out->counters.driver_polls += counters.driver_polls;
    out->counters.driver_events += counters.driver_events;
    out->counters.timers_fired += counters.timers_fired;
    out->counters.cores_handed_over += counters.cores_handed_over;
    if (out->counters.stack_used_max_bytes < counters.stack_used_max_bytes)
        out->counters.stack_used_max_bytes = counters.stack_used_max_bytes;
}

static void add_core(const tn_runtime *runtime, unsigned index, tn_metrics *out)
{
    const tni_core *core = runtime->cores[index];

    add_counters(runtime, index, out);
    tni_meter_read(&core->meter, out);
    out->queued += tni_deque_length(&core->queues[0]) + tni_deque_length(&core->queues[1]);
    out->queued += tni_injector_length(&core->starts);
    /* Relaxed, both: statistics. */
    out->queued += tni_aptr_load(&core->lifo_slot, TNI_RELAXED) != NULL;
    out->registrations += tni_a32_load(&core->driver.registrations, TNI_RELAXED);
    out->cores++;
    out->parked += tni_idle_is_parked(&runtime->idle, index);
    out->searching += tni_idle_is_searching(&runtime->idle, index);
}

static void add_shared(const tn_runtime *runtime, tn_metrics *out)
{
    /* Observes the attachment's initialization; partner: make (pool.c). */
    const tni_attachment *attachment = tni_aptr_load(&runtime->attachment, TNI_ACQUIRE);

    add_counters(runtime, runtime->core_count, out);
    tni_meter_read(&runtime->outside, out);
    out->tasks = tni_runtime_live(runtime);
    out->injected = tni_injector_length(&runtime->injector);
    out->stacks = tni_stack_out(&runtime->stacks);
    out->replacements = tni_a32_load(&runtime->replacement_threads, TNI_RELAXED); /* relaxed: a statistic */
    if (attachment != NULL && attachment != &tni_attachment_closed)
        attachment->measure(attachment, out);
}

/* `out` is all zero. */
static void read_all(const tn_runtime *runtime, int core, tn_metrics *out)
{
    if (core != TN_METRICS_ALL) {
        add_core(runtime, (unsigned)core, out);
        return;
    }
    for (unsigned i = 0; i < runtime->core_count; i++)
        add_core(runtime, i, out);
    add_shared(runtime, out);
}

typedef struct {
    const tn_runtime *runtime;
    int core;
    tn_metrics *out;
    size_t size;
} shorter_call;

/* For callers with older headers. It needs space for a whole snapshot, which is larger than what a call may use of a fiber's
 * stack, so it runs on a thread's. */
static void *read_shorter(void *arg)
{
    const shorter_call *call = arg;
    tn_metrics all;

    memset(&all, 0, sizeof all);
    read_all(call->runtime, call->core, &all);
    tni_result_copy(call->out, call->size, &all, sizeof all);
    return NULL;
}

int tn_metrics_snapshot(const tn_runtime *runtime, int core, tn_metrics *out)
{
    size_t size = out->size;

    if (!tni_result_has_size(size) || core < TN_METRICS_ALL || core >= (int)runtime->core_count)
        return TN_EINVAL;
    if (size >= sizeof *out) {
        memset(out, 0, size); /* what newer headers have in addition stays 0 */
        out->size = size;
        read_all(runtime, core, out);
    } else {
        shorter_call call = {runtime, core, out, size};
        (void)tn_call_native(read_shorter, &call);
    }
    return 0;
}
