/* SPDX-License-Identifier: MIT */
/* The clock of tasks: tn_now, deadlines and timers read it. It is the monotonic clock, except in a current-thread runtime whose
 * time a task has paused (tn/time.h).
 *
 * States of a runtime's clock:
 *
 *   RUNNING   it is `ahead_ns` ahead of the monotonic clock: 0 until it is first resumed
 *   PAUSED    it stands still at `now_ns`
 *
 * A paused clock moves in two ways: a task advances it, or the worker moves it to the next timer when no task can run
 * (worker.c). It never goes back, because a pause begins at its present time and a resume continues from there.
 *
 * The clock belongs to the thread that runs the tasks of the runtime: only that thread accesses it, and it finds it through its
 * thread-local state. Every other thread reads the monotonic clock. What measures threads instead of tasks (run times, polls of
 * the loop, blocking calls, tn_runtime_destroy) reads the monotonic clock everywhere. */
#ifndef TNI_TASK_CLOCK_H
#define TNI_TASK_CLOCK_H

#include "base/thread.h"
#include "base/tls.h"

typedef struct tni_task_clock {
    bool altered; /* it is counted in tni_task_clock_altered */
    bool paused;
    uint64_t now_ns;   /* PAUSED: the time */
    uint64_t ahead_ns; /* RUNNING: added to the monotonic clock; a difference modulo 2^64, because the clock may be behind */
} tni_task_clock;

/* How many clocks of the process have ever been paused, of runtimes that still exist. A shortcut: while it is 0 every thread
 * reads the monotonic clock and not its thread-local state. */
extern tni_a32 tni_task_clock_altered;

/* Thread that runs the tasks: stops the clock; lets it run on. */
void tni_task_clock_pause(tni_task_clock *clock);
void tni_task_clock_resume(tni_task_clock *clock);

/* Called when the runtime is retired. */
void tni_task_clock_fini(tni_task_clock *clock);

/* The time at which the monotonic clock shows `real_ns`. */
static inline uint64_t tni_task_clock_at(const tni_task_clock *clock, uint64_t real_ns)
{
    return clock->paused ? clock->now_ns : real_ns + clock->ahead_ns;
}

/* RUNNING: the time of the monotonic clock at which this one shows `until_ns`; TNI_FOREVER stays what it is. */
static inline uint64_t tni_task_clock_real(const tni_task_clock *clock, uint64_t until_ns)
{
    return until_ns == TNI_FOREVER ? until_ns : until_ns - clock->ahead_ns;
}

/* The time for the code that runs on the calling thread. */
static inline uint64_t tni_task_clock_ns(void)
{
    const tni_task_clock *clock;

    /* Relaxed: a thread whose clock is altered has counted it itself. */
    if (tni_likely(tni_a32_load(&tni_task_clock_altered, TNI_RELAXED) == 0))
        return tni_clock_ns();
    clock = tni_tls_get()->clock;
    return clock == NULL ? tni_clock_ns() : tni_task_clock_at(clock, tni_clock_ns());
}

#endif
