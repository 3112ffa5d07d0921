/* SPDX-License-Identifier: MIT */
/* The end of a pool. README.md ("Shutdown") has the order and why. */
#include "pool/pool_internal.h"

/* Takes out of the queues what will never run. `all`: mandatory jobs too. Answers how many of those. */
static size_t drop_queued(tni_pool *pool, bool all)
{
    tni_work *dropped = NULL;
    size_t mandatory = 0;
    tni_work *next;

    tni_os_mutex_lock(&pool->lock);
    tni_pool_collect(pool);
    for (unsigned kind = 0; kind < TNI_POOL_CLASSES; kind++)
        for (tni_work *job = pool->queues[kind].first; job != NULL; job = next) {
            next = job->next;
            if ((job->mandatory && !all) || !tni_pool_abandon(job))
                continue; /* who abandoned it takes it out, and the pool stays until its place is free */
            mandatory += job->mandatory;
            tni_pool_unlink(&pool->queues[kind], job);
            pool->counts.dropped++;
            job->next = dropped;
            dropped = job;
        }
    tni_os_mutex_unlock(&pool->lock);
    for (; dropped != NULL; dropped = next) {
        tni_pool_class kind = dropped->kind;
        next = dropped->next;
        tni_pool_work_done(pool, dropped, TN_ESHUTDOWN);
        tni_os_mutex_lock(&pool->lock);
        tni_pool_free_slot(pool, kind);
        tni_os_mutex_unlock(&pool->lock);
    }
    return mandatory;
}

static void close_pool(tni_pool *pool)
{
    tni_os_mutex_lock(&pool->lock);
    /* Release: partner: tni_pool_is_closed. */
    tni_a32_store(&pool->closed, 1, TNI_RELEASE);
    /* Orders it before any look at the places; partner: confirm (pool.c). */
    tni_fence_full();
    for (unsigned kind = 0; kind < TNI_POOL_CLASSES; kind++) {
        for (tni_pool_slot_waiter *room = pool->waiting[kind].first; room != NULL; room = pool->waiting[kind].first) {
            tn_waker *waker = room->waker;
            pool->waiting[kind].first = room->next;
            room->linked = false;
            room->waker = NULL;
            tn_waker_wake(waker); /* it finds the pool closed */
        }
        pool->waiting[kind].last = NULL;
    }
    tni_pool_wake_all_idle(pool);
    tni_os_mutex_unlock(&pool->lock);
}

static bool wait_for_threads(tni_pool *pool, uint64_t deadline_ns)
{
    for (;;) {
        /* Acquire: what the threads did; the lock that follows would do as well. Partner: leave (pool_thread.c). */
        uint32_t threads = tni_a32_load(&pool->threads, TNI_ACQUIRE);
        if (threads == 0) {
            /* One that may not leave after all writes 0 for a moment, but under the lock. Relaxed: so do we. */
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

/* The thread that left last; the others have been joined by those who left after them. */
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
    ended->next = pool->unused;
    pool->unused = ended;
    tni_os_mutex_unlock(&pool->lock);
}

/* Answers how many jobs are left. Their threads hold the runtime until they come back. */
static size_t give_up(tni_pool *pool)
{
    size_t left = drop_queued(pool, true);

    tni_os_mutex_lock(&pool->lock);
    left += pool->active;
    pool->given_up = true;
    pool->stopped = true;
    while (pool->granted.first != NULL) /* tasks that may never run again, and their places would keep the threads */
        tni_pool_revoke(pool, pool->granted.first);
    for (tni_pool_thread *thread = pool->all; thread != NULL; thread = thread->next)
        tni_thread_detach(&thread->id);
    tni_os_mutex_unlock(&pool->lock);
    join_ended(pool);
    if (left > 0)
        tni_log_write(&pool->runtime->log, TN_LOG_WARNING,
                      "tn_runtime_destroy: %zu blocking jobs are not done, and are left behind", left);
    return left;
}

size_t tni_pool_stop(tni_attachment *self, uint64_t deadline_ns)
{
    tni_pool *pool = tni_container_of(self, tni_pool, base);
    const tni_pool_thread *caller = tni_pool_thread_current();

    tni_assert(caller == NULL || caller->pool != pool, "tn_runtime_destroy in one of the runtime's own blocking jobs");
    close_pool(pool);
    (void)drop_queued(pool, false);
    if (!wait_for_threads(pool, deadline_ns))
        return give_up(pool);
    join_ended(pool);
    return 0;
}

void tni_pool_fini(tni_attachment *self)
{
    tni_pool *pool = tni_container_of(self, tni_pool, base);
    tn_allocator allocator = pool->runtime->allocator;

    while (pool->unused != NULL) {
        tni_pool_thread *thread = pool->unused;
        pool->unused = thread->next;
        tni_free(&allocator, thread, sizeof *thread);
    }
    tni_os_mutex_fini(&pool->lock);
    tni_free(&allocator, pool, sizeof *pool);
}
