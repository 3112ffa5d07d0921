/* SPDX-License-Identifier: MIT */
/* The pool's queue and its watch: what submitters do, and what threads do under the lock. README.md has the argument. */
#include "pool/pool.h"

#include <stdio.h>
#include <string.h>

#include "base/tls.h"
#include "pool/pool_internal.h"

#define THREADS_DEFAULT 512
#define FILE_THREADS_DEFAULT 64
#define NAME_THREADS_DEFAULT 16
#define IDLE_DEFAULT_NS (10 * TN_S)
#define QUEUE_DEFAULT 16384

/* After a failed start the next one is tried so much later. */
#define RETRY_NS (10 * TN_MS)

/* --- Making ----------------------------------------------------------------------------------------------------------------- */

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
    (void)snprintf(pool->name, sizeof pool->name, "%s-pool", runtime->name);
    tni_aptr_init(&pool->inbox, NULL);
    tni_a32_init(&pool->watched, 0);
    tni_a64_init(&pool->retry_ns, 0);
    tni_a32_init(&pool->threads, 0);
    tni_a32_init(&pool->closed, 0);
    tni_inplace_init(&pool->inplace);
    tni_inline_stats_init(&pool->brief, options->blocking_inline_ns);
    tni_os_mutex_init(&pool->lock);
    pool->run_ns = TN_MS; /* until something is known: jobs are expected to block */
}

/* The first call's: makes the pool. NULL: no memory, and no other thread has made it meanwhile. */
static void *make(tn_runtime *runtime)
{
    tni_pool *pool = tni_alloc(&runtime->allocator, sizeof *pool, _Alignof(tni_pool));
    void *attachment = NULL;

    if (pool == NULL)
        return tni_aptr_load(&runtime->attachment, TNI_ACQUIRE); /* as in tni_pool_of */
    init(pool, runtime);
    /* Release: publishes the pool. Acquire: another thread was first, and this is its pool. */
    if (tni_aptr_cas(&runtime->attachment, &attachment, &pool->base, TNI_ACQ_REL))
        return &pool->base;
    tni_os_mutex_fini(&pool->lock);
    tni_free(&runtime->allocator, pool, sizeof *pool);
    return attachment;
}

tni_pool *tni_pool_of(tn_runtime *runtime, int *error)
{
    /* Acquire: the pool as it was made; partner: the CAS in make. */
    void *attachment = tni_aptr_load(&runtime->attachment, TNI_ACQUIRE);

    if (tni_unlikely(attachment == NULL))
        attachment = make(runtime);
    *error = attachment == NULL ? TN_ENOMEM : TN_ESHUTDOWN;
    if (attachment == NULL || attachment == &tni_attachment_closed)
        return NULL;
    return tni_container_of(attachment, tni_pool, base);
}

tn_runtime *tni_pool_current_runtime(void)
{
    const tni_pool_thread *thread = tni_pool_thread_current();

    return thread != NULL ? thread->pool->runtime : tn_runtime_current();
}

/* --- Queues: lock held ------------------------------------------------------------------------------------------------------ */

void tni_pool_append(tni_pool *pool, tni_work *job)
{
    tni_work_queue *queue = &pool->queues[job->kind];

    job->next = NULL;
    job->prev = queue->last;
    if (queue->last != NULL)
        queue->last->next = job;
    else
        queue->first = job;
    queue->last = job;
    queue->length++;
    job->linked = true;
}

void tni_pool_unlink(tni_work_queue *queue, tni_work *job)
{
    if (job->prev != NULL)
        job->prev->next = job->next;
    else
        queue->first = job->next;
    if (job->next != NULL)
        job->next->prev = job->prev;
    else
        queue->last = job->prev;
    queue->length--;
    job->linked = false;
}

