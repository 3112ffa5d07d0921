/* SPDX-License-Identifier: MIT */
/* The pool's queue and its wake token: submitting, withdrawing, waiting for a slot. README.md has the protocols. */
#include "pool/pool.h"

#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "base/order.h"
#include "base/tls.h"
#include "pool/pool_internal.h"

#define THREADS_DEFAULT 512
#define FILE_THREADS_DEFAULT 64
#define NAME_THREADS_DEFAULT 16
#define DETACHED_MAX 64
#define IDLE_DEFAULT_NS (10 * TN_S)
#define QUEUE_DEFAULT 16384

/* Time from a failed start of a thread to the next attempt. */
#define RETRY_NS (10 * TN_MS)

/* --- Creation --------------------------------------------------------------------------------------------------------------- */

static unsigned or_default(unsigned value, unsigned otherwise)
{
    return value != 0 ? value : otherwise;
}

static void init(tni_pool *pool, tn_runtime *runtime)
{
    const tn_options *options = &runtime->options;
    size_t queue_max = options->blocking_queue_max != 0 ? options->blocking_queue_max : QUEUE_DEFAULT;

    pool->base.stop = tni_pool_stop;
    pool->base.maintain = tni_pool_maintain;
    pool->base.wants_maintenance = tni_pool_wants_maintenance;
    pool->base.measure = tni_pool_measure;
    pool->base.fini = tni_pool_fini;
    pool->runtime = runtime;
    pool->idle_ns = options->blocking_idle_ns != 0 ? options->blocking_idle_ns : IDLE_DEFAULT_NS;
    pool->queue_max = queue_max < INT32_MAX ? (uint32_t)queue_max : INT32_MAX;
    pool->queues[TNI_POOL_JOBS].cap = or_default(options->blocking_threads, THREADS_DEFAULT);
    pool->queues[TNI_POOL_FILES].cap = or_default(options->file_threads, FILE_THREADS_DEFAULT);
    pool->queues[TNI_POOL_NAMES].cap = or_default(options->name_threads, NAME_THREADS_DEFAULT);
    for (unsigned kind = 0; kind < TNI_POOL_CLASSES; kind++) {
        pool->threads_max += pool->queues[kind].cap;
        tni_a32_init(&pool->queued[kind], 0);
    }
    pool->detached_max = DETACHED_MAX;
    pool->threads_max += pool->detached_max;
    (void)snprintf(pool->name, sizeof pool->name, "%s-pool", runtime->name);
    tni_inbox_init(&pool->inbox);
    tni_a32_init(&pool->wake_token, 0);
    tni_a64_init(&pool->retry_ns, 0);
    tni_a32_init(&pool->threads, 0);
    tni_aptr_init(&pool->lookups, NULL);
    tni_a32_init(&pool->closed, 0);
    tni_inplace_init(&pool->inplace);
    tni_inline_stats_init(&pool->inline_stats, options->blocking_inline_ns);
    tni_os_mutex_init(&pool->lock);
    pool->run_ns = TN_MS; /* jobs are expected to block until measured otherwise */
}

/* Creates the pool on first use. NULL: no memory, and no other thread has created it meanwhile. */
static void *make(tn_runtime *runtime)
{
    tni_pool *pool = tni_reclaim_alloc(runtime, sizeof *pool, _Alignof(tni_pool));
    void *attachment = NULL;

    if (pool == NULL)
        return tni_aptr_load(&runtime->attachment, TNI_ACQUIRE); /* as in tni_pool_of */
    init(pool, runtime);
    tni_order_release();
    /* Publishes the pool; on failure observes the pool of the thread that was first. Partner: tni_pool_of. */
    if (tni_aptr_cas(&runtime->attachment, &attachment, &pool->base, TNI_ACQ_REL))
        return &pool->base;
    tni_os_mutex_fini(&pool->lock);
    tni_free(&runtime->allocator, pool, sizeof *pool);
    return attachment;
}

tni_pool *tni_pool_of(tn_runtime *runtime, int *error)
{
    /* Observes the pool's initialization; partner: the CAS in make. */
    void *attachment = tni_aptr_load(&runtime->attachment, TNI_ACQUIRE);

    *error = TN_ESHUTDOWN;
    if (tni_runtime_is_inherited(runtime)) {
        tni_fork_log_refusal("a blocking job");
        return NULL;
    }
    if (tni_unlikely(attachment == NULL))
        attachment = make(runtime);
    if (attachment == NULL)
        *error = TN_ENOMEM;
    if (attachment == NULL || attachment == &tni_attachment_closed)
        return NULL;
    tni_order_acquire(); /* another thread may have made the pool's lock, which ThreadSanitizer sees */
    return tni_container_of(attachment, tni_pool, base);
}

