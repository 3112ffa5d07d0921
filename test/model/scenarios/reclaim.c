/* SPDX-License-Identifier: MIT */
/* A thread that finds no memory makes the shipped worker give what its core does not use, while the worker runs, goes to sleep or
 * sleeps; and fibers that begin to wait for a stack, while another thread holds the last one to give it back. */
#include "base/tls.h"
#include "model.h"
#include "sched/worker.h"
#include "small_runtime.h"

typedef struct {
    tn_runtime *runtime;
    tni_stack *used; /* keeps its slab mapped */
    tn_task *fiber;  /* it waits for a stack, or has got one */
} scene;

static tni_core *core_of(const scene *s)
{
    return s->runtime->cores[0];
}

static void setup(void *state)
{
    scene *s = state;

    s->runtime = small_runtime_create();
    model_name_of(s->runtime->reclaim.round);
    model_name_of(s->runtime->reclaim.changes);
    model_name_of(s->runtime->stacks.waiters);
    model_name_of(core_of(s)->reclaimed);
}

/* The core has free headers. */
static void setup_headers(void *state)
{
    tni_slab_cache *slabs;

    setup(state);
    slabs = &core_of(state)->slabs;
    tni_slab_free(slabs, tni_slab_alloc(slabs));
}

/* There is one stack that is not in use: in the cache of the core, or in the pool. */
static void make_stack(scene *s, tni_stack_cache *cache)
{
    tni_stack *stack;

    s->runtime->stacks.config.stacks_max = 2;
    s->runtime->stacks.cache_max = 1;
    model_check(tni_stack_get(&s->runtime->stacks, NULL, 0, &s->used) == 0);
    model_check(tni_stack_get(&s->runtime->stacks, NULL, 0, &stack) == 0);
    tni_stack_put(&s->runtime->stacks, cache, stack);
    s->fiber = model_alloc(sizeof *s->fiber, _Alignof(tn_task));
    s->fiber->kind = TNI_TASK_FIBER;
    s->fiber->runtime = s->runtime;
    tni_task_publish(s->fiber, 1);
}

static void setup_cached(void *state)
{
    setup(state);
    make_stack(state, &core_of(state)->stacks);
}

static void setup_idle(void *state)
{
    setup(state);
    make_stack(state, NULL);
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

static void work(void *state)
{
    tni_worker_drive(((scene *)state)->runtime->workers, NULL, TNI_FOREVER);
}

/* Like alloc_external in spawn.c. The model has no limit on the wait. */
static void need_header(void *state)
{
    scene *s = state;
    tn_runtime *runtime = s->runtime;
    tn_task *task;

    tni_reclaim_memory(runtime, NULL);
    tni_os_mutex_lock(&runtime->injector.lock);
    task = tni_reclaim_header(runtime, &runtime->external_slabs);
    tni_os_mutex_unlock(&runtime->injector.lock);
    model_check(task != NULL);
    tni_slab_free(NULL, task);
    tni_a32_store(&runtime->quiet, 1, TNI_RELEASE);
    tni_worker_unpark(runtime->workers);
}

/* Like bind_stack in run.c, for a fiber that has found none. */
static void need_stack(void *state)
{
    scene *s = state;

    tni_runtime_wait_for_stack(s->runtime, s->fiber);
}

static void flush(void *state)
{
    scene *s = state;

    tni_runtime_flush_stacks(s->runtime, &core_of(s)->stacks);
}

static void trim(void *state)
{
    tni_runtime_stacks_trim(((scene *)state)->runtime, true);
}

/* --- Ends ------------------------------------------------------------------------------------------------------------------- */

static void finish(void *state)
{
    small_runtime_destroy(((scene *)state)->runtime);
}

/* The fiber has the stack, and is queued. */
static void finish_fiber(void *state)
{
    scene *s = state;
    tn_task *queued;

    model_check(s->fiber->body.fiber.stack != NULL && s->fiber->error == 0);
    model_check(tni_injector_take(&s->runtime->injector, &queued, 1) == 1);
    tni_stack_put(&s->runtime->stacks, NULL, s->fiber->body.fiber.stack);
    tni_stack_put(&s->runtime->stacks, NULL, s->used);
    model_free(s->fiber);
    finish(s);
}

#define CASE(what, before, after, ...) \
    { \
        .name = "reclaim." what, .state_bytes = sizeof(scene), .setup = before, .threads = {__VA_ARGS__}, .finish = after, \
        .no_chance = true \
    }

const model_scenario model_scenarios[] = {
    CASE("header", setup_headers, finish, work, need_header),
    CASE("flush_beside_waiter", setup_cached, finish_fiber, flush, need_stack),
    CASE("trim_beside_waiter", setup_idle, finish_fiber, trim, need_stack),
    {0},
};
