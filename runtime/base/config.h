/* SPDX-License-Identifier: MIT */
/* Every tunable constant of the runtime, with its reason. The model checker's build uses smaller capacities. */
#ifndef TNI_CONFIG_H
#define TNI_CONFIG_H

#ifdef TNI_MODEL
#define TNI_DEQUE_CAPACITY 4
#define TNI_OVERFLOW_BATCH 2
#define TNI_SLAB_BYTES 1024
#define TNI_SLAB_BUSY 8
#define TNI_SLAB_STEP 8
#define TNI_SLAB_GIVE 2
#define TNI_LOOP_TAKEN_SPINS 2
#define TNI_RECLAIM_WAIT_NS UINT64_MAX
#define TNI_MEASURES 0
#else
/* 1: tasks are measured. The model checker measures none: the counts decide nothing. */
#define TNI_MEASURES 1
/* Tasks in a core's run queue. Tokio and Go both use 256. But one poll of a loop reports up to 1024 sockets, and tasks that do
 * not fit go through the injector to other cores, far from their memory: at 1000 connections that was 15 % of all requests. */
#define TNI_DEQUE_CAPACITY 1024
/* The most tasks that a full run queue moves to the injector at a time. */
#define TNI_OVERFLOW_BATCH 128
/* Alignment of a block of task headers, and a little more than its size: masking the address of a header finds its block. Two
 * pages of a block always keep their memory, which is one sixteenth, and so may pages that malloc touches beside it. */
#define TNI_SLAB_BYTES (128 * 1024)
/* A core that has allocated more headers since its last trim is busy and is not trimmed. One trim sorts at most the second number
 * of headers (some 20 ns each). */
#define TNI_SLAB_BUSY 8192
#define TNI_SLAB_STEP 65536
/* So many free headers at most a core gives to threads that find none. */
#define TNI_SLAB_GIVE 1024
/* A worker may find its loop taken, by a thread that polls it or that opens or closes a socket in it. It retries this many
 * times, and then after TNI_LOOP_TAKEN_NS. */
#define TNI_LOOP_TAKEN_SPINS 200
/* How long a thread that finds no memory waits for what other cores do not use. */
#define TNI_RECLAIM_WAIT_NS 20000000
#endif

/* Size of the blocks that a core keeps for the buffers of readers and writers, and the most that it keeps. A request of a server
 * needs one or two for the length of one run, so few are enough for any number of connections. */
#define TNI_BLOCK_BYTES 16384
#define TNI_BLOCKS_MAX 32

/* The monitor polls a loop that has not been polled for this long. */
#define TNI_STUCK_LATE_NS 2000000
/* The monitor records a worker that has been inside one task for this long. */
#define TNI_STUCK_NOTICE_NS 400000
/* A worker that has been inside one task for this long loses its core, unless options.stuck_after_ns says otherwise. */
#define TNI_STUCK_DEFAULT_NS 4000000
/* The monitor retries after this when a core could not be taken. */
#define TNI_STUCK_AGAIN_NS 1000000
/* If a core is taken repeatedly, each time halves the interval until its next check, but not below this. By then a replacement
 * thread has been inside its first task for a while. */
#define TNI_STUCK_CHECK_MIN_NS 250000
/* A thread that is awake counts as computing once it has had this much processor time in one run, or processor time for half of
 * the run. */
#define TNI_STUCK_CPU_NS 1000000
/* Most worker threads in excess of the cores. */
#define TNI_REPLACEMENT_THREADS_DEFAULT 64
/* Of the time between two checks, a report counts at most this much as sleep of a task: a later check shows that the monitor got
 * no processor. It is a little more than two periods of the monitor. */
#define TNI_STUCK_SLEEP_MAX_NS 8000000
/* Most stuck tasks that the log reports per minute. */
#define TNI_STUCK_REPORTS_A_MINUTE 5

/* A core measures about one task per interval, and at least one in two to the power of the maximum. A measured task costs some
 * 200 instructions, so at most 3 are added to each task on average. */
#define TNI_MEASURE_NS 1000000
#define TNI_MEASURE_LOG2_MAX 8

/* The name of a task is copied into its header: 23 bytes and the terminator. */
#define TNI_NAME_SIZE 24

