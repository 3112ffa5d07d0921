/* SPDX-License-Identifier: MIT */
/* tournant: creating, running and destroying a runtime; options, dumps, counters. */
#ifndef TN_RUNTIME_H
#define TN_RUNTIME_H

#include <string.h>

#include <tn/scope.h>
#include <tn/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An allocator that a runtime uses instead of the C library's. Any thread calls its functions; neither is NULL. */
typedef struct tn_allocator {
    void *(*alloc)(void *ctx, size_t size_bytes, size_t align_bytes); /* NULL: out of memory; `align_bytes`: a power of two */
    void (*free)(void *ctx, void *ptr, size_t size_bytes);
    void *ctx; /* passed to both */
} tn_allocator;

/* How serious a log line is. */
typedef enum tn_log_level { TN_LOG_INFO, TN_LOG_WARNING, TN_LOG_ERROR } tn_log_level;

/* Receives one line of the log, without its newline. `message` is borrowed for the call. Any thread calls it. */
typedef void (*tn_log_fn)(void *ctx, tn_log_level level, const char *message);

/* Called first, or last, on each thread that runs tasks or blocking jobs: workers, their replacements, threads of the pool. It is
 * not called on a thread of the program, such as the caller of tn_block_on, nor on the three threads that watch the workers.
 * One of these calls tn_options.log and tn_options.on_deadlock for reports. Both may block: only tn_runtime_destroy waits for
 * them. The hook must not suspend. */
typedef void (*tn_thread_hook_fn)(void *ctx);

/* Which threads run the tasks of a runtime. With TN_CURRENT_THREAD, tn_options.workers is 0 or 1. */
typedef enum tn_flavor {
    TN_MULTI_THREAD,   /* one worker thread per core; workers steal from each other */
    TN_CURRENT_THREAD, /* no threads: the thread that calls tn_block_on runs all tasks during the call */
} tn_flavor;

/* What protects the memory below a fiber's stack. */
typedef enum tn_guard {
    TN_GUARD_DEFAULT,  /* lightweight guards where the kernel has them (Linux 6.13), otherwise, and in locked memory, mprotect */
    TN_GUARD_LIGHT,    /* lightweight guards; without them tn_runtime_create fails. Locked memory gets mprotect */
    TN_GUARD_MPROTECT, /* two mappings per stack: about 30,000 stacks at the default vm.max_map_count */
    TN_GUARD_NONE,     /* a canary, which is checked when the stack is returned */
} tn_guard;

