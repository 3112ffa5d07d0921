/* SPDX-License-Identifier: MIT */
/* A core: the state that a worker needs to schedule (queues, loop, timers, slabs, stack cache), apart from its thread. So a
 * thread that is stuck in a task can lose its core to another thread.
 *
 * Core access. Everything marked "holder" is accessed only between tni_core_enter and tni_core_leave, by the thread that
 * holds the core. Enter counts the worker in (in_runtime), then reads its claim word. A thread that claims the core sets the
 * claim, makes a heavy fence, and gives up if the worker is in. So either the worker sees the claim or the claimer sees the
 * worker. The worker refuses a claim that it sees half done. If enter returns NULL the caller has no core: it uses the
 * external-thread path.
 *
 *   worker: in_runtime = 1; light fence; read claim: HELD -> continue
 *                                                    CLAIMING -> CAS to HELD: refused, continue;  failed: TAKEN
 *                                                    TAKEN -> in_runtime = 0, no core
 *   claimer: CAS claim HELD -> CLAIMING; heavy fence; read in_runtime: 1 -> CAS back to HELD, give up
 *                                                                      0 -> CAS to TAKEN: it has the core, or it was refused */
#ifndef TNI_CORE_H
#define TNI_CORE_H

#include "base/block_cache.h"
#include "base/count.h"
#include "base/held.h"
#include "fiber/stack.h"
#include "io/driver_upcalls.h"
#include "sched/deque.h"
#include "sched/injector.h"
#include "sched/meter.h"
#include "sched/monitor_state.h"
#include "task/slab.h"
#include "time/timer.h"

struct tni_core {
    /* Constant. */
    tn_runtime *runtime;
    unsigned index;

    /* Holder. */
    uint32_t ticks_period;    /* what ticks_left starts from */
    uint64_t polled_ns;       /* time of the last poll of the loop */
    uint64_t shares_taken_ns; /* time of the last share from the injector and from the yielded queue */
    uint64_t clock_read_runs; /* counts.polls when the clock was last read */
    uint64_t run_ns;          /* duration of recent runs, moving average */
    uint64_t random;          /* state of the random number generator */
    unsigned lifo_streak;     /* runs in a row that came from the LIFO slot */
    bool batching;            /* the loop or the timers make tasks runnable: one wake decision at the end */
    unsigned batch;           /* tasks made runnable in this batch */
    tni_sampler sampler;      /* of the tasks that become runnable here */
    uint64_t trim_due_ns;     /* when to trim the slabs next */
    tni_slab_cache slabs;
    tni_stack_cache stacks;
    tni_block_cache blocks; /* of the runtime's allocator */

    /* Written by the holder, read by all. */
    tni_cache_aligned tni_counts counts;
    tni_a32 ticks_left;    /* runs until the clock is read again; the monitor may set it to 0 */
    tni_a64 clock_read_ns; /* the clock when it was last read */
    tni_a32 serving;       /* index of the run queue; the other queue collects the tasks that yielded */
    tni_a64 share_end[2];  /* per run queue: the index after the last share from the injector */

    tni_a32 trim_again; /* 1: the last trim of the slabs has left something */
    tni_a64 trim_seen;  /* counts.polls at that trim */
    tni_a32 reclaimed;  /* the last request for which this core has given what it does not use (reclaim.h) */

    tni_core_record record; /* the monitor's */

    /* Shared. */
    tni_cache_aligned tni_aptr worker; /* tni_worker * that holds this core */
    tni_aptr lifo_slot;                /* the LIFO slot: the task woken last; runs first */
    tni_deque queues[2];
    tni_injector starts; /* pinned tasks that have not begun; the holder takes them, and the monitor moves them away */
    tni_timers timers;
    tni_driver driver;

    tni_meter meter; /* of its tasks (meter.h) */
};

/* Returns 0, or a negative errno value with nothing left allocated. */
int tni_core_init(tni_core *core, tn_runtime *runtime, unsigned index);
/* Call it after tni_driver_fini of all cores, because their loops may hold wakers of this core's tasks. */
void tni_core_fini(tni_core *core);

/* Returns the core of the calling thread, or NULL if the thread is no worker or has lost its core. Calls nest. Each call that
 * has returned a core is followed by a tni_core_leave, with no suspension between them. */
tni_core *tni_core_enter(void);
void tni_core_leave(void);

/* In a function that only the holder of the core calls: the calling thread is between enter and leave. */
#define tni_core_assert_holder(core) tni_held_assert(core, "the calling thread does not hold the core")

/* Called by the scheduler: tni_timer_arm with the timers of `core`, the core on which the task ran (NULL: of any core). Wakes
 * the core's worker if it would sleep too long. */
void tni_core_arm_timer(tni_core *core, tn_task *task);

/* Any thread: returns TNI_BLOCK_BYTES of the allocator for a buffer, or NULL; the content is undefined. They are from the
 * calling worker's core, if that has some and its runtime has the same allocator. `free` puts them there, if the same holds. */
void *tni_core_block_alloc(const tn_allocator *allocator);
void tni_core_block_free(const tn_allocator *allocator, void *block);

/* Any thread: fires the timers of a core, and polls its loop unless another thread polls it. Tasks that become runnable are
 * queued as by any other wake by the caller. Returns how many timers fired. */
unsigned tni_core_poll(tni_core *core, uint64_t now_ns);

#endif
