/* SPDX-License-Identifier: MIT */
/* The threads of the pool: how one starts, takes and runs jobs, stands by, sleeps and exits. README.md has the protocols. */
#include "base/order.h"
#include "base/tls.h"
#include "pool/pool_internal.h"
#include "scope/scope.h"
#include "scope/why.h"

/* Time between two checks by the standby thread. */
#define STANDBY_NS (200 * TN_US)

/* Another thread takes a job only if jobs take longer than this on average, */
#define SHORT_RUN_NS 1000
/* and the queued jobs would keep the active threads busy for this long; */
#define BACKLOG_NS 20000
/* or if the oldest job has waited for this long. */
#define WAIT_MAX_NS TN_MS

/* --- Taking a job --------------------------------------------------------------------------------------------------------- */

/* The classes take turns, so that no number of jobs in one of them delays another. Returns the next one that has a job and is
 * below its cap; NULL: no job can be started. */
static tni_work_queue *next_queue_locked(tni_pool *pool)
{
    tni_os_mutex_assert_held(&pool->lock);
    for (unsigned i = 1; i <= TNI_POOL_CLASSES; i++) {
        tni_work_queue *queue = &pool->queues[(pool->last_turn + i) % TNI_POOL_CLASSES];
        if (queue->length > 0 && queue->running < queue->cap)
            return queue;
    }
    return NULL;
}

static void count_time(uint64_t *classes, uint64_t from_ns, uint64_t to_ns)
{
    uint64_t ns = to_ns > from_ns ? to_ns - from_ns : 0;
    unsigned class = ns > 1 ? 63 - (unsigned)__builtin_clzll(ns) : 0;

    classes[class < TN_BLOCKING_TIMES ? class : TN_BLOCKING_TIMES - 1]++;
}

static void count_in(tni_histogram *histogram, uint64_t from_ns, uint64_t to_ns)
{
    if (TNI_MEASURES)
        tni_histogram_add(histogram, to_ns > from_ns ? to_ns - from_ns : 0, 1);
}

static bool take_job_locked(tni_pool_thread *self)
{
    tni_pool *pool = self->pool;

    tni_os_mutex_assert_held(&pool->lock);
    for (;;) {
        tni_work_queue *queue = next_queue_locked(pool);
        uint32_t queued = TNI_WORK_QUEUED;
        tni_work *job;

        if (queue == NULL)
            return false;
        job = tni_pool_oldest(queue);
        tni_pool_unlink(queue, job);
        /* The CAS decides between this thread and tni_pool_abandon; the order publishes and observes nothing, because the lock
         * and the inbox do. A thread that has abandoned the job waits for the lock, and then frees the slot. */
        if (tni_a32_cas(&job->state, &queued, TNI_WORK_STARTED, TNI_ACQ_REL)) {
            tni_pool_free_slot_locked(pool, job->kind);
            queue->running++;
            pool->active++;
            pool->takes++;
            pool->last_turn = job->kind;
            self->job = job;
            self->queue = queue;
            self->detached = false;
            self->left = false;
            job->thread = self;
            return true;
        }
    }
}

/* --- The wake token ------------------------------------------------------------------------------------------------------- */

/* True: the thread holds the token again, and there is a job to start. */
static bool give_up_token_locked(tni_pool_thread *self)
{
    tni_os_mutex_assert_held(&self->pool->lock);
    self->has_token = tni_pool_release_token_locked(self->pool);
    return self->has_token;
}

/* Called when the thread has taken a job, which may block: passes the token on if more jobs can be started, else releases
 * it. */
static tni_pool_deferred pass_token_on_locked(tni_pool_thread *self)
{
    tni_pool *pool = self->pool;
    tni_pool_deferred nothing = {.wake = NULL};
    bool more = tni_pool_startable_locked(pool) > 0;

    tni_os_mutex_assert_held(&pool->lock);
    if (self->has_token) {
        if (!more && !give_up_token_locked(self))
            return nothing;
    } else if (more && tni_pool_may_retry(pool, self->now_ns)) {
        tni_pool_set_short_locked(pool, 0);
    } else if (!more || !tni_pool_try_take_token(pool)) {
        return nothing;
    }
    self->has_token = false;
    return tni_pool_wake_or_start_locked(pool);
}

/* Called when the thread found no job. If the standby thread or the threads in jobs hold the token, takes it from them. Once
 * this thread has released it, submitters wake a thread again. */
static void take_over_token_locked(tni_pool_thread *self)
{
    tni_pool *pool = self->pool;

    tni_os_mutex_assert_held(&pool->lock);
    if (pool->standby != NULL)
        pool->standby = NULL; /* a plain idle thread from now on */
    else if (tni_pool_is_short_locked(pool))
        tni_pool_set_short_locked(pool, 0);
    else
        return;
    self->has_token = true;
}

