/* SPDX-License-Identifier: MIT */
/* A worker: a thread that holds a core and runs tasks. A worker without a core is a replacement thread, or continues the task
 * in which it has lost its core. */
#ifndef TNI_WORKER_H
#define TNI_WORKER_H

#include "base/parker.h"
#include "fiber/context.h"
#include "fiber/stack_overflow.h"
#include "os/os_thread.h"
#include "sched/core.h"

/* States of a worker's claim word; see core.h. */
enum { TNI_CLAIM_HELD, TNI_CLAIM_CLAIMING, TNI_CLAIM_TAKEN };

struct tni_worker {
    /* Constant once the thread runs. */
    tn_runtime *runtime;
    tni_thread thread;
    char name[16];           /* name of the thread */
    tni_worker *next_worker; /* the list of all workers of the runtime */
    unsigned number;         /* of its thread among all that the runtime has had, from 0 */
    bool owns_thread;        /* false: it is the thread that calls tn_block_on */
    bool asymmetric;         /* the runtime's */
    uint8_t budget;          /* of a task at the start of each run */
    int thread_id;           /* kernel thread id; it and `clock` are written before `current` is first set */
    tni_thread_clock clock;

    /* Written and read by the thread itself. */
    tni_context_home home;              /* where the scheduler continues when a task leaves */
    tni_stack_overflow_thread overflow; /* the alternative stack on which signal handlers run */
    bool is_starting;                   /* counted in the runtime's replacements_starting */
    bool is_bound;                      /* it runs on one processor (worker_cpus.h) */
    bool is_listed;                     /* in the runtime's list of workers, under its lock */
    bool searching;                     /* it searches, with a mark (idle.h) unless it was struck */
    bool surplus;                       /* at the last check more workers were awake than should be, and it is one of them */
    uint8_t turn;                       /* counts searches for a task; see next_pinned_in_turn */
    tni_inbox_node *pinned;             /* tasks taken from the mailbox, oldest first */
    tni_stamp run_began;                /* start of the present run, if it is measured; 0: it is not */
    bool has_pinned_tasks;              /* it has run tasks that no other worker may run again */
    tn_task *until;                     /* current-thread: stop when this task has ended; NULL: when the runtime is quiet */
    uint64_t until_ns;                  /* current-thread: stop at that time */

    /* Shared. */
    tni_cache_aligned tni_aptr core;     /* tni_core *; NULL: none. Set by the thread that gives it a core, cleared by itself */
    tni_a32 in_runtime;                  /* nesting depth of tni_worker_enter; written by the thread itself */
    tni_a32 claim;                       /* TNI_CLAIM_* */
    tni_a32 blocking;                    /* nesting depth of tn_block_begin; written by the thread itself */
    tni_aptr native;                     /* tni_native_call * that it makes for its task; as above */
    tni_aptr current;                    /* tn_task * that it runs; a hint for the monitor; as above */
    tni_cache_aligned tni_inbox mailbox; /* tasks that only this worker may run */
    tni_parker parker;
    tni_a32 rounds;               /* how often it was between two tasks without a core; written by the thread itself */
    bool takes_signals;           /* the runtime's lock: the thread handles the signal of stack_sampler.h */
    tni_run_record seen_run;      /* the monitor's */
    tni_a32 ended;                /* 1: the thread only has to return */
    tni_worker *next_replacement; /* the runtime's lock: link of the list of replacement threads */
#ifndef NDEBUG
    const tni_core *entered; /* the core that it is recorded to hold (held.h); written and read by the thread itself */
#endif
};

/* The entry function of a worker's thread. `arg`: the tni_worker. */
void *tni_worker_main(void *arg);

/* Runs the scheduler on the calling thread until `until` has ended (NULL: until the runtime is quiet), or until `until_ns`. */
void tni_worker_drive(tni_worker *worker, tn_task *until, uint64_t until_ns);

/* Gives a task to the only worker that may run it. */
void tni_worker_mail(tni_worker *worker, tn_task *task);

/* Wakes the worker if it sleeps, in its loop or on its parker. A notification that comes earlier ends its next sleep. */
void tni_worker_unpark(tni_worker *worker);

