/* SPDX-License-Identifier: MIT */
/* tournant: starting and stopping a runtime. */
#ifndef TN_RUNTIME_H
#define TN_RUNTIME_H

#include <tn/scope.h>
#include <tn/task.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tn_allocator {
    void *(*alloc)(void *ctx, size_t size_bytes, size_t align_bytes); /* NULL when there is none; align: a power of two */
    void (*free)(void *ctx, void *ptr, size_t size_bytes);
    void *ctx;
} tn_allocator;

typedef enum tn_log_level { TN_LOG_INFO, TN_LOG_WARNING, TN_LOG_ERROR } tn_log_level;

/* `message`: one line without its newline, borrowed for the call. From any thread. */
typedef void (*tn_log_fn)(void *ctx, tn_log_level level, const char *message);

/* Called on each worker thread; must not suspend. */
typedef void (*tn_thread_hook_fn)(void *ctx);

typedef enum tn_flavor {
    TN_MULTI_THREAD,   /* one worker thread a core, stealing from each other */
    TN_CURRENT_THREAD, /* no thread: whoever calls tn_block_on drives everything meanwhile */
} tn_flavor;

typedef enum tn_guard {
    TN_GUARD_DEFAULT,  /* light where the kernel has them (Linux 6.13), else mprotect */
    TN_GUARD_LIGHT,    /* or tn_runtime_create fails */
    TN_GUARD_MPROTECT, /* two mappings a stack: about 32,000 at the default vm.max_map_count */
    TN_GUARD_NONE,     /* a canary, looked at when the stack comes back */
} tn_guard;

typedef struct tn_options {
    size_t size; /* of this struct; tn_options_default() sets it */
    tn_flavor flavor;
    unsigned workers;        /* 0: the CPUs this process may really use; at most 1024 */
    size_t stack_size_bytes; /* of a fiber, see tn_spawn_options; 0: 256 KiB */
    size_t stacks_max;       /* fibers with a stack at once, the others wait for theirs; 0: no limit */
    tn_guard guard;
    bool guard_fallback;           /* out of mappings for guards: go on with canaries instead of TN_ENOMEM */
    bool no_migration;             /* each task stays on the worker that runs it first */
    bool report_overflow;          /* a SIGSEGV handler that names the task whose stack overflowed; the old handler is chained */
    bool measure_stacks;           /* keep high-water marks: tn_counters.stack_used_max_bytes */
    bool force_migration;          /* for tests: every resume happens on another worker than the last */
    const char *name;              /* threads are called NAME-0, NAME-1, …; NULL: "tn" */
    const tn_allocator *allocator; /* copied; NULL: the C library's */
    tn_log_fn log;                 /* NULL: warnings and errors go to stderr */
    void *log_ctx;
    tn_thread_hook_fn on_thread_start; /* first thing on each worker thread */
    tn_thread_hook_fn on_thread_stop;  /* last thing there */
    void *thread_hook_ctx;
    bool report_deadlock; /* say so when no task can ever be woken any more: a warning in the log, and the dump */
    void (*on_deadlock)(void *ctx, tn_runtime *runtime); /* instead of the log; may call tn_dump, must not suspend */
    void *deadlock_ctx;
    uint64_t stuck_after_ns; /* a worker that is inside one task for so long, asleep or computing, while others wait for its core,
                              * loses the core to a replacement thread (so even with one worker two tasks may run at once); one
                              * that sleeps does so earlier, if the core has just been lost by another; 0: 4 ms, UINT64_MAX:
                              * only by tn_block_begin */
    unsigned replacement_threads_max; /* threads beside the workers for that; 0: 64 */
    uint64_t report_stuck_ns;  /* log a task that keeps its thread for so long, with its stack, each once, at most 5 a minute; 0:
                               * do not. Its thread gets a signal: sleep(3), poll(2) and their like end early with EINTR */
    unsigned blocking_threads; /* that run blocking jobs, at most; 0: 512 */
    unsigned file_threads;     /* beside those, for files; 0: 64 */
    unsigned name_threads;     /* beside those, for names; 0: 16 */
    uint64_t blocking_idle_ns; /* a thread of these that has had nothing to do for so long ends; 0: 10 s */
    size_t blocking_queue_max; /* jobs that wait for a thread, at most; so many calls on files and look-ups too; 0: 16384 */
    int stuck_signal;          /* report_stuck_ns, and tn_dump then: makes a thread show its stack; 0: SIGURG. Where others
                                   * send it, it goes to the handler that was there before */
    uint64_t blocking_inline_ns; /* tn_run_blocking calls a function that has taken less than that 64 times on end on the worker
                                   * of its caller: waking a thread takes longer. Such calls do not count in blocking_threads,
                                   * and are not made if that is 1. One that blocks after all is like a task that keeps its
                                   * thread: see stuck_after_ns. 0: 20 us; 1: never */
} tn_options;