void tni_pool_collect(tni_pool *pool)
{
    tni_work *newest;
    tni_work *oldest = NULL;

    /* Relaxed: where it matters that nothing is missed the caller stands behind a full fence. */
    if (tni_aptr_load(&pool->inbox, TNI_RELAXED) == NULL)
        return;
    /* Acquire: the jobs as they were pushed; taken whole, so there is no ABA. Partner: tni_pool_push. */
    newest = tni_aptr_exchange(&pool->inbox, NULL, TNI_ACQUIRE);
    while (newest != NULL) {
        tni_work *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        tni_work *next = oldest->next;
        tni_pool_append(pool, oldest);
        oldest = next;
    }
}

unsigned tni_pool_startable(const tni_pool *pool)
{
    unsigned count = 0;

    for (unsigned kind = 0; kind < TNI_POOL_CLASSES; kind++) {
        const tni_work_queue *queue = &pool->queues[kind];
        unsigned room = queue->cap - queue->running;
        count += queue->length < room ? queue->length : room;
    }
    return count;
}

/* --- Places in the queue ---------------------------------------------------------------------------------------------------- */

static bool take_place(tni_pool *pool, tni_pool_class kind)
{
    /* Relaxed: the CAS checks it. */
    uint32_t old = tni_a32_load(&pool->queued[kind], TNI_RELAXED);

    do {
        if (old >= pool->queue_max)
            return false;
        /* Acquire: needs no more than relaxed, it is a count; the callers' fence orders it before their look at `closed` and
         * `threads`. By CAS, so that it is never above the bound even for a moment: somebody who waits for room must not be kept
         * waiting by one who does not get it. */
    } while (!tni_a32_cas(&pool->queued[kind], &old, old + 1, TNI_ACQUIRE));
    return true;
}

static void append_room(tni_pool_slot_waiters *rooms, tni_pool_slot_waiter *room)
{
    room->next = NULL;
    room->prev = rooms->last;
    if (room->prev != NULL)
        room->prev->next = room;
    else
        rooms->first = room;
    rooms->last = room;
}

static void remove_room(tni_pool_slot_waiters *rooms, tni_pool_slot_waiter *room)
{
    if (room->prev != NULL)
        room->prev->next = room->next;
    else
        rooms->first = room->next;
    if (room->next != NULL)
        room->next->prev = room->prev;
    else
        rooms->last = room->prev;
}

void tni_pool_free_slot(tni_pool *pool, tni_pool_class kind)
{
    tni_pool_slot_waiter *room = pool->waiting[kind].first;

    if (room != NULL && !tni_pool_is_closed(pool)) {
        tn_waker *waker = room->waker;
        remove_room(&pool->waiting[kind], room);
        room->linked = false;
        room->granted = true;
        append_room(&pool->granted, room);
        room->waker = NULL;
        tn_waker_wake(waker);
        return;
    }
    /* Relaxed: as in take_place. Places are given back under the lock alone, so who gives back the last one sees that. */
    (void)tni_a32_fetch_sub(&pool->queued[kind], 1, TNI_RELAXED);
    if (tni_pool_is_closed(pool) && tni_pool_slots_taken(pool) == 0)
        tni_pool_wake_all_idle(pool); /* nothing will come any more */
}

void tni_pool_revoke(tni_pool *pool, tni_pool_slot_waiter *room)
{
    remove_room(&pool->granted, room);
    room->granted = false;
    tni_pool_free_slot(pool, room->kind);
}

/* --- The watch -------------------------------------------------------------------------------------------------------------- */

