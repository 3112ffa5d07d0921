/* SPDX-License-Identifier: MIT */
/* Asking all cores for headers and stacks that they do not use. reclaim.h has the protocol. */
#include "sched/reclaim.h"

#include "sched/runtime.h"
#include "sched/worker.h"

void tni_reclaim_init(tni_reclaim *reclaim)
{
    tni_a32_init(&reclaim->round, 0);
    tni_a32_init(&reclaim->changes, 0);
    tni_a64_init(&reclaim->not_before_ns, 0);
}

static void announce_change(tni_reclaim *reclaim)
{
    /* Release: publishes the new round, or what the core has given; partner: wait_for_cores. */
    (void)tni_a32_fetch_add(&reclaim->changes, 1, TNI_RELEASE);
    tni_futex_wake(&reclaim->changes, INT32_MAX);
}

bool tni_reclaim_is_due(const tni_core *core)
{
    /* Relaxed, both: behind the fence of a worker that parks, which orders them after its mark; otherwise a hint. */
    uint32_t round = tni_a32_load(&core->runtime->reclaim.round, TNI_RELAXED);

    return round != tni_a32_load(&core->reclaimed, TNI_RELAXED); /* relaxed: as above */
}

void tni_reclaim_give(tni_core *core)
{
    tn_runtime *runtime = core->runtime;
    /* Relaxed: a round that begins later is another one, and `reclaimed` will differ from it. */
    uint32_t round = tni_a32_load(&runtime->reclaim.round, TNI_RELAXED);

    tni_core_assert_holder(core);
    if (round == tni_a32_load(&core->reclaimed, TNI_RELAXED)) /* relaxed: own word */
        return;
    if (core->stacks.count > 0)
        tni_runtime_flush_stacks(runtime, &core->stacks);
    tni_block_cache_clear(&core->blocks, &runtime->allocator);
    tni_slab_give(&core->slabs);
    /* Release: publishes what was given. Weaker: the requester could find the inbox empty. Partner: all_have_given. */
    tni_a32_store(&core->reclaimed, round, TNI_RELEASE);
    announce_change(&runtime->reclaim);
}

void tni_reclaim_wake(tn_runtime *runtime)
{
    announce_change(&runtime->reclaim);
}

static bool all_have_given(const tn_runtime *runtime, uint32_t round)
{
    for (unsigned i = 0; i < runtime->core_count; i++) {
        /* Acquire: observes what the core has given; partner: tni_reclaim_give. */
        uint32_t given = tni_a32_load(&runtime->cores[i]->reclaimed, TNI_ACQUIRE);
        if ((int32_t)(given - round) < 0)
            return false;
    }
    return true;
}

/* Steps 1 and 2. Returns the round. */
static uint32_t request(tn_runtime *runtime)
{
    /* Relaxed: ordered by the fence, which pairs with that of a worker that parks. */
    uint32_t round = tni_a32_fetch_add(&runtime->reclaim.round, 1, TNI_RELAXED) + 1;

    tni_stack_wait_begin(&runtime->stacks);
    tni_fence_full();
    for (unsigned i = 0; i < runtime->core_count; i++) {
        /* Relaxed: a hint, so that a worker between two tasks checks soon. */
        tni_a32_store(&runtime->cores[i]->ticks_left, 0, TNI_RELAXED);
        tni_worker_wake_if_parked(runtime->cores[i]);
    }
    announce_change(&runtime->reclaim);
    return round;
}

/* Step 3. `in_starter`: the starter calls, and the wait ends when it is needed elsewhere. */
static void wait_for_cores(tn_runtime *runtime, tni_core *own, uint32_t round, bool in_starter)
{
    uint64_t now_ns = tni_clock_ns();
    uint64_t until_ns = TNI_RECLAIM_WAIT_NS < TNI_FOREVER - now_ns ? now_ns + TNI_RECLAIM_WAIT_NS : TNI_FOREVER;

    for (;;) {
        /* Acquire: observes what came before the change; partner: announce_change. */
        uint32_t seen = tni_a32_load(&runtime->reclaim.changes, TNI_ACQUIRE);
        if (own != NULL)
            tni_reclaim_give(own);
        if (in_starter && tni_starter_is_urgent(&runtime->starter))
            return;
        if (all_have_given(runtime, round) || (until_ns != TNI_FOREVER && tni_clock_ns() >= until_ns))
            return;
        tni_futex_wait(&runtime->reclaim.changes, seen, until_ns);
    }
}

static void give_external_headers(tn_runtime *runtime)
{
    tni_os_mutex_lock(&runtime->injector.lock);
    tni_slab_give(&runtime->external_slabs);
    tni_os_mutex_unlock(&runtime->injector.lock);
}

bool tni_reclaim_is_allowed(tn_runtime *runtime)
{
    /* Relaxed: a hint that guards no data. */
    uint64_t not_before_ns = tni_a64_load(&runtime->reclaim.not_before_ns, TNI_RELAXED);

    return tni_clock_ns() >= not_before_ns;
}

static void reclaim(tn_runtime *runtime, tni_core *own, bool in_starter)
{
    give_external_headers(runtime);
    if (tni_reclaim_is_allowed(runtime)) {
        uint32_t round = request(runtime);
        wait_for_cores(runtime, own, round, in_starter);
        tni_stack_wait_end(&runtime->stacks);
    }
    tni_runtime_stacks_trim(runtime, true);
}

void tni_reclaim_memory(tn_runtime *runtime, tni_core *own)
{
    reclaim(runtime, own, false);
}

void tni_reclaim_memory_in_starter(tn_runtime *runtime)
{
    reclaim(runtime, NULL, true);
}

void tni_reclaim_memory_here(tn_runtime *runtime)
{
    tni_core *core = tni_core_enter();

    /* The core of another runtime is left before the wait: otherwise that runtime could not take it from this thread. */
    if (core != NULL && core->runtime != runtime) {
        tni_core_leave();
        core = NULL;
    }
    tni_reclaim_memory(runtime, core);
    if (core != NULL)
        tni_core_leave();
}

void tni_reclaim_found_nothing(tn_runtime *runtime)
{
    uint64_t now_ns = tni_clock_ns();

    /* A pause that runs is not prolonged, because nothing was requested in it. Relaxed, both: a hint that guards no data. */
    if (now_ns >= tni_a64_load(&runtime->reclaim.not_before_ns, TNI_RELAXED))
        tni_a64_store(&runtime->reclaim.not_before_ns, now_ns + TNI_RECLAIM_PAUSE_NS, TNI_RELAXED);
}

void *tni_reclaim_alloc(tn_runtime *runtime, size_t size_bytes, size_t align_bytes)
{
    void *ptr = tni_alloc(&runtime->allocator, size_bytes, align_bytes);

    if (tni_likely(ptr != NULL))
        return ptr;
    tni_reclaim_memory_here(runtime);
    ptr = tni_alloc(&runtime->allocator, size_bytes, align_bytes);
    if (ptr == NULL)
        tni_reclaim_found_nothing(runtime);
    return ptr;
}

tn_task *tni_reclaim_header(tn_runtime *runtime, tni_slab_cache *cache)
{
    tn_task *task = NULL;

    for (unsigned i = 0; task == NULL && i < runtime->core_count; i++)
        if (tni_slab_take_over(cache, &runtime->cores[i]->slabs))
            task = tni_slab_take(cache);
    if (task == NULL && tni_slab_take_over(cache, &runtime->external_slabs))
        task = tni_slab_take(cache);
    return task;
}