/* Suspends: no. Callable from: anywhere. */
TN_API tn_options tn_options_default(void);

/* Creates a runtime, runs `entry(arg)` as its first task, waits for all tasks and destroys the runtime; stack overflows are
 * reported. `options`: NULL for the defaults.
 * Suspends: blocks the calling thread. Callable from: a plain thread.
 * Ownership: `arg` is borrowed. Errors: those of tn_runtime_create and tn_block_on; else 0. Cancellation: no checkpoint. */
TN_API int tn_run(tn_entry_fn entry, void *arg, const tn_options *options);

/* Starts the worker threads. `options`: NULL for the defaults.
 * Suspends: no. Callable from: anywhere. Ownership: to be destroyed with tn_runtime_destroy.
 * Errors: TN_EINVAL (the log says which option), TN_ENOMEM, TN_EAGAIN (no thread), TN_EMFILE; nothing stays behind.
 * Cancellation: no checkpoint. */
TN_API int tn_runtime_create(tn_runtime **out, const tn_options *options);

typedef enum tn_shutdown {
    TN_SHUTDOWN_WAIT,   /* for every task to end by itself */
    TN_SHUTDOWN_CANCEL, /* cancel every task, then wait for them */
} tn_shutdown;

/* Ends the runtime. New spawns from outside return TN_ESHUTDOWN; tasks may spawn until the last has ended. Then blocking jobs
 * that have not started are dropped, unless they are mandatory, and the others waited for. After `timeout_ns` (UINT64_MAX:
 * never) it gives up: the tasks that are left are abandoned. None of their code runs any more, and their stacks are freed.
 *
 * Before that they let go of what is outside. The future that a task waits in is dropped, as by a cancellation: it leaves the
 * semaphore, channel, join, or pool of another runtime, and what it was granted meanwhile goes to the next waiter. Its scopes
 * are unlinked from tokens and cancel sources. The tasks of its groups are cancelled. Its operation on a stream or listener
 * of another runtime ends. Then its exit hooks are called (tn_task_at_exit), while all stacks are still there. Tasks of its
 * groups that are of another runtime may still run then.
 *
 * What only the task's own code could undo is not undone:
 * - Locks and permits that it holds stay held, places that it has reserved stay reserved, a tn_once that it has begun stays
 *   begun.
 * - What only its frames know is lost: memory, files, streams, handles. A lost handle or waker keeps the memory of its
 *   runtime.
 * - A future in its frames that it has polled, and does not wait in at that moment, stays linked where it waits. That is a
 *   branch of a select, or of a future set, while the task waits elsewhere. A tn_cancel_token_hook in its frames stays linked
 * too.
 *   Nobody may use afterwards what they are linked to, unless an exit hook of the task has unlinked them.
 * - What lies in its frames is gone for others that use it: locks, elements of channels, cancel sources, arguments of tasks
 *   and jobs. Only for the tasks of its groups the frames stay until these have ended.
 *
 * While a thread is inside a task or a job, nothing of this happens. The last such thread does all of it when it comes back;
 * until then all that the tasks wait in, hold or use has to stay. A join tells: when it returns TN_ESHUTDOWN, each abandoned
 * task has let go of what it waited in.
 *
 * Suspends: blocks the calling thread. Callable from: a plain thread, once.
 * Ownership: consumes `runtime`; its streams are void after it, handles and wakers are to be released as ever. No call that
 * names the runtime, or one of its streams, may be under way once its last task has ended or the time is up; waiting for one of
 * its tasks may.
 * Errors: none. Answers the number of tasks and blocking jobs that were left: 0, or more only after giving up.
 * Cancellation: no checkpoint. */