tn_runtime *tni_pool_current_runtime(void)
{
    const tni_pool_thread *thread = tni_pool_current_thread();

    return thread != NULL ? thread->pool->runtime : tn_runtime_current();
}

/* --- Queues --------------------------------------------------------------------------------------------------------------- */

void tni_pool_append_locked(tni_pool *pool, tni_work *job)
{
    tni_work_queue *queue = &pool->queues[job->kind];

    tni_os_mutex_assert_held(&pool->lock);
    tni_list_append(&queue->jobs, &job->node);
    queue->length++;
    job->linked = true;
}

void tni_pool_unlink(tni_work_queue *queue, tni_work *job)
{
    tni_list_remove(&queue->jobs, &job->node);
    queue->length--;
    job->linked = false;
}

void tni_pool_collect_locked(tni_pool *pool)
{
    tni_inbox_node *next;

    tni_os_mutex_assert_held(&pool->lock);
    /* A caller that must not miss a job has made a full fence before. */
    for (tni_inbox_node *node = tni_inbox_take(&pool->inbox); node != NULL; node = next) {
        next = node->next; /* the append overwrites it */
        tni_pool_append_locked(pool, tni_container_of(node, tni_work, inbox_node));
    }
}

unsigned tni_pool_startable_locked(const tni_pool *pool)
{
    unsigned count = 0;

    tni_os_mutex_assert_held(&pool->lock);
    for (unsigned kind = 0; kind < TNI_POOL_CLASSES; kind++) {
        const tni_work_queue *queue = &pool->queues[kind];
        unsigned free_threads = queue->cap - queue->running;
        count += queue->length < free_threads ? queue->length : free_threads;
    }
    return count;
}

/* --- Slots of the queue ----------------------------------------------------------------------------------------------------- */

static bool take_slot(tni_pool *pool, tni_pool_class kind)
{
    /* Relaxed: the CAS verifies it. */
    uint32_t old = tni_a32_load(&pool->queued[kind], TNI_RELAXED);

    do {
        if (old >= pool->queue_max)
            return false;
        /* Relaxed would do, it is a count; the fence in confirm orders it before the loads of `closed` and `threads`. A CAS, so
         * that the count never exceeds the bound: a waiter that saw the excess of a failed attempt would link itself although a
         * slot is free, and nothing would wake it. */
    } while (!tni_a32_cas(&pool->queued[kind], &old, old + 1, TNI_ACQUIRE));
    return true;
}

void tni_pool_free_slot_locked(tni_pool *pool, tni_pool_class kind)
{
    tni_os_mutex_assert_held(&pool->lock);
    if (pool->waiting[kind].first != NULL && !tni_pool_is_closed(pool)) {
        tni_list_node *node = tni_list_take_first(&pool->waiting[kind]);
        tni_pool_slot_waiter *waiter = tni_container_of(node, tni_pool_slot_waiter, node);
        tn_waker *waker = waiter->waker;
        waiter->linked = false;
        waiter->granted = true;
        tni_list_append(&pool->granted, node);
        waiter->waker = NULL;
        tn_waker_wake(waker);
        return;
    }
    /* Relaxed: as in take_slot. Slots are freed under the lock only, so the thread that frees the last one sees that. */
    (void)tni_a32_fetch_sub(&pool->queued[kind], 1, TNI_RELAXED);
    if (tni_pool_is_closed(pool) && tni_pool_slots_taken(pool) == 0)
        tni_pool_wake_all_idle_locked(pool); /* no more jobs will come: they exit */
}

void tni_pool_revoke_locked(tni_pool *pool, tni_pool_slot_waiter *waiter)
{
    tni_os_mutex_assert_held(&pool->lock);
    tni_list_remove(&pool->granted, &waiter->node);
    waiter->granted = false;
    tni_pool_free_slot_locked(pool, waiter->kind);
}

/* --- The wake token ------------------------------------------------------------------------------------------------------- */

