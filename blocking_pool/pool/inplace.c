/* SPDX-License-Identifier: MIT */
#include "pool/inplace.h"

#include "base/tls.h"
#include "os/os_file.h"
#include "pool/pool.h"
#include "sched/budget_fiber.h"
#include "sched/native.h"
#include "scope/checkpoint.h"

/* A file was on a file system that may let its callers wait: so long everything goes through the pool. */
#define CLOSED_NS TN_S

/* A core that is taken later than that is not taken soon. */
#define STUCK_AFTER_MAX_NS (50 * TN_MS)

bool tni_inplace_may_read(void)
{
    const tni_tls *local = tni_tls_get();

    return local->task != NULL && local->task->kind == TNI_TASK_FIBER && tni_checkpoint() == 0;
}

/* Only where the core of one that waits after all would soon be given to another thread, and nobody is bound to this one. */
static bool may_wait_here(const tn_runtime *runtime)
{
    const tni_worker *worker = tni_tls_get()->worker;

    return worker != NULL && worker->owns_thread && !worker->is_home && runtime->options.stuck_after_ns <= STUCK_AFTER_MAX_NS;
}

/* Relaxed, both: a hint. The count bounds how many may hang before one of them has come back to tell. */
static bool enter(tni_pool *pool)
{
    if (tni_a32_fetch_add(&pool->inplace.calls, 1, TNI_RELAXED) < pool->runtime->core_count)
        return true;
    (void)tni_a32_fetch_sub(&pool->inplace.calls, 1, TNI_RELAXED);
    return false;
}

/* The pool of the calling fiber, if that may wait here; else NULL. */
static tni_pool *pool_to_wait_here(void)
{
    tn_runtime *runtime;
    int error;

    if (!tni_inplace_may_read())
        return NULL;
    runtime = tni_tls_get()->task->runtime;
    return may_wait_here(runtime) ? tni_pool_of(runtime, &error) : NULL;
}

bool tni_inplace_begin(tni_inplace *self)
{
    self->pool = pool_to_wait_here();
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
    tni_pool *pool = pool_to_wait_here();

    if (pool == NULL || !tni_inline_stats_eligible(&pool->brief, fn) || tni_pool_is_closed(pool))
        return false;
    /* A cap of 1 may be there so that no two jobs run at once. By force_migration a task for which the function waits may be for
     * this worker alone. And a deadline may be over that nobody has looked at yet. */
    if (pool->queues[TNI_POOL_JOBS].cap == 1 || pool->runtime->options.force_migration || tn_checkpoint() != 0 || !enter(pool))
        return false;
    self->pool = pool;
    self->began_ns = tni_clock_ns();
    return true;
}

/* In the call the thread is one of the pool, as far as anybody can tell, but a guest: not counted, and in no list. */
void *tni_inplace_call(const tni_inplace *self, tn_job_fn fn, void *arg)
{
    tni_pool *pool = self->pool;
    tni_pool_thread guest = {.pool = pool, .is_guest = true};
    tni_native_call call = {.fn = fn, .arg = arg, .pool_thread = &guest};

    tni_native_call_make(&call);
    tni_inline_stats_record(&pool->brief, fn, tni_clock_ns() - self->began_ns);
    (void)tni_a64_fetch_add(&pool->brief.calls, 1, TNI_RELAXED); /* relaxed: a count */
    return call.result;
}

void tni_inplace_end(const tni_inplace *self)
{
    (void)tni_a32_fetch_sub(&self->pool->inplace.calls, 1, TNI_RELAXED); /* relaxed: as above */
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
    /* Relaxed, all: hints; of two that learn at once one may be forgotten. */
    if (tni_os_is_local(fd)) {
        uint32_t next = tni_a32_fetch_add(&hints->next, 1, TNI_RELAXED);
        tni_a64_store(&hints->devices[next % TNI_INPLACE_DEVICES], device, TNI_RELAXED);
    } else {
        tni_a64_store(&hints->closed_until_ns, tni_clock_ns() + CLOSED_NS, TNI_RELAXED);
    }
}
