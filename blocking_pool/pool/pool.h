/* SPDX-License-Identifier: MIT */
/* The blocking pool of a runtime: threads for jobs that block. README.md has the protocols and why they hold.
 *
 * Who may touch a field and when:
 *   L  under the pool's lock
 *   S  constant from the start
 *   W  a word with its own protocol
 */
#ifndef TNI_POOL_H
#define TNI_POOL_H

#include <tn/blocking.h>
#include <tn/scope.h>

#include "base/atomic.h"
#include "base/thread.h"
#include "pool/done.h"
#include "pool/inline_stats.h"
#include "pool/inplace.h"
#include "sched/runtime.h"

typedef struct tni_work tni_work;
typedef struct tni_pool_thread tni_pool_thread;

/* Each has its own cap on threads, so none can starve another. */
typedef enum { TNI_POOL_JOBS, TNI_POOL_FILES, TNI_POOL_NAMES, TNI_POOL_CLASSES } tni_pool_class;

typedef struct {
    /* On a pool thread, outside of the lock. True: there is more to do; it goes behind the other jobs, unless it is unwanted. */
    bool (*run)(tni_work *job);
    /* Last of all. 0: it has run; TN_ESHUTDOWN: it will not be run (any more). The pool does not touch the job any more.
     * Not called for a job that has been withdrawn. */
    void (*over)(tni_work *job, int error);
} tni_work_ops;

/* UNWANTED: started, and its owner waits only for what it does now: it does not go back into the queue. */
enum { TNI_WORK_QUEUED, TNI_WORK_STARTED, TNI_WORK_UNWANTED, TNI_WORK_ABANDONED };

/* A job as the pool sees it; lives inside of something larger. */
struct tni_work {
    tni_work *next;          /* inbox: W; then L */
    tni_work *prev;          /* L */
    const tni_work_ops *ops; /* S */
    uint64_t queued_ns;      /* the submitter, then L */
    tni_a32 state;           /* W: TNI_WORK_* */
    uint8_t kind;            /* S: tni_pool_class */
    bool mandatory;          /* S: run even if the runtime is being destroyed */
    bool linked;             /* L: in its queue */
};

typedef struct {
    tni_work *first;
    tni_work *last;
    unsigned length;
    unsigned running; /* threads inside of such a job */
    unsigned cap;     /* at most so many at once */
} tni_work_queue;

struct tni_pool_thread {
    tni_pool *pool;             /* S */
    tni_thread id;              /* L, after the start */
    tni_pool_thread *next;      /* L: list of all */
    tni_pool_thread *prev;      /* L */
    tni_pool_thread *idle_next; /* L: list of the idle */
    tni_pool_thread *idle_prev; /* L */
    tni_a32 called;             /* L, and slept on: 1: it has the watch */
    bool idle;                  /* L: in the list of the idle */
    bool watching;              /* L: it has the watch */
    bool arrived;               /* L: it has the watch and was idle before */
    bool timed_out;             /* L: it was the deputy, and its time is over */
    uint64_t idle_since_ns;     /* L */
    uint64_t now_ns;            /* its own: the clock as it read it last */
    tni_work *job;              /* L: it is inside of that; NULL: none */
    const tni_done *waits_for;  /* L: the job in which it is waits for the end of another one of the pool, this */
    tn_scope *wait;             /* L: meanwhile: what it waits in, */
    uint64_t wait_until_ns;     /* L: and until when; TN_NEVER: there is no deadline */
    bool is_guest;              /* S: a worker that calls a function in place; in no list */
    bool refused;               /* L: meanwhile: that scope has been cancelled, for nobody could ever end the wait */
};

/* A submitter that waits for room in the queue. */
typedef struct tni_pool_slot_waiter tni_pool_slot_waiter;
struct tni_pool_slot_waiter {
    tn_future base;
    tni_pool *pool;
    tni_pool_slot_waiter *next; /* L */
    tni_pool_slot_waiter *prev; /* L */
    tn_waker *waker;            /* L: owned, while it is linked */
    tni_pool_class kind;        /* S */
    bool linked;                /* L: it waits */
    bool granted;               /* L: a place in the queue is reserved for it */
};

typedef struct {
    tni_pool_slot_waiter *first;
    tni_pool_slot_waiter *last;
} tni_pool_slot_waiters;

struct tni_pool {
    tni_attachment base;
    tn_runtime *runtime;  /* S */
    uint64_t idle_ns;     /* S */
    uint32_t queue_max;   /* S: of each class */
    unsigned threads_max; /* S: the sum of the caps */
    char name[16];        /* S: of the threads */