tni_pool_deferred tni_pool_wake_or_start_locked(tni_pool *pool)
{
    tni_pool_deferred deferred = {.wake = NULL};

    tni_os_mutex_assert_held(&pool->lock);
    if (pool->idle.first != NULL) {
        tni_pool_thread *thread = tni_container_of(tni_list_take_first(&pool->idle), tni_pool_thread, idle_node);
        thread->has_token = true;
        thread->was_idle = true;
        pool->counts.wakes++;
        /* Relaxed: written and read under the lock; the futex call orders the sleeper. */
        tni_a32_store(&thread->woken, 1, TNI_RELAXED);
        deferred.wake = thread;
        return deferred;
    }
    /* Relaxed: written under the lock. */
    if (tni_a32_load(&pool->threads, TNI_RELAXED) < pool->threads_max && tni_pool_start_thread_locked(pool) == 0)
        return deferred;
    /* All threads run jobs, or have just finished one: each checks the queues before it sleeps. */
    tni_pool_set_short_locked(pool, tni_clock_ns() + RETRY_NS);
    deferred.is_short = true;
    deferred.report = !pool->reported_shortage && !pool->stopped;
    pool->reported_shortage = true;
    deferred.deadlocked = tni_pool_end_deadlock_locked(pool, NULL); /* joins may have been waiting for another thread to start */
    return deferred;
}

void tni_pool_run_deferred(tni_pool *pool, tni_pool_deferred deferred)
{
    tni_os_mutex_assert_not_held(&pool->lock);
    if (deferred.wake != NULL)
        tni_futex_wake(&deferred.wake->woken, 1);
    if (deferred.is_short)
        tni_runtime_request_maintenance(pool->runtime);
    if (deferred.report)
        tni_log_write(&pool->runtime->log, TN_LOG_WARNING,
                      "blocking pool: cannot start another thread, %u are running; raise the limit on threads, or lower "
                      "blocking_threads",
                      tni_a32_load(&pool->threads, TNI_RELAXED)); /* relaxed: for the log only */
    if (deferred.deadlocked > 0)
        tni_pool_report_deadlock(pool, deferred.deadlocked);
}

bool tni_pool_release_token_locked(tni_pool *pool)
{
    tni_os_mutex_assert_held(&pool->lock);
    /* The fence orders it before the check of the inbox; partner: tni_pool_push. Release: publishes what this thread did with
     * the token to the next holder; partner: tni_pool_try_take_token. */
    tni_a32_store(&pool->wake_token, 0, TNI_RELEASE);
    tni_fence_full();
    tni_pool_collect_locked(pool);
    return tni_pool_startable_locked(pool) > 0 && tni_pool_try_take_token(pool);
}

/* --- Submitting ------------------------------------------------------------------------------------------------------------- */

/* Starts a thread if none exists. */
static int try_start_first(tni_pool *pool)
{
    int rc = 0;

    tni_os_mutex_lock(&pool->lock);
    /* Relaxed: written under the lock. */
    if (tni_a32_load(&pool->threads, TNI_RELAXED) == 0) {
        rc = tni_pool_start_thread_locked(pool);
        if (rc == 0) /* relaxed: without a thread the token was free, and the new thread waits for the lock */
            tni_a32_store(&pool->wake_token, 1, TNI_RELAXED);
    }
    tni_os_mutex_unlock(&pool->lock);
    return rc == 0 || rc == TN_ESHUTDOWN ? rc : TN_EAGAIN;
}

/* The same. There may be no address space left for the thread's stack, while the runtime holds more than it uses. */
static int start_first(tni_pool *pool)
{
    int rc = try_start_first(pool);

    if (rc != TN_EAGAIN)
        return rc;
    tni_reclaim_memory_here(pool->runtime);
    rc = try_start_first(pool);
    if (rc == TN_EAGAIN)
        tni_reclaim_found_nothing(pool->runtime);
    return rc;
}

void tni_pool_unreserve(tni_pool *pool, tni_pool_class kind)
{
    tni_os_mutex_lock(&pool->lock);
    tni_pool_free_slot_locked(pool, kind);
    tni_os_mutex_unlock(&pool->lock);
}

/* Checks whether the slot that the caller has taken may be used. From here to the push the slot keeps the last thread alive. */
static int confirm(tni_pool *pool, tni_pool_class kind)
{
    int rc = 0;

    /* Orders taking the slot before the loads of `closed` and `threads`; partners: the fences in may_exit_locked
     * (pool_thread.c) and close_pool (pool_stop.c). Either they see the slot, or this thread sees what they wrote. */
    tni_fence_full();
    if (tni_pool_is_closed(pool))
        rc = TN_ESHUTDOWN;
    else if (tni_unlikely(tni_a32_load(&pool->threads, TNI_RELAXED) == 0)) /* relaxed: after the fence */
        rc = start_first(pool);
    if (rc != 0)
        tni_pool_unreserve(pool, kind);
    return rc;
}