TN_API size_t tn_runtime_destroy(tn_runtime *runtime, tn_shutdown how, uint64_t timeout_ns);

/* Runs `entry(arg)` as a fiber and waits for it; `result` (may be NULL) gets what it returned. In a current-thread runtime the
 * calling thread runs all tasks meanwhile.
 * Suspends: blocks the calling thread. Callable from: a plain thread; in a current-thread runtime from one at a time.
 * Errors: TN_ENOMEM, TN_ESHUTDOWN, TN_EBUSY (current-thread: another thread drives it). Cancellation: no checkpoint. */
TN_API int tn_block_on(tn_runtime *runtime, tn_entry_fn entry, void *arg, void **result);

/* The runtime of the calling task; NULL outside one. Suspends: no. Callable from: anywhere. */
TN_API tn_runtime *tn_runtime_current(void);

/* How many cores it has. Suspends: no. Callable from: anywhere. */
TN_API unsigned tn_runtime_workers(const tn_runtime *runtime);

/* A line of a dump, without its newline; borrowed for the call. */
typedef void (*tn_dump_fn)(void *ctx, const char *line);

/* Says what every task is doing: its number, name, what it waits for and for how long, where it was spawned, and a fiber's frames
 * (names of functions that the dynamic linker knows; else offsets for addr2line). Works at any time, also while workers are
 * stuck. A task that runs meanwhile shows its frames only with options.report_stuck_ns: its thread gets the signal, and the dump
 * waits a second in all at most; it waits for nobody else. The times lag by up to some ms.
 * Suspends: no. Callable from: anywhere but a signal handler. Ownership: borrows all. Cancellation: no checkpoint. */
TN_API void tn_dump(tn_runtime *runtime, tn_dump_fn line, void *ctx);

/* From here until tn_runtime_unhold something outside the runtime (a thread, a callback) will wake a task: it is no deadlock when
 * all wait. A runtime looks for deadlocks with report_deadlock or on_deadlock, always in tn_run, and not as TN_CURRENT_THREAD. It
 * has one when all workers have slept for 50 ms, no timer is set, no socket or signal is registered, no blocking job runs, and
 * nobody holds it. A callback hears of each one once, the log of the first.
 * Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API void tn_runtime_hold(tn_runtime *runtime);
TN_API void tn_runtime_unhold(tn_runtime *runtime);

/* What a core has done since the start. Counts only grow; they may lag behind by a moment. */
typedef struct tn_counters {
    uint64_t spawned;        /* tasks that came to be here */
    uint64_t finished;       /* tasks that ended here */
    uint64_t polls;          /* times a task was run */
    uint64_t steals;         /* tasks taken from other cores */
    uint64_t steal_attempts; /* looks into other cores' queues */
    uint64_t parks;          /* times the worker went to sleep */
    uint64_t wakes;          /* workers this core woke */
    uint64_t overflows;      /* tasks moved from the full local queue to the injector */
    uint64_t injector_takes; /* tasks taken from the injector */
    uint64_t driver_polls;   /* times the loop was run */
    uint64_t driver_events;  /* readiness reports */
    uint64_t timers_fired;
    uint64_t cores_handed_over;    /* times this core was given to a replacement thread, because its worker was stuck in a task */
    uint64_t stack_used_max_bytes; /* deepest stack of a fiber that ended here; needs measure_stacks */
} tn_counters;

/* Reads the counters of core `index` while it runs; `index` == tn_runtime_workers(): everything that happened off the cores.
 * Suspends: no. Callable from: anywhere. Errors: TN_EINVAL. */
TN_API int tn_runtime_counters(const tn_runtime *runtime, unsigned index, tn_counters *out);

/* Tasks that have been spawned and have not ended. Exact when nothing is spawned meanwhile.
 * Suspends: no. Callable from: anywhere. */
TN_API size_t tn_runtime_tasks(const tn_runtime *runtime);

#ifdef __cplusplus
}
#endif

#endif
