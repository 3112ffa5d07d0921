/* SPDX-License-Identifier: MIT */
/* tournant: calls that block their thread, on threads of their own. */
#ifndef TN_BLOCKING_H
#define TN_BLOCKING_H

#include <tn/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A counted handle of a blocking job. */
typedef struct tn_job tn_job;

/* What a job runs, on a thread that may block as long as it likes. It is no task: it has no checkpoints and cannot be cancelled
 * once it runs; calls that suspend block its thread. The thread is one of the pool; in tn_run_blocking it may be a worker
 * (tn_options.blocking_inline_ns). So what the function changes of its thread (signal mask, locale, user) it has to set back. */
typedef void *(*tn_job_fn)(void *arg);

/* The other end of `arg`: called instead of the job's function when that will never run. Must neither block nor suspend. */
typedef void (*tn_job_drop_fn)(void *arg);

typedef enum tn_when_full {
    TN_FULL_WAIT,        /* for room; on a worker outside a fiber, where nobody may wait, and in a job of the same runtime, which
                       * might wait for ever: as TN_FULL_ERROR */
    TN_FULL_ERROR,       /* TN_EAGAIN */
    TN_FULL_CALLER_RUNS, /* run the job in the call, at the cost of whoever calls; also when no thread can be had */
} tn_when_full;

typedef struct tn_blocking_options {
    size_t size;            /* of this struct; tn_blocking_options_default() sets it */
    tn_job_drop_fn drop;    /* NULL: `arg` needs none */
    tn_when_full when_full; /* as many jobs wait as tn_options.blocking_queue_max allows */
    bool mandatory;         /* started even if its runtime is being destroyed: a write that must not be lost */
} tn_blocking_options;

static inline tn_blocking_options tn_blocking_options_default(void)
{
    tn_blocking_options options = {sizeof(tn_blocking_options), NULL, TN_FULL_WAIT, false};
    return options;
}

/* Runs `fn(arg)` on a thread that may block, in the runtime of the calling task or job.
 * `out`: where the handle goes; NULL: nobody will join it.
 * Suspends: only while the queue is full. Callable from: a fiber, a poll function, a job; from elsewhere use
 * tn_spawn_blocking_on.
 * Ownership: `arg` goes to `fn`, or to the drop function of the options, on success only; the handle is to be joined or released.
 * Errors: TN_EAGAIN (no thread can be had, or the queue is full and nobody may wait here), TN_ENOMEM, TN_ESHUTDOWN, TN_EINVAL
 * (not called from a task or job). Cancellation: checkpoint only while the queue is full; nothing has been queued then. */
TN_API int tn_spawn_blocking(tn_job **out, tn_job_fn fn, void *arg);

/* As tn_spawn_blocking, with options (NULL: the defaults), in `runtime` (NULL: that of the calling task or job), from any
 * thread. */
TN_API int tn_spawn_blocking_on(tn_runtime *runtime, const tn_blocking_options *options, tn_job **out, tn_job_fn fn, void *arg);

/* Runs `fn(arg)` on a thread that may block, and waits until it is done: `arg` may be the caller's own frame. `result` (may be
 * NULL) gets what it returned. On a plain thread and in a job, which may block themselves, it is a mere call; in a fiber too, but
 * on the thread's stack, if the function has been brief the last 64 times (tn_options.blocking_inline_ns).
 * Suspends: yes. Callable from: a fiber, a plain thread.
 * Ownership: `arg` is borrowed for the call. Errors: TN_ESHUTDOWN (it never ran). Without a thread to be had it runs in the call.
 * Cancellation: checkpoint as long as it has not started (it never runs then); once it has, the call returns when it is done,
 * and the next checkpoint tells. */
TN_API int tn_run_blocking(tn_job_fn fn, void *arg, void **result);

/* Waits until the job is done; `result` (may be NULL) gets what its function returned.
 * Suspends: unless it is done. Callable from: a fiber, a plain thread, a job.
 * Ownership: consumes the handle when the job is over; else (TN_ECANCELED, TN_ETIMEDOUT, TN_EBUSY, TN_EDEADLK) it stays the
 * caller's.
 * Errors: TN_ENODATA: tn_job_cancel was first, it never ran; TN_ESHUTDOWN: it never ran, its runtime has been destroyed;
 * TN_EBUSY: somebody else is joining it; TN_EDEADLK: in a job, when this and every other thread for jobs wait for jobs, and no
 * further thread can be had: one of them is told, at the call or later (the log says so). If any of them has a deadline, it is
 * the one whose deadline comes first.
 * Cancellation: checkpoint (of the caller); the handle stays the caller's. */
TN_API int tn_job_join(tn_job *job, void **result);

/* A future that is ready when the job is over; answers what tn_job_join does, the result in `result`. */
typedef struct tn_job_future {
    tn_future base;
    tn_job *job;
    void *result;   /* when it is ready */
    tn_waker *mine; /* private */
    bool over;      /* the job's end has been seen */
} tn_job_future;

/* Prepares `future` to wait for `job`. Suspends: no. Callable from: anywhere. Ownership: the handle stays the caller's (release
 * it after the future is ready or dropped). Cancellation: no checkpoint. */
TN_API void tn_job_init(tn_job_future *future, tn_job *job);

/* Keeps the job from starting. True: it will never run, and `drop(arg)` has been called. False: it has started, or is over, or
 * somebody else has cancelled it.
 * Suspends: no. Callable from: anywhere. Ownership: borrows the handle. Cancellation: no checkpoint. */
TN_API bool tn_job_cancel(tn_job *job);

/* Is it over? Suspends: no. Callable from: anywhere. Ownership: borrows the handle. */
TN_API bool tn_job_is_finished(const tn_job *job);

/* One more handle to the same job. Suspends: no. Callable from: anywhere. */
TN_API tn_job *tn_job_retain(tn_job *job);

/* Gives a handle back; the job runs on without it. NULL is allowed.
 * Suspends: no. Callable from: anywhere. Ownership: consumes the handle. Cancellation: no checkpoint. */
TN_API void tn_job_release(tn_job *job);

/* Classes of the histograms: [i] counts times of 2^i ns up to 2^(i+1) ns; the last one what is longer too. */
#define TN_BLOCKING_TIMES 40

typedef struct tn_blocking_counters {
    size_t size;            /* of this struct, set by the caller */
    unsigned threads;       /* that there are now */
    unsigned idle;          /* of those, without a job */
    unsigned running_jobs;  /* threads in jobs of tn_spawn_blocking, */
    unsigned running_files; /* in calls on files, */
    unsigned running_names; /* and in look-ups of names */
    size_t queued;          /* jobs that wait for a thread now */
    uint64_t started;       /* jobs so far; a long transfer counts once for each of its parts */
    uint64_t finished;
    uint64_t dropped; /* never ran: cancelled, or the runtime was destroyed */
    uint64_t threads_started;
    uint64_t wakes;                     /* idle threads that were woken */
    uint64_t failed_starts;             /* threads that the system would not give */
    uint64_t waited[TN_BLOCKING_TIMES]; /* from the call to the start */
    uint64_t ran[TN_BLOCKING_TIMES];    /* from the start to the end */
    uint64_t called_inline;             /* calls of tn_run_blocking that the caller's worker has made; in none of the above */
} tn_blocking_counters;

/* Reads the counters of the runtime's blocking threads. Suspends: no. Callable from: anywhere. Errors: TN_EINVAL (size). */
TN_API int tn_runtime_blocking(tn_runtime *runtime, tn_blocking_counters *out);

#ifdef __cplusplus
}
#endif

#endif
