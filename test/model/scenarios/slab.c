/* SPDX-License-Identifier: MIT */
/* Task headers: allocated by their owner, freed by any thread, and read by walks over the registry that take and release
 * references of their own. */
#include "task/slab.h"
#include "base/tls.h"
#include "model.h"
#include "sched/runtime.h"

typedef struct {
    tn_runtime runtime;
    tni_core core;
    tni_core other; /* of which the cache takes headers over */
    tni_worker owner;
    tn_task *held[2]; /* ended tasks; a waker of each is left */
    uint32_t visited;
    unsigned kept;     /* number of headers that the setup took for good */
    tni_os_mutex lock; /* the owner of the cache in trim_in_steps and spawn_locked */
} registry;

/* The calling thread is the worker that holds the core. */
static void be_owner(registry *r)
{
    r->owner.runtime = &r->runtime;
    r->owner.asymmetric = true;
    tni_aptr_init(&r->owner.core, &r->core);
    tni_tls_get()->worker = &r->owner;
    tni_tls_get()->runtime = &r->runtime;
}

/* The part of build in spawn.c on which walks depend. */
static tn_task *spawn(registry *r)
{
    tn_task *task = tni_slab_alloc(&r->core.slabs);

    model_check(task != NULL && tni_task_is_complete(task) && tni_a64_load(&task->state, TNI_RELAXED) < TNI_TASK_REF);
    task->runtime = &r->runtime;
    task->kind = TNI_TASK_FUTURE;
    tni_task_publish(task, 1);
    return task;
}

/* Releases the scheduler's reference, like tni_run_publish_end (sched/run.h). */
static void end(tn_task *task)
{
    if (tni_task_complete(task, TNI_TASK_REF) / TNI_TASK_REF == 1)
        tni_task_free(task);
}

static void setup(void *state)
{
    registry *r = state;

    r->core.runtime = &r->runtime;
    tni_slab_cache_init(&r->core.slabs, NULL, 0, 1);
    tni_slab_cache_init(&r->other.slabs, NULL, 0, 1);
    for (unsigned i = 0; i < 2; i++) {
        r->held[i] = spawn(r);
        tni_task_ref(r->held[i]);
        end(r->held[i]);
        model_name(&r->held[i]->state, 8, i == 0 ? "held0.state" : "held1.state");
    }
    model_name(&r->core.slabs.remote, 8, "slabs.remote");
    model_name(&r->core.slabs.blocks, 8, "slabs.blocks");
    model_name(&r->runtime.externals, 4, "externals");
}

/* All headers are free, and sorted: each trim finds full blocks. */
static void setup_free(void *state)
{
    registry *r = state;

    setup(state);
    tni_os_mutex_init(&r->lock);
    for (unsigned i = 0; i < 2; i++)
        tn_waker_release(tni_task_waker(r->held[i]));
    while (tni_slab_trim(&r->core.slabs) && r->core.slabs.blank.first == NULL)
        ;
}

/* Takes all headers that exist: the next one comes from those that other threads freed, or from a new block. */
static void setup_used_up(void *state)
{
    registry *r = state;

    setup(state);
    for (; r->core.slabs.free != NULL; r->kept++)
        (void)tni_slab_alloc(&r->core.slabs);
}

static void spawn_two(void *state)
{
    registry *r = state;
    tn_task *first;
    tn_task *second;

    be_owner(r);
    first = spawn(r);
    second = spawn(r);
    model_check(first != second);
    end(first);
    end(second);
}

static void spawn_again(void *state)
{
    registry *r = state;

    be_owner(r);
    end(spawn(r));
    end(spawn(r));
}

static void spawn_one(void *state)
{
    registry *r = state;

    be_owner(r);
    end(spawn(r));
}

/* Like a worker whose core is idle: twice, so that a block that is full becomes blank. */
static void trim(void *state)
{
    registry *r = state;

    be_owner(r);
    (void)tni_slab_trim(&r->core.slabs);
    (void)tni_slab_trim(&r->core.slabs);
    end(spawn(r));
    (void)tni_slab_trim(&r->core.slabs);
}

/* Like the trim of the headers of external threads, whose lock is free while pages are given back. */
static void trim_in_steps(void *state)
{
    registry *r = state;

    for (unsigned i = 0; i < 2; i++) {
        tni_list blocks;
        tni_os_mutex_lock(&r->lock);
        (void)tni_slab_trim_begin(&r->core.slabs, &blocks);
        tni_os_mutex_unlock(&r->lock);
        tni_slab_trim_discard(&blocks);
        tni_os_mutex_lock(&r->lock);
        tni_slab_trim_end(&r->core.slabs, &blocks);
        tni_os_mutex_unlock(&r->lock);
    }
}

