/* SPDX-License-Identifier: MIT */
/* Replaces the rest of the runtime where only its blocking pool matters. Threads wait with wakers of their own, and the thread
 * that releases the last reference frees the pool, as retiring does. Defines functions of the library, so it is for one source
 * of a program. */
#ifndef TN_MODEL_POOL_ALONE_H
#define TN_MODEL_POOL_ALONE_H

#include "pool/pool_internal.h"
#include "pool/pool_upcalls.h"

#include "model.h"
#include "scope/scope.h"
#include "waker.h"

/* The one runtime of the execution; threads wait here. */
typedef struct {
    tn_runtime *runtime;
    tn_waker wakers[MODEL_SCENARIO_THREADS + 2];   /* one per thread */
    tni_a32 cancelled[MODEL_SCENARIO_THREADS + 2]; /* 1: waits of that thread are cancelled */
    bool shielded[MODEL_SCENARIO_THREADS + 2];     /* written by that thread: it waits although it is cancelled */
    unsigned abandoned; /* the wait of this thread never ends, like that of a task which destroy has abandoned */
    tni_a32 over;       /* 1: destroy has returned */
} pool_house;

static pool_house *house_of_all; /* set in setup */

static void house_open(pool_house *house, const tn_options *options)
{
    tn_runtime *runtime = model_alloc(sizeof *runtime, _Alignof(tn_runtime));

    house_of_all = house;
    house->runtime = runtime;
    runtime->options = *options;
    runtime->allocator = tni_alloc_default;
    tni_aptr_init(&runtime->attachment, NULL);
    tni_a32_init(&runtime->references, 1);
    tni_a32_init(&runtime->holds, 0);
    for (unsigned i = 0; i < MODEL_SCENARIO_THREADS + 2; i++) {
        tni_a32_init(&house->wakers[i].references, 0);
        tni_a32_init(&house->wakers[i].wakes, 0);
        tni_a32_init(&house->cancelled[i], 0);
    }
    tni_a32_init(&house->over, 0);
    model_name(&runtime->references, 4, "references");
    model_name(&runtime->attachment, 8, "attachment");
    model_name(&house->wakers, sizeof house->wakers, "wakers");
}

/* Creates the pool now instead of at the first call. */
static inline tni_pool *house_pool(pool_house *house)
{
    int error;
    tni_pool *pool = tni_pool_of(house->runtime, &error);

    model_check(pool != NULL);
    model_name(&pool->inbox, 8, "inbox");
    model_name(&pool->queued, sizeof pool->queued, "queued");
    model_name(&pool->wake_token, 4, "wake_token");
    model_name(&pool->retry_ns, 8, "retry_ns");
    model_name(&pool->threads, 4, "threads");
    model_name(&pool->closed, 4, "closed");
    model_name(&pool->lock, sizeof pool->lock, "pool.lock");
    return pool;
}

static void house_cancel(pool_house *house, unsigned thread)
{
    tn_waker *waker = &house->wakers[thread];

    tni_a32_store(&house->cancelled[thread], 1, TNI_RELEASE);
    (void)tni_a32_fetch_add(&waker->wakes, 1, TNI_RELEASE);
    tni_futex_wake(&waker->wakes, 1);
}

/* The calling thread will wait, and never run again. */
static inline void house_abandons(pool_house *house)
{
    house->abandoned = model_self();
}

static inline void house_is_over(pool_house *house)
{
    tni_a32_store(&house->over, 1, TNI_RELEASE);
    tni_futex_wake(&house->over, 1);
}

/* --- What the pool uses of the runtime -------------------------------------------------------------------------------------- */

static int wait_until_over(pool_house *house)
{
    while (tni_a32_load(&house->over, TNI_ACQUIRE) == 0)
        tni_futex_wait(&house->over, 0, TNI_FOREVER);
    return TN_ESHUTDOWN;
}

int tn_checkpoint(void)
{
    unsigned self = model_self();
    bool cancelled = tni_a32_load(&house_of_all->cancelled[self], TNI_ACQUIRE) != 0;

    return cancelled && !house_of_all->shielded[self] ? TN_ECANCELED : 0;
}

/* Like await_in_fiber: a cancellation takes precedence over a result that came with it. */
int tn_await(tn_future *future)
{
    tn_waker *waker = &house_of_all->wakers[model_self()];
    int rc;

    for (;;) {
        uint32_t seen = tni_a32_load(&waker->wakes, TNI_ACQUIRE);
        rc = TN_ECANCELED;
        if (tn_checkpoint() != 0)
            break;
        waker->task.budget = TNI_BUDGET;
        rc = future->ops->poll(future, waker);
        if (rc != TN_PENDING)
            break;
        if (house_of_all->abandoned == model_self())
            return wait_until_over(house_of_all);
        (void)waker_wait(waker, seen);
    }
    future->ops->drop(future);
    return rc;
}

