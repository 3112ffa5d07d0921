/* SPDX-License-Identifier: MIT */
/* Every tunable of the runtime, with its reason. The model build shrinks the capacities. */
#ifndef TNI_CONFIG_H
#define TNI_CONFIG_H

#ifdef TNI_MODEL
#define TNI_DEQUE_CAPACITY 4
#define TNI_OVERFLOW_BATCH 2
#define TNI_SLAB_BYTES 1024
#define TNI_LOOP_TAKEN_SPINS 2
#else
/* Tasks in a core's ready queue. Tokio and Go both settled on 256; but one run of a loop reports up to 1024 sockets, and what
 * does not fit goes by the injector to other cores, far from its memory: at 1000 connections 15 % of all requests did. */
#define TNI_DEQUE_CAPACITY 1024
/* Tasks that go to the injector when the queue is full, at most. */
#define TNI_OVERFLOW_BATCH 128
/* Task headers are handed out from blocks that are aligned to this, and hardly smaller, so that a header's block is found by
 * masking. */
#define TNI_SLAB_BYTES (32 * 1024)
/* A worker that finds its loop taken, by somebody who serves it or who opens or closes a socket in it, tries again so often, and
 * then after TNI_LOOP_TAKEN_NS. */
#define TNI_LOOP_TAKEN_SPINS 200
#endif

/* The monitor serves a loop that has not been polled for the first of these. A worker that is inside one task for the second is
 * kept in mind, and after the third loses its core; at most so many threads more than cores; at most so many tasks are reported a
 * minute. */
#define TNI_STUCK_LATE_NS 2000000
#define TNI_STUCK_NOTICE_NS 400000
#define TNI_STUCK_DEFAULT_NS 4000000
/* A core that was to be taken and could not be is looked at again after this. */
#define TNI_STUCK_AGAIN_NS 1000000
/* A core that is taken again and again is looked at after half of the time each time, down to this: a spare has been inside its
 * first task for a while by then. */
#define TNI_STUCK_CHECK_MIN_NS 250000
/* A thread that is not asleep counts as computing once it has had this much processor time in one run, or half of the time. */
#define TNI_STUCK_CPU_NS 1000000
#define TNI_REPLACEMENT_THREADS_DEFAULT 64
#define TNI_STUCK_REPORTS_A_MINUTE 5

/* A name is copied into the header: 23 bytes and the end. */
#define TNI_NAME_SIZE 24

/* Operations that were ready at once a run; then the task has to let others run (Tokio's figure). */
#define TNI_BUDGET 128
/* One that keeps the worker for longer counts for several: so a run of them is 50 µs. */
#define TNI_BUDGET_OPERATION_NS 400

/* Times in a row that the LIFO slot goes before the queue: a pair of tasks that wake each other must not keep the core. */
#define TNI_LIFO_STREAK_MAX 3

/* The loop and the injector are looked at every so many nanoseconds while tasks run, the loop less often, as far as the maximum,
 * while more work than that waits here; the clock is read every TNI_TICKS_MIN..MAX tasks, adapted so that it is read about twice
 * a period. The maximum is less than TNI_STUCK_LATE_NS. */
#define TNI_POLL_PERIOD_NS 200000
#define TNI_POLL_MAX_NS 1000000
#define TNI_TICKS_MIN 1
#define TNI_TICKS_MAX 64

/* A worker whose queue is empty polls its loop before it looks for other cores' tasks, unless the last poll was less than this
 * ago. */
#define TNI_POLL_FRESH_NS 25000

/* A worker with nothing to do serves the loop of a core whose worker has not looked at the clock for so long: it is inside a long
 * run, or has lost its processor. */
#define TNI_UNATTENDED_NS 400000

/* After a batch of reports another worker is woken only if what waits here is worth this much time, going by the runs so far: a
 * wake costs about 4 µs here and more there. If a run turns out long after all, the monitor sees it. */
#define TNI_BACKLOG_NS 50000

/* A socket is registered in another core's loop if that has so many fewer. Few sockets stay together: one worker serves them
 * for less than two do. */
#define TNI_REGISTRATIONS_SLACK 128

/* Tasks that a worker takes from the injector at once: when it has none of its own; and while it is busy, one for so many runs,
 * within these bounds. */
#define TNI_INJECTED_MAX TNI_OVERFLOW_BATCH
#define TNI_INJECTED_RUNS 8
#define TNI_INJECTED_BUSY_MIN (TNI_OVERFLOW_BATCH / 16 + 1)
#define TNI_INJECTED_BUSY_MAX (TNI_OVERFLOW_BATCH / 2)

/* Sweeps over the other cores before a thief gives up; LIFO slots are touched in the last one only. */
#define TNI_STEAL_SWEEPS 2

/* The monitor looks at the cores this often while anything runs, sooner when a core is about to be taken, and at most once in
 * TNI_MONITOR_MEAN_NS on the average. What it has saved of that is cut at TNI_MONITOR_SAVED_NS: enough for one core that is taken
 * 64 times in a row. It sleeps after so long without any run. */
#define TNI_MONITOR_PERIOD_NS 3500000
#define TNI_MONITOR_MEAN_NS 2000000
#define TNI_MONITOR_SAVED_NS 200000000
#define TNI_MONITOR_REST_NS 50000000

/* How long a worker that found its loop taken, again and again, sleeps elsewhere. */
#define TNI_LOOP_TAKEN_NS 1000000

/* Timers that go off under one hold of the wheel's lock: it bounds how long an arm from another core can wait. */
#define TNI_TIMER_BATCH 64

#define TNI_WORKERS_MAX 1024
#define TNI_BLOCKING_THREADS_MAX 10000
#define TNI_STACK_DEFAULT_BYTES (256 * 1024)
#define TNI_STACK_MIN_BYTES (32 * 1024)
#define TNI_STACK_MAX_BYTES (64 * 1024 * 1024)

#if TNI_DEQUE_CAPACITY & (TNI_DEQUE_CAPACITY - 1)
#error "the deque's capacity has to be a power of two: indices are masked"
#endif
#if TNI_TICKS_MIN < 1 || TNI_TICKS_MAX < TNI_TICKS_MIN
#error "the clock has to be read now and then"
#endif

#endif
