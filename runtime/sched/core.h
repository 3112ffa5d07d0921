/* SPDX-License-Identifier: MIT */
/* What a worker needs to schedule, apart from the thread that holds it: so a thread that is stuck in a task can lose its core.
 *
 * Core access. Everything marked "holder" is reached only between tni_core_enter and tni_core_leave, by the thread that holds
 * the core. Enter counts the worker in (in_runtime), then reads its claim word; whoever wants to take the core sets the claim,
 * makes a heavy fence, and backs off if the worker is in. So either the worker sees the claim or the taker sees the worker. A
 * claim that is seen half done is refused by the worker. Enter that answers NULL means: no core; the caller goes the way of a
 * foreign thread.
 *
 *   worker: in_runtime = 1; light fence; read claim: HELD -> go on
 *                                                    CLAIMING -> CAS to HELD: refused, go on;  lost: TAKEN
 *                                                    TAKEN -> in_runtime = 0, no core
 *   taker:  CAS claim HELD -> CLAIMING; heavy fence; read in_runtime: 1 -> CAS back to HELD, give up
 *                                                                    0 -> CAS to TAKEN: the core is ours, or it was refused
 */
#ifndef TNI_CORE_H
#define TNI_CORE_H

#include "base/count.h"
#include "fiber/stack.h"
#include "io/driver_upcalls.h"
#include "sched/deque.h"
#include "sched/monitor_state.h"
#include "task/slab.h"
#include "time/timer.h"

struct tni_core {
    /* Constant. */
    tn_runtime *runtime;
    unsigned index;

    /* Holder. */
    uint32_t ticks_period;    /* what ticks_left starts from */
    uint64_t polled_ns;       /* the loop was polled */
    uint64_t shares_taken_ns; /* the injector was looked at, those that yielded were served */
    uint64_t clock_read_runs; /* counts.polls at the last look */
    uint64_t run_ns;          /* what a run has taken lately, moving average */
    uint64_t random;          /* state of the generator */
    unsigned lifo_streak;     /* runs in a row that came from the LIFO slot */
    uint64_t share_end[2];    /* a queue: the index behind the last share of the injector */
    bool batching;            /* the loop or the timers are handing out tasks: one wake decision at the end */
    unsigned batch;           /* tasks handed out so far */
    tni_slab_cache slabs;
    tni_stack_cache stacks;

    /* Written by the holder, read by all. */
    tni_cache_aligned tni_counts counts;
    tni_a32 ticks_left;    /* runs until the clock is read again; the monitor may set it to 0 */
    tni_a64 clock_read_ns; /* the clock at the last look */
    tni_a32 serving;       /* which of the two queues is served; the other one collects the tasks that yielded */

    tni_core_record watch; /* the monitor */

    /* Shared. */
    tni_cache_aligned tni_aptr worker; /* tni_worker * that holds this core */
    tni_aptr next;                     /* the task just woken; goes first */
    tni_deque queues[2];
    tni_timers timers;
    tni_driver driver;
};

/* 0, or a negative errno value and nothing left behind. */
int tni_core_init(tni_core *core, tn_runtime *runtime, unsigned index);
/* After tni_driver_fini of all cores: their loops may hold wakers of this one's tasks. */
void tni_core_fini(tni_core *core);

/* The core of the calling thread, or NULL: not a worker, or it has lost its core. Nests. Each non-NULL answer is paired with a
 * tni_core_leave, with no suspension between. */
tni_core *tni_core_enter(void);
void tni_core_leave(void);

/* Scheduler: tni_timer_arm in the timers of `core`, on which the task ran (NULL: in those of any core). Wakes its worker if that
 * would sleep too long. */
void tni_core_arm_timer(tni_core *core, tn_task *task);

/* Anyone: fires the timers of a core, and polls its loop unless somebody does. What becomes runnable is queued as by any wake of
 * the caller's. Answers how many timers went off. */
unsigned tni_core_poll(tni_core *core, uint64_t now_ns);

#endif