/* Wakes the worker that holds `core` if it is parked, so that it checks for what the caller has published. */
void tni_worker_wake_if_parked(tni_core *core);

/* --- Core access for a caller that knows its worker; see core.h ------------------------------------------------------------ */

/* Whether the worker holds a core and is inside a task, not in the scheduler. The result may be out of date. */
bool tni_worker_is_outside(const tni_worker *worker);

/* Claimer (at most one per runtime): takes the core from `victim`, and returns it. NULL: `victim` is inside the runtime or has
 * no core. The core has no holder until the caller gives it to a worker. */
tni_core *tni_worker_claim(tni_worker *victim);

#ifdef NDEBUG
static inline void tni_worker_record_enter(tni_worker *worker, const tni_core *core)
{
    (void)worker;
    (void)core;
}

static inline void tni_worker_record_leave(tni_worker *worker)
{
    (void)worker;
}
#else
/* Called by the outermost enter and leave: for tni_core_assert_holder. The worker's `core` is atomic, and a load of it would be
 * one more step of the model checker. */
static inline void tni_worker_record_enter(tni_worker *worker, const tni_core *core)
{
    worker->entered = core;
    tni_held_add(core);
}

static inline void tni_worker_record_leave(tni_worker *worker)
{
    tni_held_remove(worker->entered);
    worker->entered = NULL;
}
#endif

/* The rest of enter if the claim word is not HELD. */
tni_core *tni_worker_enter_claimed(tni_worker *worker, tni_core *core);

/* The rest of enter, with a depth of 1: the worker has `core`. */
static inline tni_core *tni_worker_enter_outermost(tni_worker *worker, tni_core *core)
{
    tni_fence_light(worker->asymmetric);
    /* Observes an earlier claim; partner: tni_worker_claim. */
    if (tni_unlikely(tni_a32_load(&worker->claim, TNI_ACQUIRE) != TNI_CLAIM_HELD))
        return tni_worker_enter_claimed(worker, core);
    tni_worker_record_enter(worker, core);
    return core;
}

static inline tni_core *tni_worker_enter(tni_worker *worker)
{
    /* Relaxed: own words. */
    uint32_t depth = tni_a32_load(&worker->in_runtime, TNI_RELAXED);
    tni_core *core = tni_aptr_load(&worker->core, TNI_RELAXED);

    if (tni_unlikely(core == NULL))
        return NULL;
    /* Publishes that the worker is in, before it reads the claim. Relaxed: ordered by the light fence, which pairs with the
     * claimer's heavy one; partner: tni_worker_claim. */
    tni_a32_store(&worker->in_runtime, depth + 1, TNI_RELAXED);
    return depth > 0 ? core : tni_worker_enter_outermost(worker, core);
}

/* tni_worker_enter where the worker's loop calls it: behind tni_worker_leave_last. */
static inline tni_core *tni_worker_enter_first(tni_worker *worker)
{
    tni_core *core = tni_aptr_load(&worker->core, TNI_RELAXED); /* relaxed: own word */

    if (tni_unlikely(core == NULL))
        return NULL;
    tni_a32_store(&worker->in_runtime, 1, TNI_RELAXED); /* as in tni_worker_enter */
    return tni_worker_enter_outermost(worker, core);
}

static inline void tni_worker_leave(tni_worker *worker)
{
    uint32_t depth = tni_a32_load(&worker->in_runtime, TNI_RELAXED) - 1; /* relaxed: own word */

    if (depth == 0)
        tni_worker_record_leave(worker);
    /* Release: publishes what this worker did to the core to a claimer that reads 0; partner: tni_worker_claim. */
    tni_a32_store(&worker->in_runtime, depth, TNI_RELEASE);
}

/* The same where the worker's loop calls it: the worker has entered once. */
static inline void tni_worker_leave_last(tni_worker *worker)
{
    tni_worker_record_leave(worker);
    tni_a32_store(&worker->in_runtime, 0, TNI_RELEASE); /* as in tni_worker_leave */
}

#endif