/* Whether one more thread is needed. The caller holds the token and was idle until now. */
static bool is_needed_locked(const tni_pool_thread *self)
{
    const tni_pool *pool = self->pool;
    unsigned startable = tni_pool_startable_locked(pool);

    tni_os_mutex_assert_held(&pool->lock);
    if (startable == 0)
        return false;
    if (pool->active == 0 || (self->timed_out && pool->takes == pool->seen_takes))
        return true; /* no thread is active, or the active ones are stuck */
    if (pool->run_ns >= SHORT_RUN_NS && pool->run_ns * startable / pool->active >= BACKLOG_NS)
        return true;
    for (unsigned kind = 0; kind < TNI_POOL_CLASSES; kind++) {
        const tni_work_queue *queue = &pool->queues[kind];
        if (queue->length > 0 && queue->running < queue->cap && tni_pool_oldest(queue)->queued_ns + WAIT_MAX_NS < self->now_ns)
            return true;
    }
    return false;
}

/* Whether the thread should stand by: it is not needed now, but perhaps soon. While other threads run short jobs, one idle
 * thread checks the queues periodically, so that submitters need not wake any. */
static bool is_wanted_as_standby_locked(const tni_pool_thread *self)
{
    const tni_pool *pool = self->pool;

    tni_os_mutex_assert_held(&pool->lock);
    if (pool->active == 0)
        return false;
    return tni_pool_startable_locked(pool) > 0 ||
           (pool->run_ns < BACKLOG_NS && !(self->timed_out && pool->takes == pool->seen_takes));
}

/* --- Idle threads --------------------------------------------------------------------------------------------------------- */

void tni_pool_wake_all_idle_locked(tni_pool *pool)
{
    tni_os_mutex_assert_held(&pool->lock);
    while (pool->idle.first != NULL) {
        tni_pool_thread *thread = tni_container_of(tni_list_take_first(&pool->idle), tni_pool_thread, idle_node);
        thread->has_token = thread->was_idle = pool->standby == thread;
        if (thread->has_token)
            pool->standby = NULL;
        /* Relaxed: written and read under the lock; the futex call orders the sleeper. The struct outlives the thread. */
        tni_a32_store(&thread->woken, 1, TNI_RELAXED);
        tni_futex_wake(&thread->woken, 1);
    }
}

static uint64_t after(uint64_t from_ns, uint64_t ns)
{
    return ns > TNI_FOREVER - from_ns ? TNI_FOREVER : from_ns + ns;
}

/* Called when the thread has been idle for long, or the pool is closed. True: it may exit, and is no longer counted. */
static bool may_exit_locked(tni_pool *pool)
{
    tni_os_mutex_assert_held(&pool->lock);
    /* Relaxed, all three: written under the lock. */
    uint32_t threads = tni_a32_load(&pool->threads, TNI_RELAXED);
    bool closed = tni_pool_is_closed(pool);

    tni_a32_store(&pool->threads, threads - 1, TNI_RELAXED);
    if (threads > 1 && !closed)
        return true;
    /* The last thread exits only when no slot is taken; in a closed pool this holds for every thread. Orders the count and
     * `closed` before the load of the slots: the submitter sees one of them, or its slot is seen here. Partner: confirm
     * (pool.c).
     */
    tni_fence_full();
    if (tni_pool_slots_taken(pool) == 0)
        return true;
    tni_a32_store(&pool->threads, threads, TNI_RELAXED); /* relaxed: written under the lock */
    return false;
}

/* Sleeps in the list of idle threads. True: woken, or its time as the standby thread has passed. False: it must exit. */
static bool sleep_until_woken_locked(tni_pool_thread *self)
{
    tni_pool *pool = self->pool;
    uint64_t check_ns = after(self->now_ns, STANDBY_NS);

    tni_os_mutex_assert_held(&pool->lock);
    for (;;) {
        bool standby = pool->standby == self;
        uint64_t end_ns = after(self->idle_since_ns, pool->idle_ns);
        if (!standby && (tni_pool_is_closed(pool) || self->now_ns >= end_ns)) {
            if (may_exit_locked(pool)) {
                tni_list_remove(&pool->idle, &self->idle_node);
                return false;
            }
            self->idle_since_ns = self->now_ns;
            end_ns = after(self->idle_since_ns, pool->idle_ns);
        }
        tni_os_mutex_unlock(&pool->lock);
        tni_futex_wait(&self->woken, 0, standby ? check_ns : end_ns);
        self->now_ns = tni_clock_ns();
        tni_os_mutex_lock(&pool->lock);
        /* Relaxed: written under the lock. */
        if (tni_a32_load(&self->woken, TNI_RELAXED) != 0) {
            tni_a32_store(&self->woken, 0, TNI_RELAXED); /* relaxed: written under the lock */
            return true;
        }
        if (pool->standby == self && self->now_ns >= check_ns) {
            pool->standby = NULL;
            tni_list_remove(&pool->idle, &self->idle_node);
            self->has_token = self->was_idle = self->timed_out = true;
            return true;
        }
    }
}

