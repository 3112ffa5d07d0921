/* SPDX-License-Identifier: MIT */
/* The state of a runtime: its cores, its workers, and what they share. */
#ifndef TNI_RUNTIME_H
#define TNI_RUNTIME_H

#include "base/fork.h"
#include "base/holders.h"
#include "base/log.h"
#include "base/tls.h"
#include "sched/core.h"
#include "sched/idle.h"
#include "sched/injector.h"
#include "sched/reclaim.h"
#include "sched/starter.h"
#include "sched/worker_limit.h"
#include "sched/worker_replacement.h"
#include "task/task_upcalls.h"
#include "time/task_clock.h"

/* An extension of a runtime by a layer above (the blocking pool). `stop`: called when no task is left, or those left have
 * been abandoned; returns how many jobs were left at `deadline_ns`. A thread of the extension that is still running then
 * holds a reference to the runtime. `fini`: called when no thread is left. */
typedef struct tni_attachment tni_attachment;
struct tni_attachment {
    size_t (*stop)(tni_attachment *self, uint64_t deadline_ns);
    /* Called by the starter after a check of the monitor, or before the worker of a TN_CURRENT_THREAD runtime sleeps: does what
     * the extension's own threads cannot. True: it must be called again soon, even if all workers are parked. A thread that
     * makes it return true calls tni_runtime_request_maintenance. */
    bool (*maintain)(tni_attachment *self, uint64_t now_ns);
    /* Whether maintain would return true. The monitor calls it before; it takes no lock. */
    bool (*wants_maintenance)(const tni_attachment *self);
    /* Adds its measurements to a snapshot. It takes no lock. */
    void (*measure)(const tni_attachment *self, tn_metrics *out);
    void (*fini)(tni_attachment *self);
};

struct tn_runtime {
    /* Constant once created. */
    tn_options options;
    tn_allocator allocator;
    tni_log log;
    char name[9];             /* options.name, shortened: thread names have 15 characters */
    tni_thread_mask mask;     /* signal mask of the thread that created it, for threads that run user code */
    bool asymmetric;          /* light and heavy fences are available */
    bool special_wakes;       /* options.force_migration, or tasks may be accounted (work.h) */
    uint64_t holders;         /* the upper bits of its tasks as holders of locks (base/holders.h); 0: they are not recorded */
    uint32_t fork_generation; /* of the process that created it (base/fork.h) */
    unsigned *worker_cpus;    /* copy of options.worker_cpus, or NULL */
    unsigned core_count;
    tni_core *cores[TNI_WORKERS_MAX];

    /* Rarely written. */
    tni_cache_aligned tni_a32 closing; /* destroy has begun: each end of a task checks whether it was the last */
    tni_a32 cancelling;                /* new tasks are cancelled from the start */
    tni_a32 stopping;                  /* workers leave as soon as they are out of their task */
    tni_a32 any_core;                  /* the next core for a caller without a core */
    tni_a32 next_start;                /* the next core for a pinned task that begins */
    tni_a32 unrun;                     /* tasks that ended without a stack */
    tni_a32 seeds;                     /* how many generators have been seeded from options.seed */
    tni_a64 slow_reports;              /* of marked works in a minute (work.c) */
    tni_a32 driven;                    /* current-thread: 1 while a thread is in tn_block_on */
    tni_task_clock clock;              /* of the thread that drives a current-thread runtime */
    uint64_t deadlock_seen;            /* the monitor's: runs at its last deadlock report; UINT64_MAX: none yet */

    uint64_t trimmed_ns;      /* the maintaining thread's: when it trimmed the stacks last */
    bool external_trim_again; /* the maintaining thread's: the last trim of external_slabs has left something */

    tni_reclaim reclaim;
    tni_stack_pool stacks;
    tni_idle idle;
    tni_worker_limit limit;
    tni_injector injector;
    tni_monitor monitor;
    tni_starter starter;
    tni_reporter reporter;
    tni_stuck_log stuck_log;    /* the monitor's */
    tni_wait_graph *wait_graph; /* constant; NULL: cycles of waits are not looked for */
    tni_stack_sampler *sampler; /* constant; NULL: stacks of running tasks cannot be sampled */