tni_pool_deferred tni_pool_wake_or_start(tni_pool *pool)
{
    tni_pool_thread *thread = pool->idle_first;
    tni_pool_deferred errand = {.call = NULL};

    if (thread != NULL) {
        tni_pool_idle_remove(pool, thread);
        thread->watching = true;
        thread->arrived = true;
        pool->counts.wakes++;
        /* Relaxed: under the lock. */
        tni_a32_store(&thread->called, 1, TNI_RELAXED);
        errand.call = thread;
        return errand;
    }
    /* Relaxed: written under the lock. */
    if (tni_a32_load(&pool->threads, TNI_RELAXED) < pool->threads_max && tni_pool_start_thread(pool) == 0)
        return errand;
    /* All threads are inside of jobs, or on their way from one: each will look before it sleeps. */
    tni_pool_set_short(pool, tni_clock_ns() + RETRY_NS);
    errand.is_short = true;
    errand.report = !pool->reported_shortage && !pool->stopped;
    pool->reported_shortage = true;
    errand.stuck = tni_pool_end_deadlock(pool, NULL); /* they may have waited for a further thread so far */
    return errand;
}

void tni_pool_run_deferred(tni_pool *pool, tni_pool_deferred errand)
{
    if (errand.call != NULL)
        tni_futex_wake(&errand.call->called, 1);
    if (errand.is_short)
        tni_runtime_request_maintenance(pool->runtime);
    if (errand.report)
        tni_log_write(&pool->runtime->log, TN_LOG_WARNING,
                      "blocking pool: no further thread can be started, %u do the work; raise the limit on threads, or lower "
                      "blocking_threads",
                      tni_a32_load(&pool->threads, TNI_RELAXED)); /* relaxed: for people */
    if (errand.stuck > 0)
        tni_pool_report_deadlock(pool, errand.stuck);
}

/* --- Submitting ------------------------------------------------------------------------------------------------------------- */

/* No thread is alive. */
static int start_first(tni_pool *pool)
{
    int rc = 0;

    tni_os_mutex_lock(&pool->lock);
    /* Relaxed: written under the lock. */
    if (tni_a32_load(&pool->threads, TNI_RELAXED) == 0) {
        rc = tni_pool_start_thread(pool);
        if (rc == 0) /* relaxed: nobody can have had the watch without a thread, and the new one waits for the lock */
            tni_a32_store(&pool->watched, 1, TNI_RELAXED);
    }
    tni_os_mutex_unlock(&pool->lock);
    return rc == 0 || rc == TN_ESHUTDOWN ? rc : TN_EAGAIN;
}

void tni_pool_unreserve(tni_pool *pool, tni_pool_class kind)
{
    tni_os_mutex_lock(&pool->lock);
    tni_pool_free_slot(pool, kind);
    tni_os_mutex_unlock(&pool->lock);
}

/* A place has been taken: may it be used? From here to the push it keeps the last thread from leaving. */
static int confirm(tni_pool *pool, tni_pool_class kind)
{
    int rc = 0;

    /* Orders the place before the look at `closed` and at `threads`; partners: the fences in may_leave (pool_thread.c) and
     * tni_pool_stop. Either they see the place, or we see what they wrote. */
    tni_fence_full();
    if (tni_pool_is_closed(pool))
        rc = TN_ESHUTDOWN;
    else if (tni_unlikely(tni_a32_load(&pool->threads, TNI_RELAXED) == 0)) /* relaxed: behind the fence */
        rc = start_first(pool);
    if (rc != 0)
        tni_pool_unreserve(pool, kind);
    return rc;
}

int tni_pool_reserve(tni_pool *pool, tni_pool_class kind)
{
    if (tni_likely(take_place(pool, kind)))
        return confirm(pool, kind);
    return tni_pool_is_closed(pool) ? TN_ESHUTDOWN : TN_EBUSY;
}

static void retry_start(tni_pool *pool, uint64_t now_ns)
{
    tni_pool_deferred errand = {.call = NULL};

    tni_os_mutex_lock(&pool->lock);
    if (tni_pool_may_retry(pool, now_ns)) {
        tni_pool_collect(pool);
        tni_pool_set_short(pool, tni_pool_startable(pool) > 0 ? 0 : now_ns + RETRY_NS);
        if (!tni_pool_is_short(pool)) /* the watch is ours */
            errand = tni_pool_wake_or_start(pool);
    }
    tni_os_mutex_unlock(&pool->lock);
    tni_pool_run_deferred(pool, errand);
}