/* --- The loop ------------------------------------------------------------------------------------------------------------- */

/* Called when the thread holds the token and was idle until now. True: it stands by, or has released the token and there is no
 * job. */
static bool stand_by_locked(tni_pool_thread *self)
{
    tni_pool *pool = self->pool;
    bool needed = is_needed_locked(self);
    bool wanted = is_wanted_as_standby_locked(self);

    tni_os_mutex_assert_held(&pool->lock);
    self->timed_out = false;
    self->was_idle = false;
    if (needed || !wanted)
        return !needed && !give_up_token_locked(self);
    pool->seen_takes = pool->takes;
    pool->standby = self;
    self->has_token = false;
    return true;
}

/* Takes a job. False: there is none, and the thread is in the list of idle threads. */
static bool find_job_locked(tni_pool_thread *self)
{
    tni_pool *pool = self->pool;

    tni_os_mutex_assert_held(&pool->lock);
    tni_pool_collect_locked(pool);
    if (self->was_idle && stand_by_locked(self)) {
        tni_list_prepend(&pool->idle, &self->idle_node);
        return false;
    }
    if (take_job_locked(self))
        return true;
    take_over_token_locked(self);
    while (self->has_token)
        if (give_up_token_locked(self) && take_job_locked(self))
            return true;
    self->idle_since_ns = self->now_ns;
    tni_list_prepend(&pool->idle, &self->idle_node);
    return false;
}

/* Queues the job again, behind the other jobs, for its next part. False: the job is UNWANTED and must end. */
static bool requeue_locked(tni_pool *pool, tni_work *job, uint64_t now_ns)
{
    uint32_t started = TNI_WORK_STARTED;

    tni_os_mutex_assert_held(&pool->lock);
    /* Decides between the next part and the end; partner: tni_pool_withdraw_or_stop. Release: publishes what this part did to
     * the next part, and to the owner that withdraws the job. The slot and the link may follow the word: the owner waits for
     * the lock before its frame is freed, and so does a thread before it exits. */
    if (!tni_a32_cas(&job->state, &started, TNI_WORK_QUEUED, TNI_RELEASE))
        return false;
    job->queued_ns = now_ns;
    /* The count may exceed the bound for a moment. Relaxed: a count, under the lock. */
    (void)tni_a32_fetch_add(&pool->queued[job->kind], 1, TNI_RELAXED);
    tni_pool_append_locked(pool, job);
    return true;
}

/* The lock is released during the job. */
static void run_job_locked(tni_pool_thread *self, tni_pool_deferred deferred)
{
    tni_pool *pool = self->pool;
    tni_work *job = self->job;
    bool drops = tni_pool_is_closed(pool) && !job->mandatory;
    bool again = false;
    unsigned kind = job->kind;
    uint64_t began_ns;

    tni_os_mutex_assert_held(&pool->lock);
    count_time(pool->counts.waited, job->queued_ns, self->now_ns);
    count_in(&pool->waited[kind], job->queued_ns, self->now_ns);
    tni_os_mutex_unlock(&pool->lock);
    if (deferred.wake != NULL || deferred.is_short) {
        tni_pool_run_deferred(pool, deferred);
        self->now_ns = tni_clock_ns();
    }
    began_ns = self->now_ns;
    tni_order_acquire();
    tni_why_clear(tni_tls_get());
    if (!drops)
        again = job->ops->run(job);
    tni_order_release();
    tni_assert(!tni_runtime_is_inherited(pool->runtime),
               "a blocking job returns in a child of fork: end the child by _exit or exec");
    if (tni_unlikely(tni_tls_get()->scope != NULL))
        tni_scope_left_open(NULL); /* otherwise the next jobs of this thread would run inside it */
    if (!again)
        tni_pool_work_done(pool, job, drops ? TN_ESHUTDOWN : 0);
    self->now_ns = tni_clock_ns();
    tni_os_mutex_lock(&pool->lock);
    if (again && !requeue_locked(pool, job, self->now_ns)) {
        tni_os_mutex_unlock(&pool->lock);
        tni_pool_work_done(pool, job, 0);
        tni_os_mutex_lock(&pool->lock);
    }
    pool->run_ns = (7 * pool->run_ns + (self->now_ns - began_ns)) / 8;
    count_time(pool->counts.ran, began_ns, self->now_ns);
    count_in(&pool->ran[kind], began_ns, self->now_ns);
    pool->counts.started += !drops;
    pool->counts.finished += !drops;
    pool->counts.dropped += drops;
    pool->active--;
    self->job = NULL;
    if (self->detached) {
        pool->detached--;
        tni_pool_detach_left_locked(pool); /* this thread takes what can be started now */
    } else {
        self->queue->running--;
        pool->left -= self->left;
    }
}

