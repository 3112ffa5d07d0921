/* SPDX-License-Identifier: MIT */
/* tournant: the pool of threads for calls that block. tn/task.h lists the other ways to run code that blocks. */
#ifndef TN_BLOCKING_H
#define TN_BLOCKING_H

#include <tn/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A counted handle of a blocking job. */
typedef struct tn_job tn_job;

/* The function of a job, which runs on a thread that may block for any time. It is not a task: it has no cancellation points
 * and cannot be cancelled once it runs. Calls that suspend block its thread.
 *
 * The thread is one of the pool; in tn_run_blocking, and with TN_FULL_CALLER_RUNS, it may be a worker. The function always has
 * a thread's stack, never that of a fiber. It must
 * restore what it changes of its thread: signal mask, locale, user. */
typedef void *(*tn_job_fn)(void *arg);

/* Releases `arg` when the job's function will never run; called instead of it. Must neither block nor suspend. */
typedef void (*tn_job_drop_fn)(void *arg);

/* What to do when the queue is full. */
typedef enum tn_when_full {
    TN_FULL_WAIT,        /* wait for a free slot; as TN_FULL_ERROR where no wait is possible. That is on a worker outside a
                          * fiber, and in a job of the same runtime, which might wait for ever */
    TN_FULL_ERROR,       /* return TN_ENOBUFS */
    TN_FULL_CALLER_RUNS, /* run the job in the call, which takes as long as the job; also when no thread can be started. In
                          * a task it runs on the worker, on the thread's own stack */
} tn_when_full;

/* Options of a job; begin with tn_blocking_options_default(). */
typedef struct tn_blocking_options {
    size_t size;            /* of this struct, in bytes; set by tn_blocking_options_default() */
    tn_job_drop_fn drop;    /* NULL: `arg` needs no release */
    tn_when_full when_full; /* the queue is full when tn_options.blocking_queue_max jobs wait */
    bool mandatory;         /* run it even if its runtime is being destroyed: for a write that must not be lost */
} tn_blocking_options;

/* Returns the default options.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the result is a value.
 * Errors: none.
 * Cancellation: no. */
static inline tn_blocking_options tn_blocking_options_default(void)
{
    tn_blocking_options options = {sizeof(tn_blocking_options), NULL, TN_FULL_WAIT, false};
    return options;
}

/* Runs `fn(arg)` on a thread that may block, in the runtime of the calling task or job. `out` receives the handle; NULL: no
 * handle.
 *
 * Suspends: while the queue is full.
 * Callable from: a fiber, a stackless task, a blocking job; elsewhere use tn_spawn_blocking_on.
 * Ownership: on success `arg` passes to `fn`; the caller owns the handle, and must join or release it.
 * Errors: TN_EAGAIN: no thread can be started. TN_ENOBUFS: the queue is full and the caller cannot wait. TN_EINVAL: not called
 * from a task or job. TN_ENOMEM, TN_ESHUTDOWN, TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; no job was queued. It is a cancellation point only while the queue is full. */
TN_API int tn_spawn_blocking(tn_job **out, tn_job_fn fn, void *arg);

/* Runs `fn(arg)` on a thread that may block, with options (NULL: the defaults), in `runtime` (NULL: that of the calling task or
 * job). `out` receives the handle; NULL: no handle.
 *
 * Suspends: while the queue is full, with TN_FULL_WAIT.
 * Callable from: any thread.
 * Ownership: on success `arg` passes to `fn`, or to the drop function of the options; the caller owns the handle, and must join
 * or release it.
 * Errors: TN_EAGAIN: no thread can be started. TN_ENOBUFS: the queue is full and the caller does not wait. TN_EINVAL: an option
 * is refused (tn/base.h), or no runtime is given outside a task or job. TN_ENOMEM, TN_ESHUTDOWN, TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; no job was queued. It is a cancellation point only while the queue is full, with TN_FULL_WAIT. */
TN_API int tn_spawn_blocking_on(tn_runtime *runtime, const tn_blocking_options *options, tn_job **out, tn_job_fn fn, void *arg);

/* Runs `fn(arg)` on a thread that may block, and waits until it returns. `arg` may point into the caller's frame. `*result`
 * receives what `fn` returns; `result` may be NULL.
 *
 * On a plain thread and in a job, which may block, the function is called directly. In a fiber it is called on the worker, on
 * the thread's own stack, if it was short-running the last 64 times (tn_options.blocking_inline_ns). If no thread can be
 * started, it is called in the same way.
 *
 * Suspends: yes.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: `arg` is borrowed for the call.
 * Errors: TN_ENOMEM, TN_ESHUTDOWN, TN_ECANCELED, TN_ETIMEDOUT: `fn` never ran.
 * Cancellation: yes; `fn` never runs. Once it has started, the call returns when it is done, and the next cancellation point
 * reports the cancellation. */
