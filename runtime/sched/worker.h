/* SPDX-License-Identifier: MIT */
/* A worker: a thread that holds a core and runs tasks, or has none at the moment (a spare). */
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
    /* Constant once it runs. */
    tn_runtime *runtime;
    tni_thread thread;
    char name[16];           /* of the thread */
    tni_worker *next_worker; /* the list of all workers of the runtime */
    bool owns_thread;        /* false: the thread is the caller's of tn_block_on */
    bool asymmetric;         /* the runtime's */
    int thread_id;           /* the kernel's; this and the clock are written before `current` is first set */
    tni_thread_clock clock;

    /* The thread itself. */
    tni_context context;                /* where the scheduler goes on when a task leaves */
    tni_stack_overflow_thread overflow; /* report_overflow: where the handler runs */
    bool coming;                        /* counted in the runtime's spares_coming */
    bool searching;                     /* it counts as searching (idle.h), or was struck */
    bool pinned_turn;                   /* the mailbox goes before the queues this time */
    tn_task *pinned;                    /* taken from the mailbox, oldest first */
    bool is_home;                       /* there have been tasks that only this worker may run again */
    tn_task *until;                     /* current-thread: stop when this task has ended; NULL: when the runtime is quiet */
    uint64_t until_ns;                  /* current-thread: stop at that time at the latest */

    /* Shared. */
    tni_cache_aligned tni_aptr core;    /* tni_core *; NULL: a spare. Set by whoever gives it a core, cleared by itself */
    tni_a32 in_runtime;                 /* how deep the thread is inside the scheduler; written by itself */
    tni_a32 claim;                      /* TNI_CLAIM_* */
    tni_a32 blocking;                   /* how deep the task is inside of tn_block_begin; written by the thread itself */
    tni_aptr native;                    /* tni_native_call * that it makes for the task; as above */
    tni_aptr current;                   /* tn_task * that it runs; a hint for the monitor, written by the thread itself */
    tni_cache_aligned tni_aptr mailbox; /* tasks that only this worker may run, newest first */
    tni_parker parker;
    tni_a32 rounds;         /* times it was without a core between two tasks; written by the thread itself */
    bool takes_signals;     /* the runtime's lock: its thread can be asked for the stack of its task; see stack_sampler.h */
    tni_run_record stay;    /* the monitor */
    tni_a32 ended;          /* 1: the thread does nothing any more but return */
    tni_worker *next_spare; /* the runtime's lock: the list of spares */
};

/* What a worker's thread runs; `arg`: the tni_worker. */
void *tni_worker_main(void *arg);

/* Runs the scheduler on the calling thread until `until` has ended (NULL: until the runtime is quiet), or until `until_ns`. */
void tni_worker_drive(tni_worker *worker, tn_task *until, uint64_t until_ns);

/* Gives a task to the one worker that may run it. */
void tni_worker_mail(tni_worker *worker, tn_task *task);

/* Wakes the worker, wherever it sleeps. */
void tni_worker_unpark(tni_worker *worker);

/* Wakes the worker that holds `core`, if it sleeps: there is something new for it to look at. */
void tni_worker_wake_if_parked(tni_core *core);

/* --- Core access for who knows its worker; see core.h ----------------------------------------------------------------------*/

/* Is the worker outside the runtime, that is, in a task, and holds a core? A look that may be out of date. */
bool tni_worker_is_outside(const tni_worker *worker);

/* Taker (one at a time a runtime): takes the core from `victim`, unless it is inside the runtime or has none. The core then has
 * no holder until the caller gives it to a worker. */
tni_core *tni_worker_claim(tni_worker *victim);

/* The rest of enter when somebody claims the core. */
tni_core *tni_worker_enter_claimed(tni_worker *worker, tni_core *core);

static inline tni_core *tni_worker_enter(tni_worker *worker)
{
    /* Relaxed: own words. */
    uint32_t depth = tni_a32_load(&worker->in_runtime, TNI_RELAXED);
    tni_core *core = tni_aptr_load(&worker->core, TNI_RELAXED);

    if (tni_unlikely(core == NULL))
        return NULL;
    /* Says that we are in, before we read the claim: the light fence against the taker's heavy one. Relaxed: the fence orders
     * it. */
    tni_a32_store(&worker->in_runtime, depth + 1, TNI_RELAXED);
    if (depth > 0)
        return core;
    tni_fence_light(worker->asymmetric);
    /* Observes a taker that came before us; partner: tni_worker_claim. */
    if (tni_likely(tni_a32_load(&worker->claim, TNI_ACQUIRE) == TNI_CLAIM_HELD))
        return core;
    return tni_worker_enter_claimed(worker, core);
}

static inline void tni_worker_leave(tni_worker *worker)
{
    /* Release: what we did to the core is seen by a taker that reads 0; partner: tni_worker_claim. Load relaxed: own word. */
    tni_a32_store(&worker->in_runtime, tni_a32_load(&worker->in_runtime, TNI_RELAXED) - 1, TNI_RELEASE);
}

#endif