int tni_pool_reserve(tni_pool *pool, tni_pool_class kind)
{
    if (tni_likely(take_slot(pool, kind)))
        return confirm(pool, kind);
    return tni_pool_is_closed(pool) ? TN_ESHUTDOWN : TN_EBUSY;
}

int tni_pool_reserve_always(tni_pool *pool, tni_pool_class kind)
{
    /* Relaxed: as in take_slot. The count may exceed the bound: a waiter that sees that links itself, and each slot that is
     * freed is granted to a waiter, above the bound too. */
    (void)tni_a32_fetch_add(&pool->queued[kind], 1, TNI_RELAXED);
    return confirm(pool, kind);
}

static void retry_start(tni_pool *pool, uint64_t now_ns)
{
    tni_pool_deferred deferred = {.wake = NULL};

    tni_os_mutex_lock(&pool->lock);
    if (tni_pool_may_retry(pool, now_ns)) {
        tni_pool_collect_locked(pool);
        tni_pool_set_short_locked(pool, tni_pool_startable_locked(pool) > 0 ? 0 : now_ns + RETRY_NS);
        if (!tni_pool_is_short_locked(pool)) /* the caller holds the token now */
            deferred = tni_pool_wake_or_start_locked(pool);
    }
    tni_os_mutex_unlock(&pool->lock);
    tni_pool_run_deferred(pool, deferred);
}

/* Called after a push and a full fence. In a shortage only the threads in jobs hold the token, and a job may run for long. */
static inline void check_shortage(tni_pool *pool, uint64_t now_ns)
{
    /* Relaxed: after the fence. The monitor makes one too before it sleeps, and sleeps only if it sees no shortage or no slot
     * taken; partner: tni_pool_wants_maintenance. */
    if (tni_likely(tni_a64_load(&pool->retry_ns, TNI_RELAXED) == 0))
        return;
    if (tni_pool_may_retry(pool, now_ns))
        retry_start(pool, now_ns);
    else
        tni_runtime_request_maintenance(pool->runtime);
}

bool tni_pool_wants_maintenance(const tni_attachment *self)
{
    const tni_pool *pool = tni_container_of(self, tni_pool, base);

    /* Relaxed: after the fence of the thread that is about to sleep; partners: the fence in tni_pool_push, and the stores
     * before tni_runtime_request_maintenance. */
    return tni_unlikely(tni_a64_load(&pool->retry_ns, TNI_RELAXED) != 0) && tni_pool_slots_taken(pool) != 0;
}

bool tni_pool_maintain(tni_attachment *self, uint64_t now_ns)
{
    tni_pool *pool = tni_container_of(self, tni_pool, base);

    bool reclaims;

    if (!tni_pool_wants_maintenance(self))
        return false;
    /* There may be no address space left for the thread's stack, as in start_first. At most once per pause, also if other threads
     * make the attempts. A worker of a TN_CURRENT_THREAD runtime, which is no starter, holds its core here, and does not wait. */
    reclaims = tni_tls_get()->worker == NULL && tni_reclaim_is_allowed(pool->runtime);
    if (reclaims) {
        tni_reclaim_memory_in_starter(pool->runtime);
        now_ns = tni_clock_ns();
    }
    if (tni_pool_may_retry(pool, now_ns))
        retry_start(pool, now_ns);
    if (reclaims && tni_pool_wants_maintenance(self))
        tni_reclaim_found_nothing(pool->runtime);
    return true;
}

/* The caller holds the token. False: it has released it, because no thread is needed: each class with a job has as many threads
 * in jobs as it may have, and each of them checks the queues when its job ends. An idle thread finds that out by itself. */
static bool needs_thread_locked(tni_pool *pool)
{
    tni_os_mutex_assert_held(&pool->lock);
    if (pool->idle.first != NULL)
        return true;
    tni_pool_collect_locked(pool);
    return tni_pool_startable_locked(pool) > 0 || tni_pool_release_token_locked(pool);
}