/* Operations that a run may complete at once. Then the task must let others run. The figure is Tokio's. */
#define TNI_BUDGET 128
/* The same with options.yield_often: a poll completes only with more than 1. */
#define TNI_BUDGET_OFTEN 2
/* An operation that takes longer than this counts as several, so that a run of them takes about 50 µs. */
#define TNI_BUDGET_OPERATION_NS 400

/* How often in a row the LIFO slot goes before the run queue: a pair of tasks that wake each other must not keep the core. */
#define TNI_LIFO_STREAK_MAX 3

/* While tasks run, a worker checks the loop and the injector once per period. If more work than a period waits in its queue, it
 * polls the loop later, up to the maximum, which is less than TNI_STUCK_LATE_NS. It reads the clock every TNI_TICKS_MIN to
 * TNI_TICKS_MAX tasks, adapted so that it reads the clock about twice per period. */
#define TNI_POLL_PERIOD_NS 200000
#define TNI_POLL_MAX_NS 1000000
#define TNI_TICKS_MIN 1
#define TNI_TICKS_MAX 64

/* A worker whose queue is empty polls its loop before it steals from other cores, unless it polled less than this ago. */
#define TNI_POLL_FRESH_NS 25000

/* A worker with nothing to do polls the loop of a core whose worker has not read the clock for this long: that worker is inside
 * a long run, or has lost its processor. */
#define TNI_UNATTENDED_NS 400000

/* After a batch of reports another worker is woken only if the waiting tasks take at least this long, estimated from the runs
 * so far: a wake costs about 4 µs on the core that makes it, and more on the other core. If a run takes longer than estimated,
 * the monitor detects it. */
#define TNI_BACKLOG_NS 50000

/* A socket is registered in another core's loop if that has this many fewer sockets. A small number of sockets stays together,
 * because one worker handles them at less cost than two. */
#define TNI_REGISTRATIONS_SLACK 128

/* Tasks that a worker takes from the injector at once: the maximum when it has no tasks of its own; while it is busy, one per
 * TNI_INJECTED_RUNS runs, within the bounds below. */
#define TNI_INJECTED_MAX TNI_OVERFLOW_BATCH
#define TNI_INJECTED_RUNS 8
#define TNI_INJECTED_BUSY_MIN (TNI_OVERFLOW_BATCH / 16 + 1)
#define TNI_INJECTED_BUSY_MAX (TNI_OVERFLOW_BATCH / 2)

/* Sweeps over the other cores before a thief gives up. Only the last one touches LIFO slots. */
#define TNI_STEAL_SWEEPS 2

/* The monitor checks the cores once per period while any task runs, and earlier when a core is about to be taken. A token bucket
 * limits the checks to one per TNI_MONITOR_MEAN_NS on average. The bucket holds TNI_MONITOR_SAVED_NS, enough for one core that
 * is taken 64 times in a row. After TNI_MONITOR_REST_NS without any run the monitor sleeps. */
#define TNI_MONITOR_PERIOD_NS 3500000
#define TNI_MONITOR_MEAN_NS 2000000
#define TNI_MONITOR_SAVED_NS 200000000
#define TNI_MONITOR_REST_NS 50000000

/* Reports are limited per minute. */
#define TNI_MINUTE_NS UINT64_C(60000000000)

/* The CPU quota of the process is read again so often while any worker is awake. */
#define TNI_QUOTA_PERIOD_NS 10000000000

/* How long no thread waits so after one has found nothing. */
#define TNI_RECLAIM_PAUSE_NS 100000000

/* How long a worker that found its loop taken repeatedly sleeps on its parker. */
#define TNI_LOOP_TAKEN_NS 1000000

/* Most timers that expire while the wheel's lock is held once: it bounds how long another core waits to arm a timer. */
#define TNI_TIMER_BATCH 64

#define TNI_WORKERS_MAX 1024
#define TNI_BLOCKING_THREADS_MAX 10000
#define TNI_STACK_DEFAULT_BYTES (256 * 1024)
#define TNI_STACK_MIN_BYTES (32 * 1024)
#define TNI_STACK_MAX_BYTES (64 * 1024 * 1024)

#if TNI_DEQUE_CAPACITY & (TNI_DEQUE_CAPACITY - 1)
#error "the deque's capacity must be a power of two: indices are masked"
#endif
#if TNI_TICKS_MIN < 1 || TNI_TICKS_MAX < TNI_TICKS_MIN
#error "TNI_TICKS_MIN and TNI_TICKS_MAX are not a range"
#endif

#endif
