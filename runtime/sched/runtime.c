/* SPDX-License-Identifier: MIT */
/* The tasks of a runtime: their number, a walk over them, noticing that the last one has ended. A core for callers without
 * one. */
#include "sched/runtime.h"

#include "base/splitmix64.h"
#include "base/tls.h"

tn_runtime *tn_runtime_current(void)
{
    tni_tls *local = tni_tls_get();

    if (local->task != NULL)
        return local->task->runtime;
    return local->worker != NULL ? local->worker->runtime : NULL;
}

void tni_runtime_thread_begins(const tn_runtime *runtime)
{
    if (runtime->options.on_thread_start != NULL)
        runtime->options.on_thread_start(runtime->options.thread_hook_ctx);
}

void tni_runtime_thread_ends(const tn_runtime *runtime)
{
    if (runtime->options.on_thread_stop != NULL)
        runtime->options.on_thread_stop(runtime->options.thread_hook_ctx);
}

const tn_allocator *tni_runtime_allocator(const tn_runtime *runtime)
{
    return &runtime->allocator;
}

void tni_runtime_walk_tasks(tn_runtime *runtime, void (*visit)(void *arg, tn_task *task), void *arg)
{
    for (unsigned i = 0; i < runtime->core_count && runtime->cores[i] != NULL; i++) /* NULL: its creation has failed */
        tni_slab_walk(&runtime->cores[i]->slabs, visit, arg);
    tni_slab_walk(&runtime->external_slabs, visit, arg);
}

tni_core *tni_runtime_any_core(tn_runtime *runtime)
{
    /* Relaxed: any choice is right. */
    return runtime->cores[tni_a32_fetch_add(&runtime->any_core, 1, TNI_RELAXED) % tni_idle_limit(&runtime->idle)];
}

uint64_t tni_runtime_random_seed(tn_runtime *runtime)
{
    uint64_t x = runtime->options.seed;

    if (x == 0)
        return tni_random_seed();
    /* Relaxed: only the count matters. */
    x += (tni_a32_fetch_add(&runtime->seeds, 1, TNI_RELAXED) + 1) * TNI_SPLITMIX64_STEP;
    return tni_splitmix64_mix(x) | 1;
}

uint64_t tni_runtime_live(const tn_runtime *runtime)
{
    uint64_t finished;
    uint64_t spawned;

    /* Acquire: a thread that sees an end counted sees the creations that came before it; partner: tni_count. All ends are
     * read before any creation, so the difference is never too small. It is 0 only if it was 0 at the moment between. */
    finished = tni_a64_load(&runtime->external.finished, TNI_ACQUIRE);
    for (unsigned i = 0; i < runtime->core_count; i++)
        finished += tni_a64_load(&runtime->cores[i]->counts.finished, TNI_ACQUIRE); /* acquire: as above */
    spawned = tni_a64_load(&runtime->external.spawned, TNI_ACQUIRE);                /* acquire: as above */
    for (unsigned i = 0; i < runtime->core_count; i++)
        spawned += tni_a64_load(&runtime->cores[i]->counts.spawned, TNI_ACQUIRE); /* acquire: as above */
    return spawned - finished;
}

void tni_runtime_become_quiet(tn_runtime *runtime)
{
    /* Release: destroy observes what the tasks did; partner: tni_runtime_is_quiet. */
    tni_a32_store(&runtime->quiet, 1, TNI_RELEASE);
    tni_futex_wake(&runtime->quiet, 1);
}

void tni_runtime_task_ended_closing(tn_runtime *runtime)
{
    /* Two last tasks may end on two cores at once: each one's count comes before its sum, so one of them sees both. */
    tni_fence_full();
    if (tni_runtime_live(runtime) == 0)
        tni_runtime_become_quiet(runtime);
}