/* Behind a push and a full fence. Nobody but the threads inside of jobs has the watch if there is a shortage, and they may be
 * there for long. */
static inline void look_after_shortage(tni_pool *pool, uint64_t now_ns)
{
    /* Relaxed: behind the fence, against that of the monitor, which rests only if it sees no shortage or no place taken. */
    if (tni_likely(tni_a64_load(&pool->retry_ns, TNI_RELAXED) == 0))
        return;
    if (tni_pool_may_retry(pool, now_ns))
        retry_start(pool, now_ns);
    else
        tni_runtime_request_maintenance(pool->runtime);
}

bool tni_pool_maintain(tni_attachment *self, uint64_t now_ns)
{
    tni_pool *pool = tni_container_of(self, tni_pool, base);

    /* Relaxed: behind the fence of who is about to rest; partners: tni_pool_push, and the stores
     * before tni_runtime_request_maintenance. */
    if (tni_likely(tni_a64_load(&pool->retry_ns, TNI_RELAXED) == 0) || tni_pool_slots_taken(pool) == 0)
        return false;
    if (tni_pool_may_retry(pool, now_ns))
        retry_start(pool, now_ns);
    return true;
}

void tni_pool_push(tni_pool *pool, tni_work *job)
{
    /* Relaxed: the CAS checks it. */
    void *newest = tni_aptr_load(&pool->inbox, TNI_RELAXED);
    uint64_t now_ns = tni_clock_ns(); /* the job may be gone when this is looked at last */
    tni_pool_deferred errand = {.call = NULL};

    tn_runtime_hold(pool->runtime);
    job->queued_ns = now_ns;
    do {
        job->next = newest;
        /* Publishes the job; partner: tni_pool_collect. */
    } while (!tni_aptr_cas(&pool->inbox, &newest, job, TNI_RELEASE));
    /* Orders the push before the look at the watch; partner: the fence in give_up_watch (pool_thread.c). */
    tni_fence_full();
    if (tni_likely(!tni_pool_try_take_token(pool))) {
        look_after_shortage(pool, now_ns);
        return;
    }
    tni_os_mutex_lock(&pool->lock);
    errand = tni_pool_wake_or_start(pool);
    tni_os_mutex_unlock(&pool->lock);
    tni_pool_run_deferred(pool, errand);
}

void tni_pool_work_done(tni_pool *pool, tni_work *job, int error)
{
    job->ops->over(job, error);
    tn_runtime_unhold(pool->runtime);
}

/* --- Waiting for room ------------------------------------------------------------------------------------------------------- */

static int room_poll(tn_future *self, tn_waker *waker)
{
    tni_pool_slot_waiter *room = tni_container_of(self, tni_pool_slot_waiter, base);
    tni_pool *pool = room->pool;
    tn_waker *old = NULL;
    int rc = 0;

    tni_os_mutex_lock(&pool->lock);
    if (tni_pool_is_closed(pool) && !room->granted) {
        rc = TN_ESHUTDOWN;
    } else if (room->linked) { /* by the way, or another task polls it now */
        old = room->waker;
        room->waker = tn_waker_retain(waker);
        rc = TN_PENDING;
    } else if (!room->granted && !take_place(pool, room->kind)) {
        room->waker = tn_waker_retain(waker);
        room->linked = true;
        append_room(&pool->waiting[room->kind], room);
        rc = TN_PENDING;
    } else if (room->granted) {
        remove_room(&pool->granted, room);
        room->granted = false;
    }
    tni_os_mutex_unlock(&pool->lock);
    if (old != NULL)
        tn_waker_release(old);
    return rc;
}