void tni_pool_push(tni_pool *pool, tni_work *job)
{
    uint64_t now_ns = tni_clock_ns(); /* a local copy: the job may be freed before the last use */
    tni_pool_deferred deferred = {.wake = NULL};

    tni_order_release();
    tn_runtime_hold(pool->runtime);
    job->queued_ns = now_ns;
    tni_inbox_push(&pool->inbox, &job->inbox_node);
    /* Orders the push before the load of the token; partner: the fence in tni_pool_release_token_locked. */
    tni_fence_full();
    if (tni_likely(!tni_pool_try_take_token(pool))) {
        check_shortage(pool, now_ns);
        return;
    }
    tni_os_mutex_lock(&pool->lock);
    if (needs_thread_locked(pool))
        deferred = tni_pool_wake_or_start_locked(pool);
    tni_os_mutex_unlock(&pool->lock);
    tni_pool_run_deferred(pool, deferred);
}

void tni_pool_work_done(tni_pool *pool, tni_work *job, int error)
{
    job->ops->complete(job, error);
    tn_runtime_unhold(pool->runtime);
}

/* --- Waiting for a slot ----------------------------------------------------------------------------------------------------- */

static int slot_poll(tn_future *self, tn_waker *waker)
{
    tni_pool_slot_waiter *waiter = tni_container_of(self, tni_pool_slot_waiter, base);
    tni_pool *pool = waiter->pool;
    tn_waker *old = NULL;
    int rc = 0;

    tni_os_mutex_lock(&pool->lock);
    if (tni_pool_is_closed(pool) && !waiter->granted) {
        rc = TN_ESHUTDOWN;
    } else if (waiter->linked) { /* a spurious wake, or another task polls it now */
        old = waiter->waker;
        waiter->waker = tn_waker_retain(waker);
        rc = TN_PENDING;
    } else if (!waiter->granted && !take_slot(pool, waiter->kind)) {
        waiter->waker = tn_waker_retain(waker);
        waiter->linked = true;
        tni_list_append(&pool->waiting[waiter->kind], &waiter->node);
        rc = TN_PENDING;
    } else if (waiter->granted) {
        tni_list_remove(&pool->granted, &waiter->node);
        waiter->granted = false;
    }
    tni_os_mutex_unlock(&pool->lock);
    if (old != NULL)
        tn_waker_release(old);
    return rc;
}

static void slot_drop(tn_future *self)
{
    tni_pool_slot_waiter *waiter = tni_container_of(self, tni_pool_slot_waiter, base);
    tni_pool *pool = waiter->pool;
    tn_waker *waker;

    tni_os_mutex_lock(&pool->lock);
    waker = waiter->waker;
    waiter->waker = NULL;
    if (waiter->linked)
        tni_list_remove(&pool->waiting[waiter->kind], &waiter->node);
    waiter->linked = false;
    if (waiter->granted) /* the wait was cancelled after the grant: pass the slot on */
        tni_pool_revoke_locked(pool, waiter);
    tni_os_mutex_unlock(&pool->lock);
    if (waker != NULL)
        tn_waker_release(waker);
}

static const tn_future_ops slot_ops = {slot_poll, slot_drop, "slot in the blocking queue"};

int tni_pool_reserve_waiting(tni_pool *pool, tni_pool_class kind)
{
    int rc = tni_pool_reserve(pool, kind);
    tni_pool_slot_waiter waiter = {.base = {&slot_ops}, .pool = pool, .kind = kind};

    if (tni_likely(rc != TN_EBUSY))
        return rc;
    rc = tn_await(&waiter.base);
    return rc == 0 ? confirm(pool, kind) : rc;
}

/* --- Withdrawing ------------------------------------------------------------------------------------------------------------ */

bool tni_pool_abandon(tni_work *job)
{
    uint32_t queued = TNI_WORK_QUEUED;

    /* The CAS decides between this thread and take_job_locked (pool_thread.c). Acquire: on failure, what the job has done if it
     * was started. Release: publishes nothing. */
    return tni_a32_cas(&job->state, &queued, TNI_WORK_ABANDONED, TNI_ACQ_REL);
}

bool tni_pool_withdraw(tni_pool *pool, tni_work *job)
{
    if (!tni_pool_abandon(job))
        return false;
    /* The job was queued, so this thread owns its slot: until it is freed the last thread does not exit, and the pool lives. */
    tni_os_mutex_lock(&pool->lock);
    tni_pool_collect_locked(pool);
    if (job->linked) /* otherwise a thread has unlinked it and failed the CAS in take_job_locked */
        tni_pool_unlink(&pool->queues[job->kind], job);
    pool->counts.dropped++;
    tn_runtime_unhold(pool->runtime); /* the slot still keeps the runtime alive */
    tni_pool_free_slot_locked(pool, job->kind);
    tni_os_mutex_unlock(&pool->lock);
    return true;
}