/* Options of a runtime. */
typedef struct tn_options {
    size_t size;                       /* of this struct; tn_options_default() sets it */
    tn_flavor flavor;                  /* which threads run the tasks */
    unsigned workers;                  /* 0: one per CPU that this process may really use; at most 1024; see follow_cpu_quota */
    size_t stack_size_bytes;           /* of a fiber, see tn_spawn_options; 0: 256 KiB */
    size_t stacks_max;                 /* how many fibers may have a stack at once; the others wait for theirs; 0: no limit */
    tn_guard guard;                    /* what protects the memory below a stack */
    bool guard_fallback;               /* for a stack that can get no guard: a canary instead of TN_ENOMEM */
    bool no_migration;                 /* each task stays on the worker that runs it first, often its parent's */
    bool report_overflow;              /* a handler of SIGSEGV and SIGBUS names the task whose stack overflowed, and aborts */
    bool measure_stacks;               /* record the deepest use of stacks: tn_counters.stack_used_max_bytes */
    bool force_migration;              /* for tests: every resume is on another worker than the last one */
    const char *name;                  /* threads are called NAME-0, NAME-1, …; NULL: "tn" */
    const tn_allocator *allocator;     /* copied; NULL: the C library's */
    tn_log_fn log;                     /* NULL: warnings and errors go to stderr */
    void *log_ctx;                     /* passed to `log` */
    tn_thread_hook_fn on_thread_start; /* called first on each thread that runs user code; NULL: none */
    tn_thread_hook_fn on_thread_stop;  /* called last on each of these threads; NULL: none */
    void *thread_hook_ctx;             /* passed to both */
    bool report_deadlock;              /* when no task can ever be woken any more: a warning and a dump in the log */
    void (*on_deadlock)(void *ctx, tn_runtime *runtime); /* called instead of the log; may call tn_dump, must not suspend */
    void *deadlock_ctx;                                  /* passed to `on_deadlock` */
    /* How long a worker may be inside one task, asleep or computing, while others wait for its core. Then the core goes to a
     * replacement thread. So even with one worker two tasks may run at once. A worker that sleeps loses the core earlier if
     * another worker has just lost the same core. In nanoseconds; 0: 4 ms; UINT64_MAX: only tn_block_begin gives it up. */
    uint64_t stuck_after_ns;
    unsigned replacement_threads_max; /* maximum number of replacement threads, beside the workers, up to 10,000; 0: 64 */
    /* A task that keeps its thread for this many nanoseconds is logged with its stack, each task once, at most 5 per minute; 0:
     * none is. What counts is the processor time of the thread and the time that it sleeps, not the time in which it gets no
     * processor. The stack of a thread that sleeps is read from outside. A thread that computes gets a signal. A sleep(3),
     * poll(2) or similar call that it begins at that moment may end early with EINTR. */
    uint64_t report_stuck_ns;
    unsigned blocking_threads; /* maximum number of threads that run blocking jobs, up to 10,000; 0: 512 */
    unsigned file_threads;     /* maximum number of further threads, for files, up to 10,000; 0: 64 */
    unsigned name_threads;     /* maximum number of further threads, for host names, up to 10,000; 0: 16 */
    uint64_t blocking_idle_ns; /* a thread of these three kinds ends after it has been idle for so many nanoseconds; 0: 10 s */
    size_t blocking_queue_max; /* at most this many jobs wait for a thread, and as many file calls and look-ups; 0: 16384 */
    /* The signal that makes a thread show its stack, for report_stuck_ns, and for tn_dump if that is set; 0: SIGURG. A signal
     * of this number that the runtime did not send goes to the handler that was there before. */
    int stuck_signal;
    /* tn_run_blocking calls a function on the caller's worker if each of its last 64 calls took less than this, because waking
     * a thread takes longer. Such a call does not count towards blocking_threads. If blocking_threads is 1, no such call is
     * made. If such a call blocks after all, stuck_after_ns applies to it. In nanoseconds; 0: 20 us; 1: never. */
    uint64_t blocking_inline_ns;
    /* For tests: the start of the random choices of the scheduler (from which core a worker steals, with which branch a select
     * begins). With the same seed a current-thread runtime makes the same choices again. 0: they differ from run to run. */
    uint64_t seed;
    /* For tests: at most one operation that is a cancellation point completes in each run of a task; then the task yields. So
     * other tasks run between any two operations, as they may on a loaded machine. */
    bool yield_often;
    bool no_overflow_report; /* for tn_run: report_overflow is not set, so SIGSEGV and SIGBUS keep their handlers */
    /* While the CPU quota of the process's control groups (version 2 and 1) allows fewer processors than there are workers, the
     * others are left unused. They only pass on events of their connections and timers, and run the pinned tasks that have begun
     * on them. The quota is read every 10 seconds; if it cannot be read, the last one holds. The log (TN_LOG_INFO) has each
     * change of how many workers are used. Without a number in `workers` or `worker_cpus` this is so in any case: there are as
     * many workers as the quota allowed at the beginning, and never more. Not for TN_CURRENT_THREAD. */
    bool follow_cpu_quota;
    /* Mutexes and read-write locks record which task holds them. So a cycle of fibers that wait for each other's locks, or ends,
     * is logged with their stacks. Each cycle is logged once, at most 5 a minute, while the rest of the program runs.
     * docs/debugging.md says which cycles are found. From the first runtime with this option on, all locks of the process are
     * slower. Not for TN_CURRENT_THREAD. */
    bool report_wait_cycles;
    unsigned char reserved[4]; /* 0 */
    /* Bytes of the guard below each stack, rounded up to whole pages; at most 32 MiB. They are part of the stack's size, of
     * which they take at most half: a smaller stack becomes larger. 0: a quarter of the stack, at least 16 KiB and at most 64
     * KiB. A function can jump over the guard if its frame is larger, and it was compiled without -fstack-clash-protection. */
    size_t guard_size_bytes;
    /* Memory of idle stacks and of ended tasks goes back to the kernel step by step. In each interval of so many nanoseconds it
     * is about half of what was not needed. About an eighth of the memory of ended tasks stays; if `allocator` is set, all of it.
     * A page of an idle stack stays while stacks near it are in use. A worker that spawns tasks keeps up to 64 stacks. 0: 500
     * ms; UINT64_MAX: never. */
    uint64_t trim_interval_ns;
    /* The processors that the workers run on, as numbers of sched_setaffinity(2); copied. The worker of core i runs on
     * worker_cpus[i % worker_cpu_count]. Replacement threads, and workers that have lost their core, run on any of the list.
     * Threads for blocking jobs are not bound. If `workers` is 0, there is one for each entry. NULL: workers run where the thread
     * that creates the runtime may run, and the kernel moves them. Not for TN_CURRENT_THREAD. */
    const unsigned *worker_cpus;
    size_t worker_cpu_count; /* at most 1024 */
    /* A piece of work (tn/work.h), or a request of tn_serve, is logged with how its time was spent, if it takes so many
     * nanoseconds or more. Its task calls `log`, at most 60 times a minute. UINT64_MAX: all are measured, none is logged. 0: none
     * is measured. */
    uint64_t report_slow_ns;
} tn_options;

