/* SPDX-License-Identifier: MIT */
/* Cores: creating and freeing them, choosing one for a new registration, and polling the loop and timers of a core. */
#include "sched/core.h"

#include "base/tls.h"
#include "sched/runtime.h"
#include "sched/worker.h"

int tni_core_init(tni_core *core, tn_runtime *runtime, unsigned index)
{
    core->runtime = runtime;
    core->index = index;
    core->ticks_period = TNI_TICKS_MAX;
    tni_a32_init(&core->ticks_left, TNI_TICKS_MAX);
    core->polled_ns = tni_clock_ns();
    core->shares_taken_ns = core->polled_ns;
    tni_a64_init(&core->clock_read_ns, core->polled_ns);
    core->clock_read_runs = 0;
    core->run_ns = TNI_BACKLOG_NS;
    core->random = tni_runtime_random_seed(runtime);
    core->lifo_streak = 0;
    tni_a64_init(&core->share_end[0], 0);
    tni_a64_init(&core->share_end[1], 0);
    core->trim_due_ns = core->polled_ns;
    tni_a32_init(&core->trim_again, 0);
    tni_a64_init(&core->trim_seen, 0);
    tni_a32_init(&core->reclaimed, tni_a32_load(&runtime->reclaim.round, TNI_RELAXED)); /* relaxed: no other thread yet */
    core->batching = false;
    core->batch = 0;
    tni_slab_cache_init(&core->slabs, &runtime->allocator, index, runtime->core_count + 1);
    core->blocks = (tni_block_cache){0};
    tni_aptr_init(&core->worker, NULL);
    tni_aptr_init(&core->lifo_slot, NULL);
    tni_a32_init(&core->serving, 0);
    tni_deque_init(&core->queues[0]);
    tni_deque_init(&core->queues[1]);
    tni_injector_init(&core->starts);
    tni_timers_init(&core->timers);
    return tni_driver_init(&core->driver, &runtime->allocator);
}

void tni_core_fini(tni_core *core)
{
    tni_timers_fini(&core->timers);
    tni_block_cache_clear(&core->blocks, &core->runtime->allocator);
    tni_injector_fini(&core->starts);
    tni_slab_cache_fini(&core->slabs);
}

tni_core *tni_core_enter(void)
{
    tni_worker *worker = tni_tls_get()->worker;

    return worker == NULL ? NULL : tni_worker_enter(worker);
}

void tni_core_leave(void)
{
    tni_worker_leave(tni_tls_get()->worker);
}

void tni_core_free_task(const tni_tls *local, tn_task *task)
{
    tni_core *core = local->runtime == task->runtime ? tni_worker_enter(local->worker) : NULL;

    tni_slab_free(core != NULL ? &core->slabs : NULL, task);
    if (core != NULL)
        tni_worker_leave(local->worker);
}

static uint32_t load_of(const tni_core *core)
{
    return tni_a32_load(&core->driver.registrations, TNI_RELAXED); /* a hint */
}

static tni_core *choose_core(tn_runtime *runtime, tni_core *own)
{
    tni_core *least = own;
    uint32_t own_load = load_of(own);
    uint32_t least_load = own_load;

    for (unsigned i = 0; i < tni_idle_limit(&runtime->idle); i++) {
        uint32_t load = load_of(runtime->cores[i]);
        if (load < least_load) {
            least_load = load;
            least = runtime->cores[i];
        }
    }
    return least_load + TNI_REGISTRATIONS_SLACK < own_load ? least : own;
}

tni_driver *tni_core_choose_driver(tn_runtime *runtime)
{
    tni_core *core = tni_core_enter();
    bool is_own = core != NULL && core->runtime == runtime && !tni_idle_is_reserve(&runtime->idle, core->index);
    tni_core *chosen = choose_core(runtime, is_own ? core : tni_runtime_any_core(runtime));

    if (core != NULL)
        tni_core_leave();
    return &chosen->driver;
}

void tni_core_wake_driver(tni_driver *driver)
{
    tni_worker_wake_if_parked(tni_container_of(driver, tni_core, driver));
}

void tni_core_arm_timer(tni_core *core, tn_task *task)
{
    if (core == NULL)
        core = tni_runtime_any_core(task->runtime);
    if (tni_timer_arm(&core->timers, task))
        tni_worker_wake_if_parked(core);
}

/* Enters the core of the calling thread, if blocks of the allocator may be in its cache; otherwise NULL. A block is only memory
 * of its allocator, so it may come from one runtime and go to another one. */
static tni_core *enter_for_block(const tn_allocator *allocator)
{
    tni_core *core = tni_core_enter();
    const tn_allocator *own;

    if (core == NULL)
        return NULL;
    own = &core->runtime->allocator;
    if (own->alloc == allocator->alloc && own->free == allocator->free && own->ctx == allocator->ctx)
        return core;
    tni_core_leave();
    return NULL;
}

void *tni_core_block_alloc(const tn_allocator *allocator)
{
    tni_core *core = enter_for_block(allocator);
    void *block = NULL;

    if (core != NULL) {
        block = tni_block_cache_take(&core->blocks);
        tni_core_leave();
    }
    return block != NULL ? block : tni_alloc_uninitialized(allocator, TNI_BLOCK_BYTES, _Alignof(max_align_t));
}

void tni_core_block_free(const tn_allocator *allocator, void *block)
{
    tni_core *core = enter_for_block(allocator);
    bool is_kept = false;

    if (core != NULL) {
        is_kept = tni_block_cache_put(&core->blocks, block);
        tni_core_leave();
    }
    if (!is_kept)
        tni_free(allocator, block, TNI_BLOCK_BYTES);
}

unsigned tni_core_poll(tni_core *core, uint64_t now_ns)
{
    tn_runtime *runtime = core->runtime;
    uint64_t late_ns = 0;
    unsigned fired = tni_timers_fire(&core->timers, now_ns, &late_ns);

    if (fired > 0) {
        tni_count_shared(&runtime->external.timers_fired, fired);
        tni_histogram_add_shared(&runtime->outside.timer_lateness, late_ns, fired);
    }
    if (tni_driver_try_own(&core->driver)) {
        tni_driver_poll(&core->driver);
        tni_driver_disown(&core->driver);
        tni_count_shared(&runtime->external.driver_polls, 1);
    }
    return fired;
}
