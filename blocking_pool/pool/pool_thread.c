/* SPDX-License-Identifier: MIT */
/* The life of a pool's thread: arrive, take jobs, look about for a moment, stand by or sleep, leave. README.md has the
 * argument. */
#include "base/tls.h"
#include "pool/pool_internal.h"
#include "scope/scope.h"

/* How soon a deputy looks again. */
#define DEPUTY_NS (200 * TN_US)

/* One more thread is worth its wake if jobs are longer than this, */
#define SHORT_RUN_NS 1000
/* and what waits would keep the threads that work busy for so long, */
#define BACKLOG_NS 20000
/* or in any case if the oldest job has waited for so long. */
#define PATIENCE_NS TN_MS

tni_pool_thread *tni_pool_thread_current(void)
{
    const tni_tls *local = tni_tls_get();

    return local->task == NULL ? local->pool_thread : NULL;
}

/* --- Taking: lock held ------------------------------------------------------------------------------------------------------ */

/* Of the classes below their caps, the one whose first job is the oldest. */
static tni_work_queue *oldest_queue(tni_pool *pool)
{
    tni_work_queue *best = NULL;

    for (unsigned kind = 0; kind < TNI_POOL_CLASSES; kind++) {
        tni_work_queue *queue = &pool->queues[kind];
        if (queue->first == NULL || queue->running >= queue->cap)
            continue;
        if (best == NULL || queue->first->queued_ns < best->first->queued_ns)
            best = queue;
    }
    return best;
}

static void count_time(uint64_t *classes, uint64_t from_ns, uint64_t to_ns)
{
    uint64_t ns = to_ns > from_ns ? to_ns - from_ns : 0;
    unsigned class = ns > 1 ? 63 - (unsigned)__builtin_clzll(ns) : 0;

    classes[class < TN_BLOCKING_TIMES ? class : TN_BLOCKING_TIMES - 1]++;
}

static bool take(tni_pool_thread *self)
{
    tni_pool *pool = self->pool;

    for (;;) {
        tni_work_queue *queue = oldest_queue(pool);
        uint32_t queued = TNI_WORK_QUEUED;
        tni_work *job;

        if (queue == NULL)
            return false;
        job = queue->first;
        tni_pool_unlink(queue, job);
        /* Acquire, release: nothing, the lock and the inbox have it; the CAS decides who has the job. Partner: tni_pool_abandon.
         * Who has abandoned it waits for the lock, and frees its place. */
        if (tni_a32_cas(&job->state, &queued, TNI_WORK_STARTED, TNI_ACQ_REL)) {
            tni_pool_free_slot(pool, job->kind);
            queue->running++;
            pool->active++;
            pool->takes++;
            self->job = job;
            return true;
        }
    }
}

/* --- The watch: lock held --------------------------------------------------------------------------------------------------- */

/* Gives the watch up, and looks once more: true when it has it again, because there is something to do. */
static bool give_up_watch(tni_pool_thread *self)
{
    tni_pool *pool = self->pool;

    self->watching = false;
    /* Before the look, by the fence; partner: tni_pool_push. Release: whoever takes the watch next sees what we did with it. */
    tni_a32_store(&pool->watched, 0, TNI_RELEASE);
    tni_fence_full();
    tni_pool_collect(pool);
    self->watching = tni_pool_startable(pool) > 0 && tni_pool_try_take_token(pool);
    return self->watching;
}

/* The thread has taken a job, which may block: who looks after the others? */
static tni_pool_deferred hand_over(tni_pool_thread *self)
{
    tni_pool *pool = self->pool;
    tni_pool_deferred nothing = {.call = NULL};
    bool more = tni_pool_startable(pool) > 0;

    if (self->watching) {
        if (!more && !give_up_watch(self))
            return nothing;
    } else if (more && tni_pool_may_retry(pool, self->now_ns)) {
        tni_pool_set_short(pool, 0);
    } else if (!more || !tni_pool_try_take_token(pool)) {
        return nothing;
    }
    self->watching = false;
    return tni_pool_wake_or_start(pool);
}

