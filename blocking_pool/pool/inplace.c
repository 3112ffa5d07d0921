/* SPDX-License-Identifier: MIT */
/* Calls that a fiber makes on its own worker although they may block: when this is allowed, and the call itself. */
#include "pool/inplace.h"

#include "base/tls.h"
#include "os/os_file.h"
#include "pool/pool.h"
#include "sched/budget_fiber.h"
#include "sched/native.h"
#include "scope/scope.h"

/* How long all opens go through the pool after a file was found on a file system whose open may block. */
#define CLOSED_NS TN_S

/* With a longer `stuck_after_ns` a blocked worker would keep its core for too long. */
#define STUCK_AFTER_MAX_NS (50 * TN_MS)

bool tni_inplace_may_read(void)
{
    const tn_task *task = tni_tls_get()->task;

    return task != NULL && task->kind == TNI_TASK_FIBER &&
           tni_scope_peek(task->body.fiber.scope, tni_task_is_cancelled(task)) == 0;
}

/* True if the core of a worker that blocks after all is soon given to another thread, and no task is pinned to this worker. */
static bool may_block_worker(const tn_runtime *runtime)
{
    const tni_worker *worker = tni_tls_get()->worker;

    return worker != NULL && worker->owns_thread && !worker->has_pinned_tasks &&
           runtime->options.stuck_after_ns <= STUCK_AFTER_MAX_NS;
}

/* Relaxed, both: a hint. The count bounds how many workers may block before the first one returns and records it. */
static bool enter(tni_pool *pool)
{
    if (tni_a32_fetch_add(&pool->inplace.calls, 1, TNI_RELAXED) < pool->runtime->core_count)
        return true;
    (void)tni_a32_fetch_sub(&pool->inplace.calls, 1, TNI_RELAXED);
    return false;
}

/* The pool of the calling fiber if the fiber may block its worker, else NULL. */
static tni_pool *pool_if_may_block(void)
{
    tn_runtime *runtime;
    int error;

    if (!tni_inplace_may_read())
        return NULL;
    runtime = tni_tls_get()->task->runtime;
    return may_block_worker(runtime) ? tni_pool_of(runtime, &error) : NULL;
}

bool tni_inplace_begin(tni_inplace *self)
{
    self->pool = pool_if_may_block();
    if (self->pool == NULL)
        return false;
    self->began_ns = tni_clock_ns();
    /* Relaxed: a hint. */
    if (self->began_ns < tni_a64_load(&self->pool->inplace.closed_until_ns, TNI_RELAXED) || !enter(self->pool))
        self->pool = NULL;
    return self->pool != NULL;
}

bool tni_inplace_begin_call(tni_inplace *self, tn_job_fn fn)
{
    tni_pool *pool = pool_if_may_block();

    if (pool == NULL || !tni_inline_stats_eligible(&pool->inline_stats, fn) || tni_pool_is_closed(pool))
        return false;
    /* In these cases the function must not run here. With a cap of 1, the program may rely on no two jobs running at once. With
     * force_migration, a task that the function waits for may be in this worker's mailbox, from which only this worker takes
     * it. tn_checkpoint reads the clock, unlike the check above, so it also finds a deadline that has passed unnoticed. */
    if (pool->queues[TNI_POOL_JOBS].cap == 1 || pool->runtime->options.force_migration || tn_checkpoint() != 0 || !enter(pool))
        return false;
    self->pool = pool;
    self->began_ns = tni_clock_ns();
    return true;
}

void *tni_inplace_run_as_thread(tni_pool *pool, tn_job_fn fn, void *arg)
{
    tni_pool_thread thread = {.pool = pool, .is_worker = true};
    tni_native_call call = {.fn = fn, .arg = arg, .pool_thread = pool != NULL ? &thread : NULL};

    tni_native_call_make(&call);
    return call.result;
}

void *tni_inplace_call(const tni_inplace *self, tn_job_fn fn, void *arg)
{
    tni_pool *pool = self->pool;
    void *result = tni_inplace_run_as_thread(pool, fn, arg);

    tni_inline_stats_record(&pool->inline_stats, fn, tni_clock_ns() - self->began_ns);
    (void)tni_a64_fetch_add(&pool->inline_stats.calls, 1, TNI_RELAXED); /* relaxed: a count */
    return result;
}

void tni_inplace_end(const tni_inplace *self)
{
    (void)tni_a32_fetch_sub(&self->pool->inplace.calls, 1, TNI_RELAXED); /* relaxed: a hint */
    tni_budget_spend_time(tni_clock_ns() - self->began_ns);
}

bool tni_inplace_knows(const tni_pool *pool, uint64_t device)
{
    for (unsigned i = 0; i < TNI_INPLACE_DEVICES; i++) {
        if (tni_a64_load(&pool->inplace.devices[i], TNI_RELAXED) == device) /* relaxed: a hint */
            return true;
    }
    return false;
}

void tni_inplace_learn(tni_pool *pool, int fd, uint64_t device)
{
    tni_inplace_hints *hints = &pool->inplace;

    if (tni_inplace_knows(pool, device))
        return;
    /* Relaxed, all: hints. If two threads record a device at the same time, one record may be lost. */
    if (tni_os_is_local(fd)) {
        uint32_t next = tni_a32_fetch_add(&hints->next, 1, TNI_RELAXED);
        tni_a64_store(&hints->devices[next % TNI_INPLACE_DEVICES], device, TNI_RELAXED);
    } else {
        tni_a64_store(&hints->closed_until_ns, tni_clock_ns() + CLOSED_NS, TNI_RELAXED);
    }
}