/* Scopes of jobs that wait, and shields: one per thread. */
void tn_scope_enter(tn_scope *scope, uint64_t deadline_ns)
{
    model_check(deadline_ns == TN_NEVER);
    scope->opaque[0] = 1 + model_self();
}

void tn_shield_enter(tn_scope *scope, uint64_t deadline_ns)
{
    tn_scope_enter(scope, deadline_ns);
    house_of_all->shielded[model_self()] = true;
}

uint64_t tn_scope_deadline(void)
{
    return TN_NEVER;
}

/* The scope of a join. */
int tni_scope_peek(const tni_scope *scope, bool cancelled)
{
    uint64_t thread = ((const tn_scope *)(const void *)scope)->opaque[0] - 1;

    return cancelled || tni_a32_load(&house_of_all->cancelled[thread], TNI_ACQUIRE) != 0 ? TN_ECANCELED : 0;
}

void tn_scope_cancel(tn_scope *scope)
{
    model_check(scope->opaque[0] != 0); /* it has not been left yet */
    house_cancel(house_of_all, (unsigned)scope->opaque[0] - 1);
}

void tn_scope_leave(tn_scope *scope)
{
    scope->opaque[0] = 0;
    house_of_all->shielded[model_self()] = false;
    tni_a32_store(&house_of_all->cancelled[model_self()], 0, TNI_RELAXED);
}

tn_runtime *tn_runtime_current(void)
{
    return NULL;
}

__attribute__((weak)) void tni_lookups_release(void *table)
{
    (void)table;
}

void tni_runtime_thread_begins(const tn_runtime *runtime)
{
    (void)runtime;
}

void tni_runtime_thread_ends(const tn_runtime *runtime)
{
    (void)runtime;
}

/* The threads of these scenarios have the stacks of threads. */
void *tni_inplace_run_as_thread(tni_pool *pool, tn_job_fn fn, void *arg)
{
    (void)pool;
    return fn(arg);
}

/* No job of these scenarios enters a scope. */
_Noreturn void tni_scope_left_open(const tn_task *task)
{
    (void)task;
    tni_log_fatal(__FILE__, __LINE__, __func__, "a scope is left open");
}

/* The monitor is awake: scenarios that have a monitor call tni_pool_maintain. */
void tni_runtime_request_maintenance(tn_runtime *runtime)
{
    (void)runtime;
    tni_fence_full();
}

/* There are no cores. */
bool tni_reclaim_is_allowed(tn_runtime *runtime)
{
    (void)runtime;
    return true;
}

void tni_reclaim_memory_in_starter(tn_runtime *runtime)
{
    (void)runtime;
}

void tni_reclaim_memory_here(tn_runtime *runtime)
{
    (void)runtime;
}

void tni_reclaim_found_nothing(tn_runtime *runtime)
{
    (void)runtime;
}

void *tni_reclaim_alloc(tn_runtime *runtime, size_t size_bytes, size_t align_bytes)
{
    return tni_alloc(&runtime->allocator, size_bytes, align_bytes);
}

void tn_runtime_hold(tn_runtime *runtime)
{
    (void)tni_a32_fetch_add(&runtime->holds, 1, TNI_RELAXED);
}

void tn_runtime_unhold(tn_runtime *runtime)
{
    if (tni_a32_fetch_sub(&runtime->holds, 1, TNI_RELEASE) == 1)
        tni_fence_full(); /* like tni_monitor_notice */
}

void tni_runtime_retain(tn_runtime *runtime)
{
    (void)tni_a32_fetch_add(&runtime->references, 1, TNI_RELAXED);
}

void tni_runtime_release(tn_runtime *runtime)
{
    tni_attachment *attachment;

    if (tni_a32_fetch_sub(&runtime->references, 1, TNI_ACQ_REL) != 1)
        return;
    attachment = tni_aptr_load(&runtime->attachment, TNI_RELAXED);
    if (attachment != NULL)
        attachment->fini(attachment);
    model_check(tni_a32_load(&runtime->holds, TNI_RELAXED) == 0);
    model_free(runtime);
}

/* Like tn_runtime_destroy when no task is left: ends only the pool. Returns the number of jobs that were left. */
static size_t house_close(pool_house *house, uint64_t deadline_ns)
{
    void *attachment = NULL;
    size_t left = 0;

    if (!tni_aptr_cas(&house->runtime->attachment, &attachment, &tni_attachment_closed, TNI_ACQUIRE))
        left = ((tni_attachment *)attachment)->stop(attachment, deadline_ns);
    tni_runtime_release(house->runtime);
    return left;
}

/* For finish functions. Each waker that was retained has been released. */
static inline void house_check_wakers(const pool_house *house)
{
    for (unsigned i = 0; i < MODEL_SCENARIO_THREADS + 2; i++)
        model_check(tni_a32_load(&house->wakers[i].references, TNI_RELAXED) == 0);
}

#endif