    tni_os_mutex lock;              /* also held during a claim, so at most one claimer exists at a time */
    tni_worker *workers;            /* lock: all workers, with or without a core */
    tni_worker *replacements;       /* lock: replacement threads: workers without a core, asleep */
    unsigned replacement_count;     /* lock: length of that list */
    unsigned replacements_starting; /* lock: started, or about to be, and not in the list yet */
    tni_a32 replacement_threads;    /* written under the lock: threads in excess of the cores, including those about to start */
    tn_task *stack_waiters;         /* lock: fibers that wait for a stack, oldest first */
    tn_task **stack_waiters_end;    /* lock: where the next one is linked */

    tni_aptr attachment; /* tni_attachment *; NULL: none yet; tni_attachment_closed: no more */

    tni_stack *abandoned_stacks; /* retiring: stacks of abandoned tasks */

    tni_slab_cache external_slabs; /* headers of tasks spawned without a core; under the injector's lock */
    tni_counts external;           /* counts of what happened without a core */
    tni_meter outside;             /* of tasks that became runnable, or ran, without a core */

    tni_cache_aligned tni_a32 threads; /* workers that still run; destroy sleeps on it */
    tni_a32 references;                /* held by those threads and by destroy: the last one retires the runtime */
    tni_a32 externals;                 /* external threads that access the runtime on behalf of a waker or handle */
    tni_a32 holds;                     /* holds by callers of tn_runtime_hold and by blocking jobs in progress: no deadlock */
    tni_a32 pins;                      /* what outlives destroy (headers, tn_worker_local), and the retiring thread: the
                                        * last one frees */
    tni_a32 frames;                    /* running tasks of groups in abandoned frames, and the retiring thread: the last one
                                        * frees the stacks; each is a pin too */
    tni_a32 quiet;                     /* 1: closing, and no task is left; destroy sleeps on it */
};

/* Returns the number of tasks that were spawned and have not ended. 0 is exact once no external thread spawns. */
uint64_t tni_runtime_live(const tn_runtime *runtime);

/* Returns a number that changes whenever a task has run. */
uint64_t tni_runtime_runs(const tn_runtime *runtime);

/* Returns the task as the holder of a lock: a number that no other task of the process has, within
 * 2^20 runtimes with this mode, and 2^44 ids; 0: its runtime records none. */
static inline uint64_t tni_runtime_holder_key(const tn_task *task)
{
    uint64_t upper = task->runtime->holders;

    return upper == 0 ? 0 : upper | (task->id & ((UINT64_C(1) << TNI_HOLDERS_ID_BITS) - 1));
}

/* Called when a task has ended and the runtime is closing: wakes tn_runtime_destroy if it was the last one. */
void tni_runtime_task_ended_closing(tn_runtime *runtime);
/* Called when tn_runtime_destroy has begun and no task is left: wakes it. */
void tni_runtime_become_quiet(tn_runtime *runtime);

/* Called when a task has ended: wakes tn_runtime_destroy if it was the last one. */
static inline void tni_runtime_task_ended(tn_runtime *runtime)
{
    /* Orders the count of this end before the load, against the heavy fence in tn_runtime_destroy. */
    tni_fence_light(runtime->asymmetric);
    /* Relaxed: behind the fence. */
    if (tni_unlikely(tni_a32_load(&runtime->closing, TNI_RELAXED) != 0))
        tni_runtime_task_ended_closing(runtime);
}

/* Calls `visit` for each task header of the runtime, those of no task too (task/slab.h). Any thread. */
void tni_runtime_walk_tasks(tn_runtime *runtime, void (*visit)(void *arg, tn_task *task), void *arg);

/* Picks a core round-robin, for callers without a core. It is no reserve (idle.h). */
tni_core *tni_runtime_any_core(tn_runtime *runtime);

/* Returns the seed of a generator for choices of the scheduler: random, or the next one of a sequence that options.seed
 * determines. Never 0. */
uint64_t tni_runtime_random_seed(tn_runtime *runtime);

/* Called by the worker of a current-thread runtime: trims if it is time to, and maintains the attachment. True: it must be
 * called again soon. */