/* Out of jobs: does a watch fall to this thread that would be of no use any more? Submitters have to wake somebody again. */
static void take_over_watch(tni_pool_thread *self)
{
    tni_pool *pool = self->pool;

    if (pool->deputy != NULL)
        pool->deputy = NULL; /* it is a plain idle thread from now on */
    else if (tni_pool_is_short(pool))
        tni_pool_set_short(pool, 0);
    else
        return;
    self->watching = true;
}

/* The caller has the watch and has just come: is there work for one thread more? */
static bool is_needed(const tni_pool_thread *self)
{
    const tni_pool *pool = self->pool;
    unsigned startable = tni_pool_startable(pool);

    if (startable == 0)
        return false;
    if (pool->active == 0 || (self->timed_out && pool->takes == pool->seen_takes))
        return true; /* nobody works, or those who do are stuck */
    if (pool->run_ns >= SHORT_RUN_NS && pool->run_ns * startable / pool->active >= BACKLOG_NS)
        return true;
    for (unsigned kind = 0; kind < TNI_POOL_CLASSES; kind++) {
        const tni_work_queue *queue = &pool->queues[kind];
        if (queue->first != NULL && queue->running < queue->cap && queue->first->queued_ns + PATIENCE_NS < self->now_ns)
            return true;
    }
    return false;
}

/* Not needed now, but soon perhaps: as long as others work on jobs that have been short so far, one thread looks now and then,
 * and submitters wake nobody. */
static bool is_wanted_as_deputy(const tni_pool_thread *self)
{
    const tni_pool *pool = self->pool;

    if (pool->active == 0)
        return false;
    return tni_pool_startable(pool) > 0 || (pool->run_ns < BACKLOG_NS && !(self->timed_out && pool->takes == pool->seen_takes));
}

/* --- Idle: lock held -------------------------------------------------------------------------------------------------------- */

void tni_pool_idle_add(tni_pool *pool, tni_pool_thread *thread)
{
    thread->idle = true;
    thread->idle_prev = NULL;
    thread->idle_next = pool->idle_first;
    if (pool->idle_first != NULL)
        pool->idle_first->idle_prev = thread;
    pool->idle_first = thread;
}

void tni_pool_idle_remove(tni_pool *pool, tni_pool_thread *thread)
{
    if (thread->idle_prev != NULL)
        thread->idle_prev->idle_next = thread->idle_next;
    else
        pool->idle_first = thread->idle_next;
    if (thread->idle_next != NULL)
        thread->idle_next->idle_prev = thread->idle_prev;
    thread->idle = false;
}

void tni_pool_wake_all_idle(tni_pool *pool)
{
    while (pool->idle_first != NULL) {
        tni_pool_thread *thread = pool->idle_first;
        tni_pool_idle_remove(pool, thread);
        thread->watching = thread->arrived = pool->deputy == thread;
        if (thread->watching)
            pool->deputy = NULL;
        /* Relaxed: under the lock. The struct outlives the thread. */
        tni_a32_store(&thread->called, 1, TNI_RELAXED);
        tni_futex_wake(&thread->called, 1);
    }
}

static uint64_t after(uint64_t from_ns, uint64_t ns)
{
    return ns > TNI_FOREVER - from_ns ? TNI_FOREVER : from_ns + ns;
}

/* Nothing has been asked of the thread for long, or the pool is closed. True: it has been taken from the count. */
static bool may_leave(tni_pool *pool)
{
    /* Relaxed, all: written under the lock. */
    uint32_t threads = tni_a32_load(&pool->threads, TNI_RELAXED);
    bool closed = tni_pool_is_closed(pool);

    tni_a32_store(&pool->threads, threads - 1, TNI_RELAXED);
    if (threads > 1 && !closed)
        return true;
    /* The last one leaves only when no submitter counts on it; all, in a closed pool, when no submitter has been in time.
     * Partner: confirm (pool.c): it sees the count, or `closed`, or we see its place. */
    tni_fence_full();
    if (tni_pool_slots_taken(pool) == 0)
        return true;
    tni_a32_store(&pool->threads, threads, TNI_RELAXED); /* relaxed: as above */
    return false;
}

