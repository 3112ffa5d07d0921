/* SPDX-License-Identifier: MIT */
/* The pool from the inside: what the files pool_*.c share. */
#ifndef TNI_POOL_INTERNAL_H
#define TNI_POOL_INTERNAL_H

#include "pool/pool.h"

/* What is to be done after the lock has been let go. */
typedef struct {
    tni_pool_thread *call; /* to be woken */
    bool is_short;         /* no thread could be started */
    bool report;           /* and that is new */
    unsigned stuck;        /* so many jobs waited for each other; 0: none */
} tni_pool_deferred;

/* Lock held. Moves what has been submitted into the queues. */
void tni_pool_collect(tni_pool *pool);
/* Lock held. Jobs that a thread could start now. */
unsigned tni_pool_startable(const tni_pool *pool);
/* Lock held, the watch is the caller's: gives it to a thread. */
tni_pool_deferred tni_pool_wake_or_start(tni_pool *pool);
/* Lock not held. */
void tni_pool_run_deferred(tni_pool *pool, tni_pool_deferred errand);
/* Lock held. Do all jobs of users wait for others, so that none can end? Then one of them is told: the one whose deadline comes
 * first; if none has an earlier one, that of `thread` (NULL: any). Answers how many wait; 0: they do not. */
unsigned tni_pool_end_deadlock(tni_pool *pool, tni_pool_thread *thread);
/* Lock not held. */
void tni_pool_report_deadlock(tni_pool *pool, unsigned threads);
/* Lock held. Takes the place back from a submitter that has not been told of it. */
void tni_pool_revoke(tni_pool *pool, tni_pool_slot_waiter *room);
/* Lock held. A place in the queue is free again. */
void tni_pool_free_slot(tni_pool *pool, tni_pool_class kind);
/* Lock held. */
void tni_pool_unlink(tni_work_queue *queue, tni_work *job);
void tni_pool_append(tni_pool *pool, tni_work *job);
/* The job will not be started: whoever gets true is to take it out of its queue and to free its place. */
bool tni_pool_abandon(tni_work *job);
/* Lock held. Starts a thread, which has the watch. 0, or a negative errno value. */
int tni_pool_start_thread(tni_pool *pool);
/* Lock held. */
void tni_pool_idle_add(tni_pool *pool, tni_pool_thread *thread);
void tni_pool_idle_remove(tni_pool *pool, tni_pool_thread *thread);
/* Lock held. All idle threads are to look whether they should end. */
void tni_pool_wake_all_idle(tni_pool *pool);

/* Takes the watch if nobody has it. */
static inline bool tni_pool_try_take_token(tni_pool *pool)
{
    uint32_t nobody = 0;

    /* Relaxed load: callers stand behind a full fence after their push or their collect. Acq_rel: the watch is handed from thread
     * to thread. */
    return tni_a32_load(&pool->watched, TNI_RELAXED) == 0 && tni_a32_cas(&pool->watched, &nobody, 1, TNI_ACQ_REL);
}

/* Lock held. No thread could be started, and those inside of jobs have the watch. */
static inline bool tni_pool_is_short(const tni_pool *pool)
{
    return tni_a64_load(&pool->retry_ns, TNI_RELAXED) != 0; /* relaxed: written under the lock */
}

/* A hint; for sure with the lock held. The group that is short of threads has the watch, and may be inside of its jobs for long:
 * the next start is worth a try. */
static inline bool tni_pool_may_retry(const tni_pool *pool, uint64_t now_ns)
{
    uint64_t retry_ns = tni_a64_load(&pool->retry_ns, TNI_RELAXED); /* relaxed: a hint, or under the lock */

    return tni_unlikely(retry_ns != 0) && now_ns >= retry_ns;
}

/* Lock held. `retry_ns`: 0: the watch is the caller's now. */
static inline void tni_pool_set_short(tni_pool *pool, uint64_t retry_ns)
{
    /* Relaxed: for submitters a hint, which they look at again under the lock. */
    tni_a64_store(&pool->retry_ns, retry_ns, TNI_RELAXED);
}

/* Places that are taken. None, in a closed pool: the queues are empty for good. Behind a full fence after `closed` or `threads`
 * has been written. */
static inline size_t tni_pool_slots_taken(const tni_pool *pool)
{
    size_t places = 0;

    for (unsigned kind = 0; kind < TNI_POOL_CLASSES; kind++)
        places += tni_a32_load(&pool->queued[kind], TNI_RELAXED); /* relaxed: behind the fence; partner: tni_pool_reserve */
    return places;
}

bool tni_pool_maintain(tni_attachment *self, uint64_t now_ns);
size_t tni_pool_stop(tni_attachment *self, uint64_t deadline_ns);
void tni_pool_fini(tni_attachment *self);

#endif
