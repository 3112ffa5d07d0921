/* SPDX-License-Identifier: MIT */
/* Returning memory that is not needed any more to the kernel, from time to time and on demand. The thread that maintains the
 * runtime does the first: the monitor, or the thread that runs a current-thread runtime. */
#include "sched/runtime.h"
#include "sched/worker.h"

#define INTERVAL_DEFAULT_NS UINT64_C(500000000)

static uint64_t interval_of(const tn_runtime *runtime)
{
    uint64_t interval_ns = runtime->options.trim_interval_ns;

    if (interval_ns == 0)
        return INTERVAL_DEFAULT_NS;
    return interval_ns < UINT64_MAX / 2 ? interval_ns : UINT64_MAX; /* times can be added to it */
}

uint64_t tni_runtime_trim_next_ns(const tn_runtime *runtime, uint64_t now_ns)
{
    uint64_t interval_ns = interval_of(runtime);

    /* A little less, so that a worker that is woken after an interval finds that it is due. */
    return interval_ns == UINT64_MAX ? TNI_FOREVER : now_ns + interval_ns - interval_ns / 8;
}

/* Whether the worker of a core has something to trim: it has run tasks since it trimmed last, there was more, or other threads
 * have freed headers since. */
static bool wants_trim(const tni_core *core)
{
    /* Relaxed, all: hints; an idle worker changes none until it trims. */
    uint64_t seen = tni_a64_load(&core->trim_seen, TNI_RELAXED);

    return tni_a32_load(&core->trim_again, TNI_RELAXED) != 0 || tni_a64_load(&core->counts.polls, TNI_RELAXED) != seen ||
           tni_slab_has_remote(&core->slabs);
}

/* The system calls are made without the lock, because external threads that spawn or wake take it. */
static void trim_external_headers(tn_runtime *runtime)
{
    tni_list blocks;

    tni_os_mutex_lock(&runtime->injector.lock);
    runtime->external_trim_again = tni_slab_trim_begin(&runtime->external_slabs, &blocks);
    tni_os_mutex_unlock(&runtime->injector.lock);
    if (blocks.first == NULL)
        return;
    tni_slab_trim_discard(&blocks);
    tni_os_mutex_lock(&runtime->injector.lock);
    tni_slab_trim_end(&runtime->external_slabs, &blocks);
    tni_os_mutex_unlock(&runtime->injector.lock);
}

void tni_runtime_trim_if_due(tn_runtime *runtime, uint64_t now_ns)
{
    uint64_t interval_ns = interval_of(runtime);

    if (interval_ns == UINT64_MAX || now_ns - runtime->trimmed_ns < interval_ns)
        return;
    runtime->trimmed_ns = now_ns;
    tni_runtime_stacks_trim(runtime, false);
    for (unsigned i = 0; i < runtime->core_count; i++) {
        if (wants_trim(runtime->cores[i]))
            tni_worker_wake_if_parked(runtime->cores[i]);
    }
    trim_external_headers(runtime);
}

uint64_t tni_runtime_trim_due_ns(tn_runtime *runtime)
{
    uint64_t interval_ns = interval_of(runtime);
    bool wanted = runtime->external_trim_again;

    if (interval_ns == UINT64_MAX)
        return TNI_FOREVER;
    for (unsigned i = 0; i < runtime->core_count && !wanted; i++)
        wanted = wants_trim(runtime->cores[i]);
    return wanted || tni_stack_pool_has_surplus(&runtime->stacks) ? runtime->trimmed_ns + interval_ns : TNI_FOREVER;
}

void tn_runtime_trim(tn_runtime *runtime)
{
    tni_core *core;

    if (tni_runtime_is_inherited(runtime))
        return; /* its locks may be held by threads that this process does not have */
    core = tni_core_enter();
    if (core != NULL && core->runtime == runtime) {
        tni_runtime_flush_stacks(runtime, &core->stacks);
        (void)tni_slab_trim(&core->slabs);
        tni_block_cache_clear(&core->blocks, &runtime->allocator);
    }
    if (core != NULL)
        tni_core_leave();
    tni_runtime_stacks_trim(runtime, true);
}