/* Returns the default options.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: none.
 * Errors: none.
 * Cancellation: no. */
static inline tn_options tn_options_default(void)
{
    tn_options options;

    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    return options;
}

/* Creates a runtime, runs `entry(arg)` as its first task, waits for all tasks, and destroys the runtime. `options`: NULL for
 * the defaults. report_deadlock is set in any case, and report_overflow unless no_overflow_report is.
 *
 * Returns 0, or the error with which `entry` ended: its result, if that is negative as a number, such as an error code returned
 * as `(void *)(intptr_t)rc`. Any other result is ignored; tn_block_on returns it.
 *
 * Signal handlers: tn_run handles SIGSEGV and SIGBUS while it runs, unless no_overflow_report is set. A runtime with
 * report_overflow does too, and one with report_stuck_ns handles stuck_signal. There are no others. Each passes on what is not
 * its own. The handler that was there before keeps its meaning (SA_RESETHAND, SA_NODEFER, sa_mask, SA_RESTART); only, it runs on
 * the alternate signal stack of its thread. The last runtime restores it. tn_runtime_create says which signals threads block.
 *
 * Suspends: until all tasks have ended; the calling thread is blocked.
 * Callable from: a plain thread.
 * Ownership: `arg` is borrowed.
 * Errors: TN_EINVAL: an option is refused (tn/base.h). TN_ENOMEM, TN_EAGAIN, TN_EMFILE, TN_ENOTSUP, TN_ESHUTDOWN.
 * Any other error is the one of `entry`. A program that must tell these apart calls tn_runtime_create and tn_block_on.
 * Cancellation: no. */
TN_API int tn_run(tn_entry_fn entry, void *arg, const tn_options *options);

/* Creates a runtime and starts its worker threads. `options`: NULL for the defaults.
 *
 * Each thread that runs user code blocks the signals that the calling thread blocks now; with report_stuck_ns stuck_signal is
 * not blocked. So a program that such a thread starts inherits that mask. The monitor blocks all signals.
 *
 * A handler of the program may run on each of these threads, also inside a task. The call of this library that it interrupts
 * does not fail by that. With SA_ONSTACK it runs on the alternate signal stack: each worker has one, and a job of the pool has a
 * thread's stack. Without, it runs on the stack of the task. That must then have enough space for the handler and for the
 * registers, which take up to 12 KiB on some processors. Of this library a handler may call tn_async_send alone. No write to a
 * stream or file raises SIGPIPE. A line of the log on a standard error without a reader does, and a write(2) of the program.
 *
 * A runtime belongs to the process that creates it. A child of fork creates its own, also if the parent had one. Without exec,
 * these hold in the child for a runtime of the parent, and for its tasks, streams, listeners and files:
 *
 * - The thread that called fork is a plain thread there, also if it was inside a task. What it calls works as on a plain thread.
 *   The entry function of that task must not return: the child ends by _exit or exec.
 * - A call that needs the runtime's threads returns TN_ESHUTDOWN at once: a spawn, a join, tn_block_on, a blocking job, and each
 *   wait for a stream or listener. The first one writes a line to stderr. tn_runtime_destroy returns at once and frees nothing.
 * - Closing a stream or listener closes the child's descriptor, and changes nothing for the parent. Reads, writes and accepts
 *   that need not wait are done. They share the connection with the parent.
 * - Locks and channels are copies, as after any fork: what another task held at that moment stays held.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the caller owns the runtime, and destroys it with tn_runtime_destroy. After an error nothing is left behind.
 * Errors: TN_EINVAL: an option is refused (tn/base.h). TN_EAGAIN: a thread could not be started. TN_ENOTSUP: `guard` is
 * TN_GUARD_LIGHT, which the kernel does not have or refuses. TN_ENOMEM, TN_EMFILE.
 * Cancellation: no. */
