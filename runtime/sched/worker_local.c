/* SPDX-License-Identifier: MIT */
/* tn_worker_local: a table with a pointer for each worker thread that the runtime may ever have. A worker has a number, and only
 * its thread writes the pointer of that number, once. So a lookup takes no lock, and needs no order: it reads what the same
 * thread has written. A task cannot leave its thread between the lookup and its next suspension, also if the thread loses its
 * core.
 *
 * The table pins the runtime: a later runtime with its address, and more workers, would be taken for it. */
#include <tn/worker_local.h>

#include "base/alloc.h"
#include "base/tls.h"
#include "sched/runtime.h"

struct tn_worker_local {
    tn_runtime *runtime; /* constant, as all but the table; pinned: it may have been destroyed */
    tn_allocator allocator;
    size_t size_bytes;
    tn_worker_local_fn init;
    tn_worker_local_fn fini;
    void *arg;
    unsigned count;    /* length of the table */
    tni_aptr values[]; /* by number of the worker; NULL: none yet */
};

static size_t size_of(unsigned count)
{
    return sizeof(tn_worker_local) + count * sizeof(tni_aptr);
}

int tn_worker_local_create(tn_worker_local **out, tn_runtime *runtime, size_t size_bytes, tn_worker_local_fn init,
                           tn_worker_local_fn fini, void *arg)
{
    unsigned count = runtime->core_count + tni_worker_replacements_max(runtime);
    tn_worker_local *local;

    *out = NULL;
    if (size_bytes == 0)
        return TN_EINVAL;
    if (size_bytes > SIZE_MAX - TNI_CACHE_LINE)
        return TN_ENOMEM;
    local = tni_alloc(&runtime->allocator, size_of(count), _Alignof(tn_worker_local));
    if (local == NULL)
        return TN_ENOMEM;
    tni_runtime_pin(runtime);
    local->runtime = runtime;
    local->allocator = runtime->allocator;
    local->size_bytes = (size_bytes + TNI_CACHE_LINE - 1) / TNI_CACHE_LINE * TNI_CACHE_LINE;
    local->init = init;
    local->fini = fini;
    local->arg = arg;
    local->count = count;
    for (unsigned i = 0; i < count; i++)
        tni_aptr_init(&local->values[i], NULL);
    *out = local;
    return 0;
}

/* Out of line, so that the usual path needs no frame. */
__attribute__((noinline)) static void *make_value(tn_worker_local *local, tni_worker *worker)
{
    void *value = tni_alloc(&local->allocator, local->size_bytes, TNI_CACHE_LINE); /* all zero */

    if (value == NULL)
        return NULL;
    if (local->init != NULL)
        local->init(value, local->arg);
    tni_assert(tni_tls_get()->worker == worker, "tn_worker_local: `init` has suspended");
    /* Release: publishes the value as `init` left it; partner: tn_worker_local_each. Weaker: that could visit one without it. */
    tni_aptr_store(&local->values[worker->number], value, TNI_RELEASE);
    return value;
}

void *tn_worker_local_get(tn_worker_local *local)
{
    const tni_tls *tls = tni_tls_get();
    void *value;

    if (tni_unlikely(tls->worker == NULL || tls->task == NULL || tls->runtime != local->runtime))
        return NULL;
    tni_debug_assert(tls->worker->number < local->count, "more worker threads than the runtime may have");
    value = tni_aptr_load(&local->values[tls->worker->number], TNI_RELAXED); /* relaxed: own word */
    return tni_likely(value != NULL) ? value : make_value(local, tls->worker);
}

void tn_worker_local_each(tn_worker_local *local, tn_worker_local_fn visit, void *arg)
{
    for (unsigned i = 0; i < local->count; i++) {
        /* Acquire: observes the value as `init` left it; partner: make_value. */
        void *value = tni_aptr_load(&local->values[i], TNI_ACQUIRE);
        if (value != NULL)
            visit(value, arg);
    }
}

void tn_worker_local_destroy(tn_worker_local *local)
{
    tn_allocator allocator;
    tn_runtime *runtime;

    if (local == NULL)
        return;
    allocator = local->allocator;
    runtime = local->runtime;
    for (unsigned i = 0; i < local->count; i++) {
        void *value = tni_aptr_load(&local->values[i], TNI_ACQUIRE); /* acquire: as in tn_worker_local_each */
        if (value != NULL && local->fini != NULL)
            local->fini(value, local->arg);
        tni_free(&allocator, value, local->size_bytes);
    }
    tni_free(&allocator, local, size_of(local->count));
    tni_runtime_unpin(runtime);
}