/* Releases the lock. The thread is not counted any more (may_exit_locked). Joins the thread that exited before. */
static void exit_thread_locked(tni_pool_thread *self)
{
    tni_pool *pool = self->pool;
    tni_pool_thread *before = pool->ended;

    tni_os_mutex_assert_held(&pool->lock);
    tni_list_remove(&pool->all, &self->node);
    if (pool->abandoned) { /* detached */
        tni_list_prepend(&pool->unused, &self->node);
        before = NULL;
    } else {
        pool->ended = self;
    }
    if (tni_pool_is_closed(pool)) {
        tni_pool_wake_all_idle_locked(pool);
        tni_futex_wake(&pool->threads, 1);
    }
    tni_os_mutex_unlock(&pool->lock);
    if (before == NULL)
        return;
    tni_thread_join(&before->id);
    tni_os_mutex_lock(&pool->lock);
    tni_list_prepend(&pool->unused, &before->node);
    tni_os_mutex_unlock(&pool->lock);
}

static void *thread_main(void *arg)
{
    tni_pool_thread *self = arg;
    tni_pool *pool = self->pool;
    tn_runtime *runtime = pool->runtime;

    tni_thread_name(pool->name);
    tni_thread_mask_set(&runtime->mask);
    tni_runtime_thread_begins(runtime);
    tni_tls_get()->pool_thread = self;
    self->now_ns = tni_clock_ns();
    self->idle_since_ns = self->now_ns;
    tni_os_mutex_lock(&pool->lock);
    for (;;) {
        if (find_job_locked(self))
            run_job_locked(self, pass_token_on_locked(self));
        else if (!sleep_until_woken_locked(self))
            break;
    }
    exit_thread_locked(self);
    tni_tls_get()->pool_thread = NULL;
    tni_runtime_thread_ends(runtime); /* destroy, or the thread that exits next, waits for it by a join */
    tni_runtime_release(runtime);
    return NULL;
}

int tni_pool_start_thread_locked(tni_pool *pool)
{
    tn_runtime *runtime = pool->runtime;
    tni_pool_thread *thread;
    int rc;

    tni_os_mutex_assert_held(&pool->lock);
    if (pool->stopped)
        return TN_ESHUTDOWN;
    if (pool->unused.first != NULL)
        thread = tni_pool_member(tni_list_take_first(&pool->unused));
    else
        thread = tni_alloc(&runtime->allocator, sizeof *thread, _Alignof(tni_pool_thread));
    if (thread == NULL)
        return TN_ENOMEM;
    thread->pool = pool;
    tni_a32_init(&thread->woken, 0);
    thread->has_token = thread->was_idle = true;
    thread->timed_out = false;
    thread->job = NULL;
    thread->queue = NULL;
    thread->detached = false;
    thread->left = false;
    thread->waits_for = NULL;
    thread->wait_scope = NULL;
    thread->deadlocked = false;
    thread->is_worker = false;
    tni_runtime_retain(runtime);
    rc = tni_thread_start(&thread->id, thread_main, thread);
    if (rc != 0) {
        tni_runtime_release(runtime); /* never the last reference: the caller runs in the runtime, or holds a handle to it */
        tni_list_prepend(&pool->unused, &thread->node);
        pool->counts.failed_starts++;
        return rc;
    }
    tni_list_prepend(&pool->all, &thread->node);
    pool->counts.threads_started++;
    pool->reported_shortage = false;
    /* Relaxed: written under the lock; a submitter that reads the old value takes the lock. */
    (void)tni_a32_fetch_add(&pool->threads, 1, TNI_RELAXED);
    return 0;
}

/* --- Measurements --------------------------------------------------------------------------------------------------------- */

void tni_pool_measure(const tni_attachment *self, tn_metrics *out)
{
    const tni_pool *pool = tni_container_of(self, tni_pool, base);

    for (unsigned kind = 0; kind < TNI_POOL_CLASSES; kind++) {
        tni_histogram_read(&pool->waited[kind], &out->pool_waited[kind]);
        tni_histogram_read(&pool->ran[kind], &out->pool_ran[kind]);
        out->pool_queued[kind] = tni_a32_load(&pool->queued[kind], TNI_RELAXED); /* relaxed: a statistic */
    }
    out->pool_threads = tni_a32_load(&pool->threads, TNI_RELAXED); /* relaxed: a statistic */
}