bool tni_runtime_maintain(tn_runtime *runtime, uint64_t now_ns);
/* Called by the monitor: the same, but makes the starter maintain the attachment. */
bool tni_runtime_request_starter(tn_runtime *runtime, uint64_t now_ns);
/* Calls the attachment's maintain. True: it must be called again soon. */
bool tni_runtime_maintain_attachment(tn_runtime *runtime, uint64_t now_ns);
/* Called by a thread after it has written what makes tni_runtime_maintain return true: ensures that it will be called. */
void tni_runtime_request_maintenance(tn_runtime *runtime);

/* Called by the thread that maintains the runtime: trims what has not been needed for an interval, if it is time to. due_ns: the
 * time at which the next call will find something, if nothing is needed until then; TNI_FOREVER: nothing. */
void tni_runtime_trim_if_due(tn_runtime *runtime, uint64_t now_ns);
uint64_t tni_runtime_trim_due_ns(tn_runtime *runtime);
/* When a worker trims its slabs next, after it has done so at `now_ns`; TNI_FOREVER: never. */
uint64_t tni_runtime_trim_next_ns(const tn_runtime *runtime, uint64_t now_ns);

/* The value of runtime->attachment once destroy has closed it. */
extern tni_attachment tni_attachment_closed;

/* Take and give back a reference of a thread that belongs to the runtime and is no worker. The thread that gives back the last
 * reference retires the runtime. */
void tni_runtime_retain(tn_runtime *runtime);
void tni_runtime_release(tn_runtime *runtime);

/* Keeps the memory of the runtime, so that no other one gets its address, until tni_runtime_unpin (task_upcalls.h). Called while
 * the runtime is not retired, or by the thread that retires it. */
static inline void tni_runtime_pin(tn_runtime *runtime)
{
    /* Relaxed: destroy, or the thread that retires, holds a pin meanwhile. The pin publishes nothing. */
    (void)tni_a32_fetch_add(&runtime->pins, 1, TNI_RELAXED);
}

/* Called while the runtime is retired: waits until the external threads inside the runtime (task_upcalls.h) have left. */
void tni_runtime_wait_for_externals(tn_runtime *runtime);

/* The last action of a worker thread. */
void tni_runtime_thread_ended(tn_runtime *runtime);

/* Called when there was no stack for a fiber. The caller no longer owns it. It is queued again when it has a stack, or without
 * one when none will be put back. The caller holds no lock. */
void tni_runtime_wait_for_stack(tn_runtime *runtime, tn_task *task);
/* Called when `count` stacks have come back to the pool: gives them to the fibers that have waited longest. */
void tni_runtime_stacks_came_back(tn_runtime *runtime, unsigned count);
/* tni_stack_pool_trim. Then gives stacks to fibers that have begun to wait meanwhile. */
void tni_runtime_stacks_trim(tn_runtime *runtime, bool all);
/* Moves the stacks of the caller's cache to the pool, and from there to fibers that wait for one. */
void tni_runtime_flush_stacks(tn_runtime *runtime, tni_stack_cache *cache);

/* The log of the calling task's runtime, for calls that name no runtime; NULL outside of tasks. */
static inline const tni_log *tni_runtime_log_here(void)
{
    const tn_task *task = tni_tls_get()->task;

    return task != NULL ? &task->runtime->log : NULL;
}

/* As tn_runtime_unhold, but does not notify the monitor, which may rest because of the hold. tni_task_inspect_walk notifies it
 * once. */
void tni_runtime_unhold_quietly(tn_runtime *runtime);

/* Whether this process is a child of fork, and the runtime belongs to its parent. */
static inline bool tni_runtime_is_inherited(const tn_runtime *runtime)
{
    return tni_fork_is_inherited(runtime->fork_generation);
}

static inline bool tni_runtime_is_stopping(const tn_runtime *runtime)
{
    /* Acquire: a thread that stops observes what destroy wrote before; partner: tn_runtime_destroy. */
    return tni_unlikely(tni_a32_load(&runtime->stopping, TNI_ACQUIRE) != 0);
}

static inline bool tni_runtime_is_quiet(const tn_runtime *runtime)
{
    /* Acquire: observes the last task's end; partner: tni_runtime_task_ended. */
    return tni_a32_load(&runtime->quiet, TNI_ACQUIRE) != 0;
}

/* Call the program's hooks: the first and the last thing that a thread of the runtime does. */
void tni_runtime_thread_begins(const tn_runtime *runtime);
void tni_runtime_thread_ends(const tn_runtime *runtime);

#endif