/* An external thread; it does not own the cache when the task ends. */
static void spawn_locked(void *state)
{
    registry *r = state;
    tn_task *task;

    tni_os_mutex_lock(&r->lock);
    task = spawn(r);
    tni_os_mutex_unlock(&r->lock);
    end(task);
}

/* A core that has no memory for headers. It trims, too. */
static void take_over(void *state)
{
    registry *r = state;
    tn_task *task;

    if (!tni_slab_take_over(&r->other.slabs, &r->core.slabs))
        return;
    task = tni_slab_alloc(&r->other.slabs);
    task->runtime = &r->runtime;
    task->kind = TNI_TASK_FUTURE;
    task->hooks = NULL;
    tni_task_publish(task, 1);
    (void)tni_task_complete(task, 0);
    tni_a64_store(&task->state, TNI_TASK_COMPLETE, TNI_RELEASE);
    tni_slab_free(&r->other.slabs, task);
    while (tni_slab_trim(&r->other.slabs))
        ;
    model_check(r->other.slabs.free == NULL && r->other.slabs.partial.first == NULL && r->other.slabs.full.first == NULL);
}

static void release_first(void *state)
{
    tn_waker_release(tni_task_waker(((registry *)state)->held[0]));
}

static void release_second(void *state)
{
    tn_waker_release(tni_task_waker(((registry *)state)->held[1]));
}

/* Like cancel_if_alive in runtime_shutdown.c. */
static void cancel_if_alive(void *arg, tn_task *task)
{
    registry *r = arg;

    r->visited++;
    if (!tni_task_ref_if_alive(task))
        return;
    tn_cancel(task);
    tni_task_unref(task);
}

static void walk(void *state)
{
    registry *r = state;

    tni_slab_walk(&r->core.slabs, cancel_if_alive, r);
    model_check(r->visited >= 4);
}

/* Blank blocks are not visited. */
static void walk_any(void *state)
{
    registry *r = state;

    tni_slab_walk(&r->core.slabs, cancel_if_alive, r);
}

static void is_free(void *arg, tn_task *task)
{
    ++*(unsigned *)arg;
    model_check((tni_a64_load(&task->state, TNI_RELAXED) & ~TNI_TASK_CANCELLED) == TNI_TASK_COMPLETE);
}

static bool is_empty(const tni_slab_cache *cache)
{
    return cache->free == NULL && cache->unsorted == NULL && tni_inbox_is_empty(&cache->remote) && cache->partial.first == NULL &&
           cache->full.first == NULL && cache->blank.first == NULL;
}

/* Each header is in one of the lists once, or was taken by the setup. */
static void finish(void *state)
{
    registry *r = state;
    unsigned headers = 0;
    unsigned count = r->kept;

    for (unsigned i = 0; i < 2; i++)
        if (tni_a64_load(&r->held[i]->state, TNI_RELAXED) >= TNI_TASK_REF)
            tn_waker_release(tni_task_waker(r->held[i]));
    model_check(tni_a32_load(&r->runtime.externals, TNI_RELAXED) == 0);
    for (; !is_empty(&r->core.slabs); count++)
        (void)tni_slab_alloc(&r->core.slabs);
    tni_slab_walk(&r->core.slabs, is_free, &headers);
    model_check(count == headers);
    tni_slab_cache_fini(&r->core.slabs);
}

#define CASE(what, before, ...) \
    { \
        .name = "slab." what, .state_bytes = sizeof(registry), .setup = before, .threads = {__VA_ARGS__}, .finish = finish \
    }

const model_scenario model_scenarios[] = {
    CASE("remote", setup_used_up, spawn_two, release_first, release_second),
    CASE("take_over", setup_used_up, take_over, release_first, release_second),
    CASE("trim", setup, trim, release_first, release_second),
    CASE("trim_walk", setup, trim, walk_any, release_first),
    CASE("trim_in_steps", setup_free, trim_in_steps, spawn_locked, walk_any),
    CASE("walk", setup, spawn_again, walk),
    CASE("walk_new_block", setup_used_up, spawn_one, walk),
    CASE("walk_stale_waker", setup_used_up, spawn_one, walk, release_first),
    {0},
};