static void room_drop(tn_future *self)
{
    tni_pool_slot_waiter *room = tni_container_of(self, tni_pool_slot_waiter, base);
    tni_pool *pool = room->pool;
    tn_waker *waker;

    tni_os_mutex_lock(&pool->lock);
    waker = room->waker;
    room->waker = NULL;
    if (room->linked)
        remove_room(&pool->waiting[room->kind], room);
    room->linked = false;
    if (room->granted) /* and not told: we have been cancelled */
        tni_pool_revoke(pool, room);
    tni_os_mutex_unlock(&pool->lock);
    if (waker != NULL)
        tn_waker_release(waker);
}

static const tn_future_ops room_ops = {room_poll, room_drop, "room for a blocking job"};

int tni_pool_reserve_waiting(tni_pool *pool, tni_pool_class kind)
{
    int rc = tni_pool_reserve(pool, kind);
    tni_pool_slot_waiter room = {.base = {&room_ops}, .pool = pool, .kind = kind};

    if (tni_likely(rc != TN_EBUSY))
        return rc;
    rc = tn_await(&room.base);
    return rc == 0 ? confirm(pool, kind) : rc;
}

/* --- Taking back ------------------------------------------------------------------------------------------------------------ */

bool tni_pool_abandon(tni_work *job)
{
    uint32_t queued = TNI_WORK_QUEUED;

    /* Release: nothing; acquire: what the job has done if it has been started. The CAS decides who has it; partner: take
     * (pool_thread.c). */
    return tni_a32_cas(&job->state, &queued, TNI_WORK_ABANDONED, TNI_ACQ_REL);
}

bool tni_pool_withdraw(tni_pool *pool, tni_work *job)
{
    if (!tni_pool_abandon(job))
        return false;
    /* It was queued, and now its place is ours: until that is free no last thread leaves, and the pool stays. */
    tni_os_mutex_lock(&pool->lock);
    tni_pool_collect(pool);
    if (job->linked) /* else a thread has come by it */
        tni_pool_unlink(&pool->queues[job->kind], job);
    pool->counts.dropped++;
    tn_runtime_unhold(pool->runtime); /* the place keeps it alive still */
    tni_pool_free_slot(pool, job->kind);
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
        /* Of the two changes of one word one is first, and the other one fails and sees it; partner: put_back (pool_thread.c).
         * Acquire: not needed, the CAS has no weaker form; it publishes nothing. */
        if (tni_a32_cas(&job->state, &state, TNI_WORK_UNWANTED, TNI_ACQUIRE))
            return false;
    } while (state == TNI_WORK_QUEUED); /* put back just now; else the pool's end drops it */
    return false;
}

/* --- Looking ---------------------------------------------------------------------------------------------------------------- */

int tn_runtime_blocking(tn_runtime *runtime, tn_blocking_counters *out)
{
    /* Acquire: the pool as it was made. */
    void *attachment = tni_aptr_load(&runtime->attachment, TNI_ACQUIRE);
    tn_blocking_counters counts = {.size = 0};
    size_t size = out->size;

    if (size < sizeof(size_t) || size > sizeof *out)
        return TN_EINVAL;
    if (attachment != NULL && attachment != &tni_attachment_closed) {
        tni_pool *pool = tni_container_of(attachment, tni_pool, base);
        tni_os_mutex_lock(&pool->lock);
        counts = pool->counts;
        /* Relaxed: written under the lock; a count. */
        counts.threads = tni_a32_load(&pool->threads, TNI_RELAXED);
        counts.queued = tni_pool_slots_taken(pool);
        counts.called_inline = tni_a64_load(&pool->brief.calls, TNI_RELAXED); /* relaxed: a count */
        counts.idle = counts.threads - pool->active;
        counts.running_jobs = pool->queues[TNI_POOL_JOBS].running;
        counts.running_files = pool->queues[TNI_POOL_FILES].running;
        counts.running_names = pool->queues[TNI_POOL_NAMES].running;
        tni_os_mutex_unlock(&pool->lock);
    }
    memcpy(out, &counts, size);
    out->size = size;
    return 0;
}
