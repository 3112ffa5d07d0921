/* SPDX-License-Identifier: MIT */
/* Jobs that join jobs of their own pool, and the detection of deadlocks among them. README.md has the argument. */
#include "pool/pool_internal.h"
#include "scope/scope.h"

/* --- Deadlock detection --------------------------------------------------------------------------------------------------- */

/* Whether all threads that could ever take a user job are running one. */
static bool all_in_jobs_locked(const tni_pool *pool)
{
    const tni_work_queue *queue = &pool->queues[TNI_POOL_JOBS];

    tni_os_mutex_assert_held(&pool->lock);
    /* While another thread can be started, a thread in a job of another class may take a user job later. Relaxed: written under
     * the lock. */
    return queue->running == queue->cap ||
           (tni_pool_is_short_locked(pool) && tni_a32_load(&pool->threads, TNI_RELAXED) == queue->running);
}

/* Whether the wait of the thread's job has ended, even if the thread has not noticed it yet: the other job is done, or a scope
 * around the wait is cancelled. That may be `wait_scope` or a scope that the job has entered. All of them stay entered until
 * tni_pool_join_end, which takes the lock. */
static bool will_resume_locked(const tni_pool_thread *thread)
{
    tni_os_mutex_assert_held(&thread->pool->lock);
    return tni_done_is_set(thread->waits_for) || tni_scope_peek((const tni_scope *)(const void *)thread->wait_scope, false) != 0;
}

/* Whether all running user jobs wait for other jobs, and none of these waits has ended. */
static bool all_wait_locked(const tni_pool *pool)
{
    tni_os_mutex_assert_held(&pool->lock);
    if (pool->joining == 0 || pool->joining != pool->queues[TNI_POOL_JOBS].running || !all_in_jobs_locked(pool))
        return false;
    for (tni_list_node *at = pool->all.first; at != NULL; at = at->next) {
        const tni_pool_thread *thread = tni_pool_member(at);
        if (thread->waits_for != NULL && will_resume_locked(thread))
            return false;
    }
    return true;
}

/* Returns the thread whose join fails: the one with the earliest deadline. In the deadlock its join cannot succeed before that
 * deadline, while the other joins may succeed after it. If no deadline is earlier than that of `thread`, returns `thread`;
 * NULL: no thread is preferred. */
static tni_pool_thread *choose_joiner_locked(const tni_pool *pool, tni_pool_thread *thread)
{
    tni_os_mutex_assert_held(&pool->lock);
    for (tni_list_node *at = pool->all.first; at != NULL; at = at->next) {
        tni_pool_thread *other = tni_pool_member(at);
        if (other->waits_for != NULL && (thread == NULL || other->wait_until_ns < thread->wait_until_ns))
            thread = other;
    }
    return thread; /* not NULL: at least one waits, because `joining` is not 0 */
}

unsigned tni_pool_end_deadlock_locked(tni_pool *pool, tni_pool_thread *thread)
{
    tni_os_mutex_assert_held(&pool->lock);
    if (tni_likely(!all_wait_locked(pool)))
        return 0;
    thread = choose_joiner_locked(pool, thread);
    thread->deadlocked = true;
    tn_scope_cancel(thread->wait_scope); /* still entered: it is left after tni_pool_join_end, which takes the lock */
    return pool->joining;
}

/* --- Joining ---------------------------------------------------------------------------------------------------------------- */

void tni_pool_report_deadlock(tni_pool *pool, unsigned threads)
{
    tni_os_mutex_assert_not_held(&pool->lock);
    tni_log_write(&pool->runtime->log, TN_LOG_ERROR,
                  "blocking pool: deadlock: all %u running jobs wait for other jobs of the pool; join in a task instead, or "
                  "raise blocking_threads",
                  threads);
}

void tni_pool_join_begin(tni_pool_thread *self, const tni_done *other, tn_scope *wait)
{
    tni_pool *pool = self->pool;
    unsigned deadlocked;

    tni_os_mutex_lock(&pool->lock);
    tni_assert(self->job->kind == TNI_POOL_JOBS, "only the jobs of users wait for others");
    pool->joining++;
    self->waits_for = other;
    self->wait_scope = wait;
    self->wait_until_ns = tn_scope_deadline();
    deadlocked = tni_pool_end_deadlock_locked(pool, self);
    tni_os_mutex_unlock(&pool->lock);
    if (deadlocked > 0)
        tni_pool_report_deadlock(pool, deadlocked);
}

bool tni_pool_join_end(tni_pool_thread *self)
{
    tni_pool *pool = self->pool;
    bool deadlocked;

    tni_os_mutex_lock(&pool->lock);
    deadlocked = self->deadlocked;
    pool->joining--;
    self->waits_for = NULL;
    self->wait_scope = NULL;
    self->deadlocked = false;
    tni_os_mutex_unlock(&pool->lock);
    return deadlocked;
}
