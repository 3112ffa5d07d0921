/* SPDX-License-Identifier: MIT */
/* Internals of the pool, shared by the files pool_*.c. */
#ifndef TNI_POOL_INTERNAL_H
#define TNI_POOL_INTERNAL_H

#include "pool/pool.h"

/* Actions decided under the lock and done after its release. */
typedef struct {
    tni_pool_thread *wake; /* thread to wake; NULL: none */
    bool is_short;         /* no thread could be started */
    bool report;           /* log that shortage: it is new */
    unsigned deadlocked;   /* jobs that waited for each other in a deadlock; 0: none */
} tni_pool_deferred;

/* Moves the jobs in the inbox into the queues of their classes. */
void tni_pool_collect_locked(tni_pool *pool);
/* The number of jobs that a thread could start now: queued, and below the cap of their class. */
unsigned tni_pool_startable_locked(const tni_pool *pool);
/* The caller holds the wake token. Gives the token to an idle thread, a new thread, or the threads in jobs. */
tni_pool_deferred tni_pool_wake_or_start_locked(tni_pool *pool);
/* Releases the wake token, then checks the queues once more. True: the caller holds the token again, and there is a job to
 * start. */
bool tni_pool_release_token_locked(tni_pool *pool);
/* Call it without the lock. Does what tni_pool_wake_or_start_locked decided. */
void tni_pool_run_deferred(tni_pool *pool, tni_pool_deferred deferred);
/* If all user jobs wait for other jobs of the pool, so that none can end, cancels the wait with the earliest
 * deadline. If no deadline is earlier than that of `thread`, cancels the wait of `thread`; NULL: no thread is preferred.
 * Returns the number of jobs in the deadlock; 0: there is none. */
unsigned tni_pool_end_deadlock_locked(tni_pool *pool, tni_pool_thread *thread);
/* Call it without the lock. Logs a deadlock of that many threads. */
void tni_pool_report_deadlock(tni_pool *pool, unsigned threads);
/* Takes the slot back from a submitter that does not know of its grant yet. */
void tni_pool_revoke_locked(tni_pool *pool, tni_pool_slot_waiter *waiter);
/* Frees a slot: gives it to the oldest waiter, if there is one. */
void tni_pool_free_slot_locked(tni_pool *pool, tni_pool_class kind);
/* Removes the job from, or appends it to, the queue of its class. */
void tni_pool_unlink(tni_work_queue *queue, tni_work *job);
void tni_pool_append_locked(tni_pool *pool, tni_work *job);
/* Ensures that the job is not started. A caller that gets true must unlink the job and free its slot. */
bool tni_pool_abandon(tni_work *job);
/* If a job waits to be detached, and fewer than `detached_max` are: detaches one. */
void tni_pool_detach_left_locked(tni_pool *pool);
/* Starts a thread, which holds the wake token. 0, or a negative errno value. */
int tni_pool_start_thread_locked(tni_pool *pool);
/* Wakes all idle threads, so that they check whether they must exit. */
void tni_pool_wake_all_idle_locked(tni_pool *pool);

/* The thread of a node of `all` or `unused`. */
static inline tni_pool_thread *tni_pool_member(tni_list_node *node)
{
    return tni_container_of(node, tni_pool_thread, node);
}

/* The queue is not empty. */
static inline tni_work *tni_pool_oldest(const tni_work_queue *queue)
{
    return tni_container_of(queue->jobs.first, tni_work, node);
}

/* Takes the wake token if it is free. */
static inline bool tni_pool_try_take_token(tni_pool *pool)
{
    uint32_t not_held = 0;

    /* Relaxed load: the caller has made a full fence after its push or its collect. Acq_rel: observes what the last holder did
     * (tni_pool_release_token_locked), publishes to the next one. */
    return tni_a32_load(&pool->wake_token, TNI_RELAXED) == 0 && tni_a32_cas(&pool->wake_token, &not_held, 1, TNI_ACQ_REL);
}

/* Whether there is a shortage: no thread could be started, and the threads in jobs hold the wake token. */
static inline bool tni_pool_is_short_locked(const tni_pool *pool)
{
    tni_os_mutex_assert_held(&pool->lock);
    return tni_a64_load(&pool->retry_ns, TNI_RELAXED) != 0; /* relaxed: written under the lock */
}

/* Without the lock a hint. True: there is a shortage, and it is time to try the next start of a thread. */
static inline bool tni_pool_may_retry(const tni_pool *pool, uint64_t now_ns)
{
    uint64_t retry_ns = tni_a64_load(&pool->retry_ns, TNI_RELAXED); /* relaxed: a hint, or under the lock */

    return tni_unlikely(retry_ns != 0) && now_ns >= retry_ns;
}

/* 0 ends the shortage: the caller holds the wake token from now on. */
static inline void tni_pool_set_short_locked(tni_pool *pool, uint64_t retry_ns)
{
    tni_os_mutex_assert_held(&pool->lock);
    /* Relaxed: for submitters a hint, which they verify under the lock. */
    tni_a64_store(&pool->retry_ns, retry_ns, TNI_RELAXED);
}

/* The number of slots taken. 0 in a closed pool: the queues stay empty. Call it after a full fence that follows the write of
 * `closed` or `threads`. */
static inline size_t tni_pool_slots_taken(const tni_pool *pool)
{
    size_t slots = 0;

    for (unsigned kind = 0; kind < TNI_POOL_CLASSES; kind++)
        slots += tni_a32_load(&pool->queued[kind], TNI_RELAXED); /* relaxed: after that fence; partner: confirm */
    return slots;
}

bool tni_pool_maintain(tni_attachment *self, uint64_t now_ns);
bool tni_pool_wants_maintenance(const tni_attachment *self);
void tni_pool_measure(const tni_attachment *self, tn_metrics *out);
size_t tni_pool_stop(tni_attachment *self, uint64_t deadline_ns);
void tni_pool_fini(tni_attachment *self);

#endif