    /* What a submitter touches. */
    tni_cache_aligned tni_aptr inbox;  /* W: tni_work *, newest first */
    tni_a32 queued[TNI_POOL_CLASSES];  /* W: places taken in each queue, and submitters about to push */
    tni_cache_aligned tni_a32 watched; /* W: 1: somebody will look into the inbox after this */
    tni_a64 retry_ns;                  /* W: written under the lock: 0; else no thread could be started, those inside of jobs have
                                        * the watch, and from then on the next start is worth a try */
    tni_a32 threads;                   /* W: written under the lock: threads that have been started and have not left */
    tni_a32 closed;                    /* W: 1: destroy has come; no more jobs */

    tni_cache_aligned tni_inplace_hints inplace;
    tni_inline_stats brief;

    tni_cache_aligned tni_os_mutex lock;
    tni_work_queue queues[TNI_POOL_CLASSES];
    unsigned active;             /* threads inside of jobs */
    unsigned joining;            /* of those, how many wait for another job of the pool */
    uint64_t takes;              /* jobs taken so far */
    uint64_t seen_takes;         /* `takes` when the deputy looked last */
    uint64_t run_ns;             /* what jobs have taken lately, moving average */
    tni_pool_thread *idle_first; /* the one that became idle last */
    unsigned idle_count;
    tni_pool_thread *deputy; /* idle, has the watch and looks again after a moment */
    bool reported_shortage;
    tni_pool_slot_waiters waiting[TNI_POOL_CLASSES]; /* submitters that wait for room */
    tni_pool_slot_waiters granted;                   /* submitters that have been given a place and have not been told yet */
    tni_pool_thread *all;
    tni_pool_thread *ended;  /* the last thread that left, not joined yet */
    tni_pool_thread *unused; /* structs of threads that have been joined */
    bool given_up;           /* destroy does not wait for the threads that are left */
    bool stopped;            /* no more thread is started, by a submitter that comes late to appoint one */
    tn_blocking_counters counts;
};

/* The pool of `runtime`, made at the first call; NULL and *error: there is none. */
tni_pool *tni_pool_of(tn_runtime *runtime, int *error);

/* The runtime of the calling task or job; NULL: neither. */
tn_runtime *tni_pool_current_runtime(void);

static inline void tni_pool_work_init(tni_work *job, const tni_work_ops *ops, tni_pool_class kind)
{
    job->next = NULL;
    job->prev = NULL;
    job->ops = ops;
    job->queued_ns = 0;
    tni_a32_init(&job->state, TNI_WORK_QUEUED);
    job->kind = (uint8_t)kind;
    job->mandatory = false;
    job->linked = false;
}

/* Takes a place in the queue of the class. 0; TN_EBUSY: there is none; TN_EAGAIN: no thread can be had; TN_ESHUTDOWN. */
int tni_pool_reserve(tni_pool *pool, tni_pool_class kind);
/* Gives the place back, unused. */
void tni_pool_unreserve(tni_pool *pool, tni_pool_class kind);
/* Gives the job to the pool, into a place that has been reserved. The job is not the caller's any more. */
void tni_pool_push(tni_pool *pool, tni_work *job);

/* A job that was pushed will not run any more, or has run to its end: calls its `over`. */
void tni_pool_work_done(tni_pool *pool, tni_work *job, int error);

/* As tni_pool_reserve, but waits where the queue is full. TN_ECANCELED, TN_ETIMEDOUT. Suspends; checkpoint if it does. */
int tni_pool_reserve_waiting(tni_pool *pool, tni_pool_class kind);

/* Takes the job back: it is the caller's again, and `over` will not be called. False: it has been started, dropped, or taken back
 * before; only then may the pool be gone. */
bool tni_pool_withdraw(tni_pool *pool, tni_work *job);

/* The same; a job that has been started is not run again once `run` has returned. The caller keeps the job's memory until `over`
 * has been called. */
bool tni_pool_withdraw_or_stop(tni_pool *pool, tni_work *job);

/* The pool thread that runs the calling code as a job; NULL: none does. */
tni_pool_thread *tni_pool_thread_current(void);

/* The calling job, one of a user, waits for another one of its pool, inside of the scope `wait`, from here to tni_pool_join_end.
 * If it has to be broken off, because all wait so, the scope is cancelled, now or later, and tni_pool_join_end answers true. */
void tni_pool_join_begin(tni_pool_thread *self, const tni_done *other, tn_scope *wait);
bool tni_pool_join_end(tni_pool_thread *self);

static inline bool tni_pool_is_closed(const tni_pool *pool)
{
    /* Acquire: what destroy wrote before; partner: tni_pool_stop. */
    return tni_unlikely(tni_a32_load(&pool->closed, TNI_ACQUIRE) != 0);
}

#endif