bool tni_pool_withdraw_or_stop(tni_pool *pool, tni_work *job)
{
    uint32_t state;

    do {
        if (tni_pool_withdraw(pool, job))
            return true;
        state = TNI_WORK_STARTED;
        /* This CAS and the one in requeue_locked (pool_thread.c) change the same word: the later one fails and reads what the
         * earlier one wrote. Publishes nothing. Acquire, because the CAS has no weaker form. */
        if (tni_a32_cas(&job->state, &state, TNI_WORK_UNWANTED, TNI_ACQUIRE))
            return false;
    } while (state == TNI_WORK_QUEUED); /* requeued just now. Otherwise the pool's end drops it */
    return false;
}

/* --- Detaching -------------------------------------------------------------------------------------------------------------- */

static void detach_locked(tni_pool *pool, tni_pool_thread *thread)
{
    tni_os_mutex_assert_held(&pool->lock);
    thread->detached = true;
    thread->queue->running--; /* not by the job: it may have been completed and freed already */
    pool->detached++;
}

void tni_pool_detach_left_locked(tni_pool *pool)
{
    tni_os_mutex_assert_held(&pool->lock);
    if (pool->left == 0 || pool->detached >= pool->detached_max)
        return;
    for (tni_list_node *at = pool->all.first; at != NULL; at = at->next) {
        tni_pool_thread *thread = tni_pool_member(at);
        if (thread->job != NULL && thread->left) {
            thread->left = false;
            pool->left--;
            detach_locked(pool, thread);
            return;
        }
    }
}

void tni_pool_detach(tni_pool *pool, tni_work *job)
{
    tni_pool_deferred deferred = {.wake = NULL};
    tni_pool_thread *thread;
    uint32_t state;

    tni_os_mutex_lock(&pool->lock);
    state = tni_a32_load(&job->state, TNI_RELAXED); /* under the lock, as its change to STARTED and back to QUEUED */
    thread = state == TNI_WORK_STARTED || state == TNI_WORK_UNWANTED ? job->thread : NULL;
    if (thread != NULL && thread->job == job && !thread->detached && !thread->left) {
        thread->left = true;
        pool->left++;
        tni_pool_detach_left_locked(pool);
        /* A job that was kept back by the cap can be started now. A holder of the token checks the queues after this, because
         * it needs the lock for that. */
        if (tni_pool_startable_locked(pool) > 0 && tni_pool_try_take_token(pool))
            deferred = tni_pool_wake_or_start_locked(pool);
    }
    tni_os_mutex_unlock(&pool->lock);
    tni_pool_run_deferred(pool, deferred);
}

/* --- Counters --------------------------------------------------------------------------------------------------------------- */

int tn_runtime_blocking(tn_runtime *runtime, tn_blocking_counters *out)
{
    /* Observes the pool's initialization; partner: make. */
    void *attachment = tni_aptr_load(&runtime->attachment, TNI_ACQUIRE);
    tn_blocking_counters counts = {.size = 0};
    size_t size = out->size;

    if (size < sizeof(size_t) || size > TNI_OPTIONS_MAX_BYTES) {
        tni_log_write(&runtime->log, TN_LOG_ERROR, "tn_runtime_blocking: size is wrong (%zu): set it to the size of the struct",
                      size);
        return TN_EINVAL;
    }
    if (attachment != NULL && attachment != &tni_attachment_closed) {
        tni_pool *pool = tni_container_of(attachment, tni_pool, base);
        tni_os_mutex_lock(&pool->lock);
        counts = pool->counts;
        /* Relaxed: written under the lock; a count. */
        counts.threads = tni_a32_load(&pool->threads, TNI_RELAXED);
        counts.queued = tni_pool_slots_taken(pool);
        counts.called_inline = tni_a64_load(&pool->inline_stats.calls, TNI_RELAXED); /* relaxed: a count */
        counts.idle = counts.threads - pool->active;
        counts.running_jobs = pool->queues[TNI_POOL_JOBS].running;
        counts.running_files = pool->queues[TNI_POOL_FILES].running;
        counts.running_names = pool->queues[TNI_POOL_NAMES].running;
        counts.detached = pool->detached;
        tni_os_mutex_unlock(&pool->lock);
    }
    memset(out, 0, size); /* a counter of newer headers stays 0 */
    memcpy(out, &counts, size < sizeof counts ? size : sizeof counts);
    out->size = size;
    return 0;
}
