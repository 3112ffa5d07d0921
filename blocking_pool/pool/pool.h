/* SPDX-License-Identifier: MIT */
/* The blocking pool of a runtime: threads that run blocking jobs. README.md has the protocols and their arguments.
 *
 * How a field may be accessed:
 *   L  under the pool's lock
 *   S  constant after initialization
 *   W  atomic word with its own protocol
 */
#ifndef TNI_POOL_H
#define TNI_POOL_H

#include <tn/blocking.h>
#include <tn/scope.h>

#include "base/atomic.h"
#include "base/inbox.h"
#include "base/list.h"
#include "base/thread.h"
#include "base/tls.h"
#include "pool/done.h"
#include "pool/inline_stats.h"
#include "pool/inplace.h"
#include "sched/runtime.h"

typedef struct tni_work tni_work;
typedef struct tni_pool_thread tni_pool_thread;

/* Each class has its own cap on threads, so that no class starves another. */
typedef enum { TNI_POOL_JOBS, TNI_POOL_FILES, TNI_POOL_NAMES, TNI_POOL_CLASSES } tni_pool_class;

typedef struct {
    /* Called on a pool thread, without the lock. Returns true if the job needs another run: it is queued again behind the other
     * jobs, unless it is UNWANTED. */
    bool (*run)(tni_work *job);
    /* The last call for the job; the pool does not access it afterwards. `error` is 0 if the job has run, TN_ESHUTDOWN if the
     * pool will not run it (again). Not called for a job that has been withdrawn. */
    void (*complete)(tni_work *job, int error);
} tni_work_ops;

/* UNWANTED: started; its owner waits for the current run only, so it must not be queued again. */
enum { TNI_WORK_QUEUED, TNI_WORK_STARTED, TNI_WORK_UNWANTED, TNI_WORK_ABANDONED };

/* A job as the pool sees it; embedded in the struct of the caller. */
struct tni_work {
    union {
        tni_inbox_node inbox_node; /* W: while it is in the inbox */
        tni_list_node node;        /* L: in the queue of its class */
        tni_pool_thread *thread;   /* L: STARTED or UNWANTED: the one that has taken it */
    };
    const tni_work_ops *ops; /* S */
    uint64_t queued_ns;      /* written by the submitter, then L */
    tni_a32 state;           /* W: TNI_WORK_* */
    uint8_t kind;            /* S: tni_pool_class */
    bool mandatory;          /* S: run even while the runtime is being destroyed */
    bool linked;             /* L: in the queue of its class */
};

typedef struct {
    tni_list jobs; /* oldest first */
    unsigned length;
    unsigned running; /* threads that run a job of this class */
    unsigned cap;     /* limit on `running` */
} tni_work_queue;

struct tni_pool_thread {
    tni_pool *pool;            /* S */
    tni_thread id;             /* L, once started */
    tni_list_node node;        /* L: in `all` or in `unused` */
    tni_list_node idle_node;   /* L: in `idle` */
    tni_a32 woken;             /* L, and the futex of the idle thread; 1: woken, and holds the wake token */
    bool has_token;            /* L: holds the wake token */
    bool was_idle;             /* L: holds the wake token and has not taken a job since it was idle */
    bool timed_out;            /* L: was the standby thread, and its time has passed */
    uint64_t idle_since_ns;    /* L */
    uint64_t now_ns;           /* private to the thread: its last reading of the clock */
    tni_work *job;             /* L: the job that it runs; NULL: none. Other threads only compare it: it may be freed already */
    tni_work_queue *queue;     /* L: of the class of `job` */
    bool detached;             /* L: `job` is counted in `detached` of the pool, no longer in `running` of its class */
    bool left;                 /* L: `job` waits to be detached: no caller waits for it, and `detached_max` was reached */
    const tni_done *waits_for; /* L: its job waits in tn_job_join for the job with this word; NULL: it does not */
    tn_scope *wait_scope;      /* L: the scope around that wait */
    uint64_t wait_until_ns;    /* L: the deadline of that wait, all scopes around it considered; TN_NEVER: none */
    bool is_worker;            /* S: a worker that runs the function itself (inplace.c); in no list, not counted */
    bool deadlocked;           /* L: `wait_scope` was cancelled because all user jobs waited for each other */
};

/* A submitter that waits for a free slot in the queue. */
typedef struct tni_pool_slot_waiter tni_pool_slot_waiter;
struct tni_pool_slot_waiter {
    tn_future base;
    tni_pool *pool;
    tni_list_node node;  /* L */
    tn_waker *waker;     /* L: owned while `linked` */
    tni_pool_class kind; /* S */
    bool linked;         /* L: in `waiting` */
    bool granted;        /* L: in `granted`: it owns a slot and has not yet been polled since */
};

struct tni_pool {
    tni_attachment base;
    tn_runtime *runtime;   /* S */
    uint64_t idle_ns;      /* S */
    uint32_t queue_max;    /* S: slots of each class */
    unsigned threads_max;  /* S: sum of the caps and of detached_max */
    unsigned detached_max; /* S */
    char name[16];         /* S: of its threads */

    /* Accessed by submitters. */
    tni_cache_aligned tni_inbox inbox;    /* W: jobs */
    tni_a32 queued[TNI_POOL_CLASSES];     /* W: slots taken in each class: jobs queued, and submitters about to push */
    tni_cache_aligned tni_a32 wake_token; /* W: 1: held; the holder has promised to check the inbox again */
    /* W, written under the lock. 0: no shortage. Otherwise no thread could be started, the threads in jobs hold the wake token,
     * and this is when to try the next start. */
    tni_a64 retry_ns;
    tni_a32 threads; /* W, written under the lock: threads that have been started and have not exited */
    tni_a32 closed;  /* W: 1: the runtime is being destroyed; no more jobs are accepted */