TN_API int tn_run_blocking(tn_job_fn fn, void *arg, void **result);

/* Waits until the job is done. `*result` receives what its function returned; `result` may be NULL.
 *
 * TN_EDEADLK is only returned in a job. This and every other pool thread for jobs then wait for jobs, and no further thread can
 * be started. One of the waiting calls gets the error, when it begins or later, and the log says so. If any of them has a
 * deadline, the call with the first deadline gets it.
 *
 * Suspends: unless the job is done; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: consumes the handle when the job is over. After TN_ECANCELED, TN_ETIMEDOUT, TN_EBUSY and TN_EDEADLK it stays the
 * caller's.
 * Errors: TN_ENODATA: the job never ran, because tn_job_cancel was first. TN_ESHUTDOWN: it never ran, because its runtime has
 * been destroyed. TN_EBUSY: another task or thread is joining it. TN_EDEADLK: see above. TN_ECANCELED, TN_ETIMEDOUT: of the
 * caller.
 * Cancellation: yes; the job goes on, and the handle stays the caller's. */
TN_API int tn_job_join(tn_job *job, void **result);

/* A future that is ready when the job is over. It returns what tn_job_join returns; the job's result is in `result`. */
typedef struct tn_job_future {
    tn_future base;
    tn_job *job;
    void *result;   /* valid when the future is ready */
    tn_waker *mine; /* private */
    bool over;      /* private: the end of the job has been seen */
} tn_job_future;

/* Prepares `future` to wait for `job`. Nothing happens until it is polled.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `future` is in the caller's memory. The handle stays the caller's, and must be kept until the future is ready or
 * dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_job_init(tn_job_future *future, tn_job *job);

/* Prevents the job from starting. Returns true if the job will never run; its drop function has been called then. Returns false
 * if it has started, is over, or another call has cancelled it.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: borrows the handle.
 * Errors: none.
 * Cancellation: no. */
TN_API bool tn_job_cancel(tn_job *job);

/* Returns whether the job is over.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: borrows the handle.
 * Errors: none.
 * Cancellation: no. */
TN_API bool tn_job_is_finished(const tn_job *job);

/* Adds a handle to the same job. Returns `job`.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the caller owns one more handle.
 * Errors: none.
 * Cancellation: no. */
TN_API tn_job *tn_job_retain(tn_job *job);

/* Gives up a handle; the job runs on without it. NULL is allowed.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: consumes the handle.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_job_release(tn_job *job);

/* Number of classes of a histogram. Class [i] counts times from 2^i ns to 2^(i+1) ns; the last one also counts longer times. */
#define TN_BLOCKING_TIMES 40

/* Counters of a runtime's blocking threads. */
typedef struct tn_blocking_counters {
    size_t size;            /* of this struct, in bytes; set by the caller */
    unsigned threads;       /* threads now */
    unsigned idle;          /* of these: threads without a job */
    unsigned running_jobs;  /* threads in jobs of tn_spawn_blocking and tn_run_blocking now */
    unsigned running_files; /* threads in calls on files now */
    unsigned running_names; /* threads in lookups of names now, without `detached` */
    size_t queued;          /* jobs that wait for a thread now */
    uint64_t started;       /* jobs so far; a long transfer counts once for each of its parts */
    uint64_t finished;
    uint64_t dropped; /* jobs that never ran: cancelled, or the runtime was destroyed */
    uint64_t threads_started;
    uint64_t wakes;                     /* idle threads that were woken */
    uint64_t failed_starts;             /* threads that the kernel refused to start */
    uint64_t waited[TN_BLOCKING_TIMES]; /* histogram: from the call to the start of the job */
    uint64_t ran[TN_BLOCKING_TIMES];    /* histogram: from the start to the end of the job */
    uint64_t called_inline;             /* calls of tn_run_blocking on the caller's worker; in none of the above */
    unsigned detached; /* threads in lookups that no caller waits for any more, not counted in running_names; at most 64 */
} tn_blocking_counters;

/* Reads the counters of the runtime's blocking threads. The caller sets out->size. A shorter struct, of older headers, gets the
 * counters that it has. In a longer one, of newer headers, the counters that this library does not know are 0.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `out` is the caller's.
 * Errors: TN_EINVAL: out->size is below that of a size_t, or above 4096; the log says so.
 * Cancellation: no. */
TN_API int tn_runtime_blocking(tn_runtime *runtime, tn_blocking_counters *out);

#ifdef __cplusplus
}
#endif

#endif
