/* SPDX-License-Identifier: MIT */
/* Jobs that wait for jobs of their own pool: that not all threads do so for ever. README.md has the argument. */
#include "pool/pool_internal.h"
#include "scope/scope.h"

/* --- The look: lock held ---------------------------------------------------------------------------------------------------- */

/* All threads that could ever take a job of a user are inside of one. */
static bool all_are_inside(const tni_pool *pool)
{
    const tni_work_queue *queue = &pool->queues[TNI_POOL_JOBS];

    /* Without a further thread those elsewhere may come and take one. Relaxed: written under the lock. */
    return queue->running == queue->cap ||
           (tni_pool_is_short(pool) && tni_a32_load(&pool->threads, TNI_RELAXED) == queue->running);
}

/* Does its wait end, though the thread may not know yet? What it waits for is over, or a scope around it is cancelled: the one in
 * which it is told, or one of the job's. These are not left before tni_pool_join_end, which takes the lock. */
static bool goes_on(const tni_pool_thread *thread)
{
    return tni_done_is_set(thread->waits_for) || tni_scope_check((const tni_scope *)(const void *)thread->wait, false) != 0;
}

/* All of them wait, and none goes on. */
static bool is_stuck(const tni_pool *pool)
{
    if (pool->joining == 0 || pool->joining != pool->queues[TNI_POOL_JOBS].running || !all_are_inside(pool))
        return false;
    for (const tni_pool_thread *thread = pool->all; thread != NULL; thread = thread->next)
        if (thread->waits_for != NULL && goes_on(thread))
            return false;
    return true;
}

/* Which of them is told: the one whose deadline comes first. Its join could not succeed before that; the others may, after it. If
 * none comes before that of `thread`: this one. */
static tni_pool_thread *choose(const tni_pool *pool, tni_pool_thread *thread)
{
    for (tni_pool_thread *other = pool->all; other != NULL; other = other->next)
        if (other->waits_for != NULL && (thread == NULL || other->wait_until_ns < thread->wait_until_ns))
            thread = other;
    return thread; /* one waits: as many as are inside of jobs */
}

unsigned tni_pool_end_deadlock(tni_pool *pool, tni_pool_thread *thread)
{
    if (tni_likely(!is_stuck(pool)))
        return 0;
    thread = choose(pool, thread);
    thread->refused = true;
    tn_scope_cancel(thread->wait); /* it is left after tni_pool_join_end, which takes the lock */
    return pool->joining;
}

/* --- Waiting ---------------------------------------------------------------------------------------------------------------- */

void tni_pool_report_deadlock(tni_pool *pool, unsigned threads)
{
    tni_log_write(&pool->runtime->log, TN_LOG_ERROR,
                  "a blocking job waits for another one, as all %u that run do: none could end; have a task wait "
                  "instead, or raise blocking_threads",
                  threads);
}

void tni_pool_join_begin(tni_pool_thread *self, const tni_done *other, tn_scope *wait)
{
    tni_pool *pool = self->pool;
    unsigned stuck;

    tni_os_mutex_lock(&pool->lock);
    tni_assert(self->job->kind == TNI_POOL_JOBS, "only the jobs of users wait for others");
    pool->joining++;
    self->waits_for = other;
    self->wait = wait;
    self->wait_until_ns = tn_scope_deadline();
    stuck = tni_pool_end_deadlock(pool, self);
    tni_os_mutex_unlock(&pool->lock);
    if (stuck > 0)
        tni_pool_report_deadlock(pool, stuck);
}

bool tni_pool_join_end(tni_pool_thread *self)
{
    tni_pool *pool = self->pool;
    bool refused;

    tni_os_mutex_lock(&pool->lock);
    refused = self->refused;
    pool->joining--;
    self->waits_for = NULL;
    self->wait = NULL;
    self->refused = false;
    tni_os_mutex_unlock(&pool->lock);
    return refused;
}
