/* SPDX-License-Identifier: MIT */
/* Shutdown of the pool. README.md ("Shutdown") has the order and its reasons. */
#include "pool/pool_internal.h"
#include "pool/pool_upcalls.h"

/* How long tni_pool_stop waits, after its deadline, for threads that are not inside a job; and for those that are. */
#define GRACE_NS (200 * TN_MS)
#define JOB_GRACE_NS (5 * TN_MS)

/* Drops the queued jobs that will never run; `all`: mandatory jobs too. Returns how many of those it has dropped. */
static size_t drop_queued(tni_pool *pool, bool all)
{
    tni_list dropped = {.first = NULL};
    size_t mandatory = 0;
    tni_list_node *next;

    tni_os_mutex_lock(&pool->lock);
    tni_pool_collect_locked(pool);
    for (unsigned kind = 0; kind < TNI_POOL_CLASSES; kind++)
        for (tni_list_node *at = pool->queues[kind].jobs.first; at != NULL; at = next) {
            tni_work *job = tni_container_of(at, tni_work, node);
            next = at->next;
            if ((job->mandatory && !all) || !tni_pool_abandon(job))
                continue; /* the thread that has abandoned it unlinks it; until it frees the slot the pool lives */
            mandatory += job->mandatory;
            tni_pool_unlink(&pool->queues[kind], job);
            pool->counts.dropped++;
            tni_list_append(&dropped, at);
        }
    tni_os_mutex_unlock(&pool->lock);
    while (dropped.first != NULL) {
        tni_work *job = tni_container_of(tni_list_take_first(&dropped), tni_work, node);
        tni_pool_class kind = job->kind;
        tni_pool_work_done(pool, job, TN_ESHUTDOWN);
        tni_os_mutex_lock(&pool->lock);
        tni_pool_free_slot_locked(pool, kind);
        tni_os_mutex_unlock(&pool->lock);
    }
    return mandatory;
}

static void close_pool(tni_pool *pool)
{
    tni_os_mutex_lock(&pool->lock);
    /* Publishes what tni_pool_stop's caller did before; partner: tni_pool_is_closed. */
    tni_a32_store(&pool->closed, 1, TNI_RELEASE);
    /* Orders `closed` before any load of the slots; partner: confirm (pool.c). */
    tni_fence_full();
    for (unsigned kind = 0; kind < TNI_POOL_CLASSES; kind++)
        while (pool->waiting[kind].first != NULL) {
            tni_list_node *node = tni_list_take_first(&pool->waiting[kind]);
            tni_pool_slot_waiter *waiter = tni_container_of(node, tni_pool_slot_waiter, node);
            tn_waker *waker = waiter->waker;
            waiter->linked = false;
            waiter->waker = NULL;
            tn_waker_wake(waker); /* its poll sees the pool closed */
        }
    tni_pool_wake_all_idle_locked(pool);
    tni_os_mutex_unlock(&pool->lock);
}

static bool wait_for_threads(tni_pool *pool, uint64_t deadline_ns)
{
    for (;;) {
        /* Observes what the threads did, as the lock below would too; partner: may_exit_locked (pool_thread.c). */
        uint32_t threads = tni_a32_load(&pool->threads, TNI_ACQUIRE);
        if (threads == 0) {
            /* A thread that may not exit after all writes 0 for a moment, under the lock. Relaxed: written under the lock. */
            tni_os_mutex_lock(&pool->lock);
            threads = tni_a32_load(&pool->threads, TNI_RELAXED);
            pool->stopped = threads == 0;
            tni_os_mutex_unlock(&pool->lock);
            if (threads == 0)
                return true;
        }
        if (deadline_ns != TNI_FOREVER && tni_clock_ns() >= deadline_ns)
            return false;
        tni_futex_wait(&pool->threads, threads, deadline_ns);
    }
}

/* Whether a thread still runs that is not inside a job. It exits soon; the others may stay for ever. */
static bool one_exits_soon(tni_pool *pool)
{
    bool exits;

    tni_os_mutex_lock(&pool->lock);
    exits = tni_a32_load(&pool->threads, TNI_RELAXED) > pool->active; /* relaxed: written under the lock */
    tni_os_mutex_unlock(&pool->lock);
    return exits;
}

/* Called when the deadline has passed. A thread that is inside a job gets a moment, in which a short job ends. */
static bool wait_for_threads_outside_jobs(tni_pool *pool)
{
    uint64_t last_ns = tni_clock_ns() + GRACE_NS;

    do {
        if (wait_for_threads(pool, tni_clock_ns() + JOB_GRACE_NS))
            return true;
    } while (one_exits_soon(pool) && tni_clock_ns() < last_ns);
    return false;
}

/* Joins the last thread that exited. Each earlier one has been joined by the thread that exited after it. */
static void join_ended(tni_pool *pool)
{
    tni_pool_thread *ended;

    tni_os_mutex_lock(&pool->lock);
    ended = pool->ended;
    pool->ended = NULL;
    tni_os_mutex_unlock(&pool->lock);
    if (ended == NULL)
        return;
    tni_thread_join(&ended->id);
    tni_os_mutex_lock(&pool->lock);
    tni_list_prepend(&pool->unused, &ended->node);
    tni_os_mutex_unlock(&pool->lock);
}

/* Called when the deadline has passed. Returns the number of jobs that are left; their threads hold the runtime until they
 * return. */
static size_t abandon_threads(tni_pool *pool)
{
    size_t left = drop_queued(pool, true);

    tni_os_mutex_lock(&pool->lock);
    left += pool->active;
    pool->abandoned = true;
    pool->stopped = true;
    while (pool->granted.first != NULL) /* their tasks may never run again, and their slots would keep the threads alive */
        tni_pool_revoke_locked(pool, tni_container_of(pool->granted.first, tni_pool_slot_waiter, node));
    for (tni_list_node *at = pool->all.first; at != NULL; at = at->next)
        tni_thread_detach(&tni_pool_member(at)->id);
    tni_os_mutex_unlock(&pool->lock);
    join_ended(pool);
    if (left > 0)
        tni_log_write(&pool->runtime->log, TN_LOG_WARNING,
                      "tn_runtime_destroy: %zu blocking jobs have not finished and are abandoned", left);
    return left;
}

size_t tni_pool_stop(tni_attachment *self, uint64_t deadline_ns)
{
    tni_pool *pool = tni_container_of(self, tni_pool, base);
    const tni_pool_thread *caller = tni_pool_current_thread();

    tni_assert(caller == NULL || caller->pool != pool, "tn_runtime_destroy in one of the runtime's own blocking jobs");
    close_pool(pool);
    (void)drop_queued(pool, false);
    if (!wait_for_threads(pool, deadline_ns) && !wait_for_threads_outside_jobs(pool))
        return abandon_threads(pool);
    join_ended(pool);
    return 0;
}

void tni_pool_fini(tni_attachment *self)
{
    tni_pool *pool = tni_container_of(self, tni_pool, base);
    tn_allocator allocator = pool->runtime->allocator;

    while (pool->unused.first != NULL)
        tni_free(&allocator, tni_pool_member(tni_list_take_first(&pool->unused)), sizeof(tni_pool_thread));
    tni_lookups_release(tni_aptr_load(&pool->lookups, TNI_RELAXED)); /* relaxed: no other thread uses the pool any more */
    tni_os_mutex_fini(&pool->lock);
    tni_free(&allocator, pool, sizeof *pool);
}
