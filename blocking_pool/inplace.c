#include "inplace.h"

#include "checkpoint.h"
#include "local.h"
#include "os_file.h"
#include "pool.h"
#include "run.h"

/* A file was on a file system that may let its callers wait: so long everything goes through the pool. */
#define CLOSED_NS TN_S

bool tni_inplace_may_read(void)
{
    const tni_local *local = tni_local_get();

    return local->task != NULL && local->task->kind == TNI_TASK_FIBER && tni_checkpoint() == 0;
}

/* Only where the core of one that waits after all would be given to another thread, and nobody is bound to this one. */
static bool may_wait_here(const tn_runtime *runtime)
{
    const tni_worker *worker = tni_local_get()->worker;

    return worker != NULL && worker->owns_thread && !worker->is_home && runtime->options.stuck_after_ns != TNI_FOREVER;
}

bool tni_inplace_begin(tni_inplace *self)
{
    tn_runtime *runtime;
    int error;

    self->pool = NULL;
    if (!tni_inplace_may_read())
        return false;
    runtime = tni_local_get()->task->runtime;
    self->pool = may_wait_here(runtime) ? tni_pool_of(runtime, &error) : NULL;
    if (self->pool == NULL)
        return false;
    self->began_ns = tni_clock_ns();
    /* Relaxed, all: hints. The count bounds how many may hang before one of them has come back to tell. */
    if (self->began_ns >= tni_a64_load(&self->pool->inplace.closed_until_ns, TNI_RELAXED)) {
        if (tni_a32_fetch_add(&self->pool->inplace.calls, 1, TNI_RELAXED) < runtime->core_count)
            return true;
        (void)tni_a32_fetch_sub(&self->pool->inplace.calls, 1, TNI_RELAXED);
    }
    self->pool = NULL;
    return false;
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