    tni_cache_aligned tni_inplace_hints inplace;
    tni_inline_stats inline_stats;
    tni_aptr lookups; /* W: the table of lookups.c, made by the first lookup; NULL: none */

    tni_cache_aligned tni_os_mutex lock;
    tni_work_queue queues[TNI_POOL_CLASSES];
    unsigned active;          /* threads that run a job */
    unsigned detached;        /* of those, threads whose job has left the cap of its class (tni_pool_detach) */
    unsigned left;            /* threads whose job waits to be detached */
    unsigned joining;         /* of those, threads whose job waits for another job of the pool */
    uint64_t takes;           /* jobs taken so far */
    unsigned last_turn;       /* class of the job that was taken last */
    uint64_t seen_takes;      /* `takes` at the last check by the standby thread */
    uint64_t run_ns;          /* duration of a job, moving average */
    tni_list idle;            /* idle threads, the most recently idle one first */
    tni_pool_thread *standby; /* idle thread that holds the wake token and checks again after STANDBY_NS; NULL: none */
    bool reported_shortage;
    tni_list waiting[TNI_POOL_CLASSES]; /* submitters that wait for a free slot */
    tni_list granted;                   /* submitters that own a slot and do not know it yet */
    tni_list all;                       /* all threads */
    tni_pool_thread *ended;             /* last thread that exited, not joined yet; NULL: none */
    tni_list unused;                    /* structs of joined threads */
    bool abandoned;                     /* tni_pool_stop does not wait for the remaining threads */
    bool stopped;                       /* no more threads are started, even by a submitter that took the wake token before */
    tn_blocking_counters counts;
    tni_histogram waited[TNI_POOL_CLASSES]; /* written under the lock: from the call to the start of a job */
    tni_histogram ran[TNI_POOL_CLASSES];    /* the same: from the start to the end */
};

/* The pool of `runtime`, created by the first call. NULL: there is none, *error says why. */
tni_pool *tni_pool_of(tn_runtime *runtime, int *error);

/* The runtime of the calling task or job. NULL: called by neither. */
tn_runtime *tni_pool_current_runtime(void);

static inline void tni_pool_work_init(tni_work *job, const tni_work_ops *ops, tni_pool_class kind)
{
    job->ops = ops;
    job->queued_ns = 0;
    tni_a32_init(&job->state, TNI_WORK_QUEUED);
    job->kind = (uint8_t)kind;
    job->mandatory = false;
    job->linked = false;
}

/* Takes a slot in the queue of the class. 0; TN_EBUSY: none is free; TN_EAGAIN: no thread can be started; TN_ESHUTDOWN. */
int tni_pool_reserve(tni_pool *pool, tni_pool_class kind);
/* As tni_pool_reserve, but takes a slot above the bound of the queue if none is free. For what must not wait and must not be
 * done by the caller. */
int tni_pool_reserve_always(tni_pool *pool, tni_pool_class kind);
/* Frees a slot that has not been used. */
void tni_pool_unreserve(tni_pool *pool, tni_pool_class kind);
/* Queues the job in a reserved slot. From now on it belongs to the pool. */
void tni_pool_push(tni_pool *pool, tni_work *job);

/* Calls `complete` of a job that was pushed: it has run to its end, or will not run (again). */
void tni_pool_work_done(tni_pool *pool, tni_work *job, int error);

/* As tni_pool_reserve, but waits for a free slot. Also TN_ECANCELED, TN_ETIMEDOUT. Suspends while no slot is free; then it is a
 * cancellation point. */
int tni_pool_reserve_waiting(tni_pool *pool, tni_pool_class kind);

/* Takes the job back: it belongs to the caller again, and `complete` is not called. False: it has been started, dropped or
 * withdrawn before; only in that case may the pool have been freed. */
bool tni_pool_withdraw(tni_pool *pool, tni_work *job);

/* As tni_pool_withdraw; a job that has been started is not run again after `run` has returned. On false the caller keeps the
 * job's memory until `complete` has been called. */
bool tni_pool_withdraw_or_stop(tni_pool *pool, tni_work *job);

/* No caller waits any more for the job, which runs and cannot be ended: it leaves the cap of its class, so that the next job
 * can be started. At most `detached_max` jobs have left a cap at a time; beyond that the job stays in it until one of those
 * has ended. The pool exists, and the job has not been completed when the call begins. */
void tni_pool_detach(tni_pool *pool, tni_work *job);

/* The pool thread that runs the calling code as a job. NULL: the caller is not in a job. `local`: of the calling thread. */
static inline tni_pool_thread *tni_pool_current_thread_of(const tni_tls *local)
{
    return local->task == NULL ? local->pool_thread : NULL;
}

static inline tni_pool_thread *tni_pool_current_thread(void)
{
    return tni_pool_current_thread_of(tni_tls_get());
}

/* The calling job, of class TNI_POOL_JOBS, waits for another job of its pool inside the scope `wait`, until tni_pool_join_end.
 * If its wait is chosen to end a deadlock, `wait` is cancelled, now or later, and tni_pool_join_end returns true. */
void tni_pool_join_begin(tni_pool_thread *self, const tni_done *other, tn_scope *wait);
bool tni_pool_join_end(tni_pool_thread *self);

static inline bool tni_pool_is_closed(const tni_pool *pool)
{
    /* Observes what tni_pool_stop wrote before it set `closed`; partner: close_pool. */
    return tni_unlikely(tni_a32_load(&pool->closed, TNI_ACQUIRE) != 0);
}

#endif