/* In the list of the idle. True: it has been called, or its time as a deputy is over. False: it has to leave. */
static bool sleep_until_called(tni_pool_thread *self)
{
    tni_pool *pool = self->pool;
    uint64_t look_ns = after(self->now_ns, DEPUTY_NS);

    for (;;) {
        bool deputy = pool->deputy == self;
        uint64_t end_ns = after(self->idle_since_ns, pool->idle_ns);
        if (!deputy && (tni_pool_is_closed(pool) || self->now_ns >= end_ns)) {
            if (may_leave(pool)) {
                tni_pool_idle_remove(pool, self);
                return false;
            }
            self->idle_since_ns = self->now_ns;
            end_ns = after(self->idle_since_ns, pool->idle_ns);
        }
        tni_os_mutex_unlock(&pool->lock);
        tni_futex_wait(&self->called, 0, deputy ? look_ns : end_ns);
        self->now_ns = tni_clock_ns();
        tni_os_mutex_lock(&pool->lock);
        /* Relaxed: under the lock. */
        if (tni_a32_load(&self->called, TNI_RELAXED) != 0) {
            tni_a32_store(&self->called, 0, TNI_RELAXED); /* as above */
            return true;
        }
        if (pool->deputy == self && self->now_ns >= look_ns) {
            pool->deputy = NULL;
            tni_pool_idle_remove(pool, self);
            self->watching = self->arrived = self->timed_out = true;
            return true;
        }
    }
}

/* --- The loop: lock held ---------------------------------------------------------------------------------------------------- */

/* Has the watch, and was idle until now. True: it stands by, or there is nothing to do. */
static bool stand_by(tni_pool_thread *self)
{
    tni_pool *pool = self->pool;
    bool needed = is_needed(self);
    bool wanted = is_wanted_as_deputy(self);

    self->timed_out = false;
    self->arrived = false;
    if (needed || !wanted)
        return !needed && !give_up_watch(self);
    pool->seen_takes = pool->takes;
    pool->deputy = self;
    self->watching = false;
    return true;
}

/* Takes a job; false: there is none, and the thread is idle. */
static bool find_job(tni_pool_thread *self)
{
    tni_pool *pool = self->pool;

    tni_pool_collect(pool);
    if (self->arrived && stand_by(self)) {
        tni_pool_idle_add(pool, self);
        return false;
    }
    if (take(self))
        return true;
    take_over_watch(self);
    while (self->watching)
        if (give_up_watch(self) && take(self))
            return true;
    self->idle_since_ns = self->now_ns;
    tni_pool_idle_add(pool, self);
    return false;
}

/* Lock held. There is more to do: it goes behind the other jobs. False: it is unwanted, and has to end. */
static bool put_back(tni_pool *pool, tni_work *job, uint64_t now_ns)
{
    uint32_t started = TNI_WORK_STARTED;

    /* Decides between going on and ending; partner: tni_pool_withdraw_or_stop. Release: the next part, and the owner that takes
     * the job back, see what this part did. The owner waits for the lock before its frame goes, and so does a thread before it
     * leaves: so the job, and its place, may follow the word. */
    if (!tni_a32_cas(&job->state, &started, TNI_WORK_QUEUED, TNI_RELEASE))
        return false;
    job->queued_ns = now_ns;
    /* The place is above the bound for a moment if need be. Relaxed: a count, under the lock. */
    (void)tni_a32_fetch_add(&pool->queued[job->kind], 1, TNI_RELAXED);
    tni_pool_append(pool, job);
    return true;
}