TN_API int tn_runtime_create(tn_runtime **out, const tn_options *options);

/* How tn_runtime_destroy treats the tasks that have not ended. */
typedef enum tn_shutdown {
    TN_SHUTDOWN_WAIT,   /* wait until every task has ended by itself */
    TN_SHUTDOWN_CANCEL, /* cancel every task, then wait */
} tn_shutdown;

/* Ends the runtime. Returns the number of tasks and blocking jobs that were left, which is 0 unless it gave up.
 *
 * Spawns from outside of the runtime return TN_ESHUTDOWN from now on. Tasks may spawn until the last one has ended. Then
 * blocking jobs that have not started are dropped, unless they are mandatory, and the others are waited for. After `timeout_ns`
 * nanoseconds (UINT64_MAX: never) it gives up: the tasks that are left are abandoned. None of their code runs any more, and
 * their stacks are freed.
 *
 * What is undone for an abandoned task before its stack is freed:
 *
 * - The future in which the task waits is dropped, as by a cancellation. So the task leaves the semaphore, channel, join, or
 *   pool of another runtime. What it was granted in the meantime goes to the next waiter. If it waits in an operation on a
 *   stream or listener of another runtime, that operation ends.
 * - Its cancel scopes are unlinked from tokens and cancel sources. The tasks of its groups are cancelled.
 * - Then its exit hooks are called (tn_task_at_exit), while all stacks are still there. Tasks of its groups that belong to
 *   another runtime may still run at that time.
 *
 * What is not undone, because only the task's own code could do it:
 *
 * - Locks and permits that it holds stay held. Slots that it has reserved stay reserved. A tn_once that it has begun stays
 *   begun.
 * - What only its frames refer to is lost: memory, files, streams, handles. A lost handle or waker keeps the memory of its
 *   runtime.
 * - A future in its frames that it has polled, and in which it does not wait at that moment, stays linked where it waits. Such
 *   a future is a branch of a select, or a member of a future set, while the task waits elsewhere. A tn_cancel_token_hook in
 *   its frames stays linked too. What these are linked to must not be used afterwards, unless an exit hook of the task has
 *   unlinked them.
 * - What is stored in its frames is gone for all others that use it: locks, elements of channels, cancel sources, arguments of
 *   tasks and jobs. Only for the tasks of its groups the frames stay until these tasks have ended.
 *
 * The timeout does not bound two waits: for a call of tn_options.log or tn_options.on_deadlock on a thread of the runtime, and
 * for a thread that is being started.
 *
 * While a thread is inside a task or a job, nothing is done for abandoned tasks. The last such thread does all of it when it
 * returns. Until then everything that the tasks wait in, hold or use must stay. A join shows when it is done: once it returns
 * TN_ESHUTDOWN, each abandoned task has left what it waited in.
 *
 * Suspends: until all tasks have ended or the time is up; the calling thread is blocked.
 * Callable from: a plain thread, once.
 * Ownership: consumes `runtime`. Its streams are invalid afterwards. Handles and wakers must be released as usual. Once its
 * last task has ended or the time is up, no call that names the runtime, or one of its streams, may be under way. A wait for
 * one of its tasks may be.
 * Errors: none.
 * Cancellation: no. */
TN_API size_t tn_runtime_destroy(tn_runtime *runtime, tn_shutdown how, uint64_t timeout_ns);

/* Runs `entry(arg)` as a fiber and waits until it has ended. `result` (may be NULL) receives what it returned. In a
 * current-thread runtime the calling thread runs all tasks during the call. The table in tn/task.h compares the calls that
 * block.
 *
 * Suspends: until the fiber has ended; the calling thread is blocked.
 * Callable from: a plain thread; in a current-thread runtime by one at a time.
 * Ownership: `arg` is passed on to the entry function.
 * Errors: TN_ENOMEM, TN_ESHUTDOWN. TN_EBUSY: another thread runs this current-thread runtime.
 * Cancellation: no. */
TN_API int tn_block_on(tn_runtime *runtime, tn_entry_fn entry, void *arg, void **result);

/* Returns the runtime of the calling task; NULL outside of a task.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the runtime is borrowed.
 * Errors: none.
 * Cancellation: no. */
TN_API tn_runtime *tn_runtime_current(void);

/* Returns the number of cores of the runtime.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: borrows the runtime.
 * Errors: none.
 * Cancellation: no. */
