/* SPDX-License-Identifier: MIT */
/* The runtime: cores, workers, and what they share. */
#ifndef TNI_RUNTIME_H
#define TNI_RUNTIME_H

#include "base/log.h"
#include "sched/core.h"
#include "sched/idle.h"
#include "sched/injector.h"
#include "sched/worker_replacement.h"
#include "task/task_upcalls.h"

/* What a layer above hangs on a runtime (the blocking pool). `stop`: no task is left, or they have been given up; answers how
 * many jobs were left at `deadline_ns`. A thread of its own that runs on holds a reference to the runtime. `fini`: nobody is
 * left. */
typedef struct tni_attachment tni_attachment;
struct tni_attachment {
    size_t (*stop)(tni_attachment *self, uint64_t deadline_ns);
    /* At each look of the monitor, or before the worker of a TN_CURRENT_THREAD runtime sleeps: does what its own threads cannot.
     * True: again soon, even if all workers are parked; who makes it so calls tni_runtime_request_maintenance. */
    bool (*tend)(tni_attachment *self, uint64_t now_ns);
    void (*fini)(tni_attachment *self);
};

struct tn_runtime {
    /* Constant from create on. */
    tn_options options;
    tn_allocator allocator;
    tni_log log;
    char name[9];    /* options.name, cut: thread names have 15 characters */
    bool asymmetric; /* light and heavy fences are to be had */
    unsigned core_count;
    tni_core *cores[TNI_WORKERS_MAX];

    /* Rarely written. */
    tni_cache_aligned tni_a32 closing; /* destroy has begun: ends of tasks are looked at */
    tni_a32 cancelling;                /* tasks are born cancelled */
    tni_a32 stopping;                  /* workers leave as soon as they are out of their task */
    tni_a32 any_core;                  /* the next core for who has none of its own */
    tni_a32 driven;                    /* current-thread: somebody is in tn_block_on */
    uint64_t deadlock_seen;            /* the monitor: how much had been done when the last one was reported */

    tni_stack_pool stacks;
    tni_idle idle;
    tni_injector injector;
    tni_monitor monitor;
    tni_stuck_log stuck_log;    /* the monitor */
    tni_stack_sampler *sampler; /* constant; NULL: stacks of tasks that run are not to be had */

    tni_os_mutex lock;           /* held over a claim too: one taker at a time */
    tni_worker *workers;         /* lock: all there are, spares too */
    tni_worker *spares;          /* lock: those without a core, asleep */
    unsigned spare_count;        /* lock: how many these are */
    unsigned spares_coming;      /* lock: started, or about to be, and not in the list yet */
    unsigned spare_threads;      /* lock: threads beyond the cores, with those that are about to be started */
    tn_task *stack_waiters;      /* lock: oldest first; they wait for a stack */
    tn_task **stack_waiters_end; /* lock: where the next one is linked */

    tni_aptr attachment; /* tni_attachment *; NULL: none yet; tni_attachment_closed: none will be */

    tni_stack *abandoned_stacks; /* retiring: of tasks that were left behind */

    tni_slab_cache foreign_slabs; /* headers of tasks spawned without a core; under the injector's lock */
    tni_counts foreign;           /* what happened off the cores */

    tni_cache_aligned tni_a32 threads; /* workers that still run; destroy sleeps on it */
    tni_a32 references;                /* those threads and destroy: the last one retires the runtime */
    tni_a32 guests;                    /* threads that are not ours and touch us on behalf of a waker or handle */
    tni_a32 holds;                     /* something outside will wake a task, or blocking jobs are under way: no deadlock */
    tni_a32 pins;                      /* headers that outlive destroy, and the retiring: the last one frees */
    tni_a32 frames;                    /* running tasks of groups in abandoned frames, and the retiring: the last one frees the
                                        * stacks; each is a pin too */
    tni_a32 quiet;                     /* 1: closing, and no task is left; destroy sleeps on it */
};

/* Tasks spawned and not ended. 0 is exact once nobody spawns from outside. */
uint64_t tni_runtime_live(const tn_runtime *runtime);

/* A task ended: tells destroy if it was the last. */
void tni_runtime_task_ended(tn_runtime *runtime);
/* Destroy has begun, and no task is left: tells it. */
void tni_runtime_become_quiet(tn_runtime *runtime);

/* A core for who has none: in turn. */
tni_core *tni_runtime_any_core(tn_runtime *runtime);

/* Has what is attached do what only the runtime can. True: it is to be called again soon. */
bool tni_runtime_maintain(tn_runtime *runtime, uint64_t now_ns);
/* Whoever has written what makes the answer true: somebody will ask. */
void tni_runtime_request_maintenance(tn_runtime *runtime);

/* What runtime->attachment is once destroy has been past it. */
extern tni_attachment tni_attachment_closed;

/* A thread that is no worker and belongs to the runtime all the same. The last one to give its reference back retires it. */
void tni_runtime_retain(tn_runtime *runtime);
void tni_runtime_release(tn_runtime *runtime);

/* Retiring: guests (task_upcalls.h) are on their way out. */
void tni_runtime_wait_for_externals(tn_runtime *runtime);

/* The last thing a worker thread does. */
void tni_runtime_thread_ended(tn_runtime *runtime);

/* A fiber found no stack. 0: it has one now. 1: it is in the list of those that wait, and not the caller's any more; it is queued
 * again when it has one, or when none will ever come (then its `error` is set). TN_ENOMEM: none will ever come. */
int tni_runtime_wait_for_stack(tn_runtime *runtime, tn_task *task);
/* `count` stacks came back to the pool: they are handed to those that wait longest. */
void tni_runtime_stacks_came_back(tn_runtime *runtime, unsigned count);

static inline bool tni_runtime_is_stopping(const tn_runtime *runtime)
{
    /* Acquire: a thread that stops sees what destroy wrote before; partner: tn_runtime_destroy. */
    return tni_unlikely(tni_a32_load(&runtime->stopping, TNI_ACQUIRE) != 0);
}

static inline bool tni_runtime_is_quiet(const tn_runtime *runtime)
{
    /* Acquire: the last task's end; partner: tni_runtime_task_ended. */
    return tni_a32_load(&runtime->quiet, TNI_ACQUIRE) != 0;
}

#endif