/* Lock held; let go meanwhile. */
static void run_job(tni_pool_thread *self, tni_pool_deferred errand)
{
    tni_pool *pool = self->pool;
    tni_work *job = self->job;
    tni_work_queue *queue = &pool->queues[job->kind];
    bool drops = tni_pool_is_closed(pool) && !job->mandatory;
    bool again = false;
    uint64_t began_ns;

    count_time(pool->counts.waited, job->queued_ns, self->now_ns);
    tni_os_mutex_unlock(&pool->lock);
    if (errand.call != NULL || errand.is_short) {
        tni_pool_run_deferred(pool, errand);
        self->now_ns = tni_clock_ns();
    }
    began_ns = self->now_ns;
    if (!drops)
        again = job->ops->run(job);
    if (tni_unlikely(tni_tls_get()->scope != NULL))
        tni_scope_left_open(NULL); /* the jobs that this thread runs next would be inside of it */
    if (!again)
        tni_pool_work_done(pool, job, drops ? TN_ESHUTDOWN : 0);
    self->now_ns = tni_clock_ns();
    tni_os_mutex_lock(&pool->lock);
    if (again && !put_back(pool, job, self->now_ns)) {
        tni_os_mutex_unlock(&pool->lock);
        tni_pool_work_done(pool, job, 0);
        tni_os_mutex_lock(&pool->lock);
    }
    pool->run_ns = (7 * pool->run_ns + (self->now_ns - began_ns)) / 8;
    count_time(pool->counts.ran, began_ns, self->now_ns);
    pool->counts.started += !drops;
    pool->counts.finished += !drops;
    pool->counts.dropped += drops;
    queue->running--;
    pool->active--;
    self->job = NULL;
}

/* Lock held; lets it go. Counted out already. */
static void leave(tni_pool_thread *self)
{
    tni_pool *pool = self->pool;
    tni_pool_thread *before = pool->ended;

    if (self->prev != NULL)
        self->prev->next = self->next;
    else
        pool->all = self->next;
    if (self->next != NULL)
        self->next->prev = self->prev;
    if (pool->given_up) { /* detached */
        self->next = pool->unused;
        pool->unused = self;
        before = NULL;
    } else {
        pool->ended = self;
    }
    if (tni_pool_is_closed(pool)) {
        tni_pool_wake_all_idle(pool);
        tni_futex_wake(&pool->threads, 1);
    }
    tni_os_mutex_unlock(&pool->lock);
    if (before == NULL)
        return;
    tni_thread_join(&before->id);
    tni_os_mutex_lock(&pool->lock);
    before->next = pool->unused;
    pool->unused = before;
    tni_os_mutex_unlock(&pool->lock);
}

static void *thread_main(void *arg)
{
    tni_pool_thread *self = arg;
    tni_pool *pool = self->pool;
    tn_runtime *runtime = pool->runtime;

    tni_thread_name(pool->name);
    tni_tls_get()->pool_thread = self;
    self->now_ns = tni_clock_ns();
    self->idle_since_ns = self->now_ns;
    tni_os_mutex_lock(&pool->lock);
    for (;;) {
        if (find_job(self))
            run_job(self, hand_over(self));
        else if (!sleep_until_called(self))
            break;
    }
    leave(self);
    tni_tls_get()->pool_thread = NULL;
    tni_runtime_release(runtime);
    return NULL;
}

int tni_pool_start_thread(tni_pool *pool)
{
    tn_runtime *runtime = pool->runtime;
    tni_pool_thread *thread = pool->unused;
    int rc;

    if (pool->stopped)
        return TN_ESHUTDOWN;
    if (thread != NULL)
        pool->unused = thread->next;
    else
        thread = tni_alloc(&runtime->allocator, sizeof *thread, _Alignof(tni_pool_thread));
    if (thread == NULL)
        return TN_ENOMEM;
    thread->pool = pool;
    tni_a32_init(&thread->called, 0);
    thread->watching = thread->arrived = true;
    thread->timed_out = false;
    thread->job = NULL;
    thread->waits_for = NULL;
    thread->wait = NULL;
    thread->refused = false;
    thread->is_guest = false;
    tni_runtime_retain(runtime);
    rc = tni_thread_start(&thread->id, thread_main, thread);
    if (rc != 0) {
        tni_runtime_release(runtime); /* never the last one: the caller is one of the runtime's, or names it */
        thread->next = pool->unused;
        pool->unused = thread;
        pool->counts.failed_starts++;
        return rc;
    }
    thread->prev = NULL;
    thread->next = pool->all;
    if (pool->all != NULL)
        pool->all->prev = thread;
    pool->all = thread;
    pool->counts.threads_started++;
    pool->reported_shortage = false;
    /* Relaxed: written under the lock; a submitter that sees it late takes the lock. */
    (void)tni_a32_fetch_add(&pool->threads, 1, TNI_RELAXED);
    return 0;
}