TN_API unsigned tn_runtime_workers(const tn_runtime *runtime);

/* Returns the index of the core on which the caller runs, from 0 to tn_runtime_workers() - 1. It is -1 in a plain thread, in a
 * blocking job, and in a task whose core was handed to a replacement thread.
 *
 * Use it to choose one of several counters, caches or queues, so that workers rarely meet. It is no lock: the core may be handed
 * on, and the task may continue on another one after each call that suspends. For values without a lock see tn/worker_local.h.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: none.
 * Errors: none.
 * Cancellation: no. */
TN_API int tn_worker_index(void);

/* Receives one line of a dump, without its newline. `line` is borrowed for the call. */
typedef void (*tn_dump_fn)(void *ctx, const char *line);

/* Describes every task: its number, its name, what it waits for and for how long, where it was spawned, and a fiber's frames.
 * Frames are names of functions, with offsets for addr2line. Names of static functions are read from the files of the program and
 * its libraries; of a stripped file there is only the offset. Times lag by up to a few ms.
 *
 * It works at any time, also while workers are stuck. A task that runs meanwhile shows its frames only with
 * options.report_stuck_ns. A thread that computes then gets the signal, and the dump waits for such threads for at most one
 * second in all. There is no other wait, not for locks of the C library or the dynamic linker either, except in `line`. Names of
 * functions need the system call process_vm_readv; where it is refused, addresses are shown.
 *
 * Suspends: no.
 * Callable from: anywhere but a signal handler.
 * Ownership: borrows the runtime and `ctx`.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_dump(tn_runtime *runtime, tn_dump_fn line, void *ctx);

/* Returns memory to the kernel now: that of idle stacks that are in no other worker's cache, and some of that of ended tasks. The
 * runtime does so itself after a while (options.trim_interval_ns).
 *
 * Suspends: no.
 * Callable from: anywhere but a signal handler.
 * Ownership: borrows the runtime.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_runtime_trim(tn_runtime *runtime);

/* Announce that something outside of the runtime, a thread or a callback, will wake a task; the second call ends this.
 * Between the two it is no deadlock when all tasks wait.
 *
 * A runtime checks for deadlocks with report_deadlock or on_deadlock, always in tn_run, and never as TN_CURRENT_THREAD. Tasks
 * are in a deadlock when all of this holds:
 *
 * - All workers have slept for 50 ms.
 * - No timer is set.
 * - No socket or signal is registered.
 * - No blocking job runs, and no task waits for a child process.
 * - No hold is in effect.
 *
 * on_deadlock is called once for each deadlock. The log shows only the first one.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: borrows the runtime.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_runtime_hold(tn_runtime *runtime);
TN_API void tn_runtime_unhold(tn_runtime *runtime);

/* What a core has done since the start of its runtime. Counts only grow. They may lag by a moment. */
typedef struct tn_counters {
    uint64_t spawned;              /* tasks that were created here */
    uint64_t finished;             /* tasks that ended here */
    uint64_t polls;                /* times that a task was run */
    uint64_t steals;               /* tasks taken from other cores */
    uint64_t steal_attempts;       /* checks of other cores' queues */
    uint64_t parks;                /* times that the worker went to sleep */
    uint64_t wakes;                /* workers that this core woke */
    uint64_t overflows;            /* tasks moved from the full local queue to the injector */
    uint64_t injector_takes;       /* tasks taken from the injector */
    uint64_t driver_polls;         /* times that the loop was run */
    uint64_t driver_events;        /* readiness reports */
    uint64_t timers_fired;         /* timers that fired */
    uint64_t cores_handed_over;    /* times that a replacement thread got this core, because its worker was stuck in a task */
    uint64_t stack_used_max_bytes; /* deepest stack of a fiber that ended here; needs measure_stacks */
} tn_counters;

/* Reads the counters of core `index`, while it runs. `index` == tn_runtime_workers(): what was done outside of the cores.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: borrows the runtime.
 * Errors: TN_EINVAL: there is no such core.
 * Cancellation: no. */
TN_API int tn_runtime_counters(const tn_runtime *runtime, unsigned index, tn_counters *out);

/* Returns the number of tasks that have been spawned and have not ended. It is exact when nothing is spawned meanwhile.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: borrows the runtime.
 * Errors: none.
 * Cancellation: no. */
TN_API size_t tn_runtime_tasks(const tn_runtime *runtime);

#ifdef __cplusplus
}
#endif

#endif
