/* SPDX-License-Identifier: MIT */
/* tournant: tasks. */
#ifndef TN_TASK_H
#define TN_TASK_H

#include <tn/future.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tn_runtime tn_runtime;

/* A counted handle of a task. */
typedef struct tn_task tn_task;

/* What a fiber runs. It always runs, cancelled or not, so that what `arg` owns is never leaked; unless no stack can ever be had
 * for it, or destroy gives up: tn_join tells. */
typedef void *(*tn_entry_fn)(void *arg);

typedef struct tn_spawn_options {
    size_t size;             /* of this struct; tn_spawn_options_default() sets it */
    const char *name;        /* copied, cut to 23 bytes; NULL: none */
    size_t stack_size_bytes; /* rounded up to a power of two from 32 KiB on, of which the guard takes 16 KiB (a page, where
                              * pages are larger) and its administration up to 2 KiB; 0: the runtime's */
    bool pinned;             /* stays on the worker thread that runs it first */
    void (*drop_result)(void *result); /* called with the result if nobody joins the task: when the last handle or waker of it
                                        * is given back, by whoever does; must not suspend. NULL: none */
} tn_spawn_options;

static inline tn_spawn_options tn_spawn_options_default(void)
{
    tn_spawn_options options = {sizeof(tn_spawn_options), NULL, 0, false, NULL};
    return options;
}

/* Starts a fiber: a task with a stack of its own, in the runtime of the calling task.
 * `out`: where the handle goes; NULL: nobody will join it.
 * Suspends: no. Callable from: a fiber, a poll function; from elsewhere use tn_spawn_on.
 * Ownership: `arg` goes to the entry function on success only; the handle is to be joined or released.
 * Errors: TN_ENOMEM, TN_ESHUTDOWN, TN_EINVAL (not called from a task).
 * Cancellation: no checkpoint. */
TN_API int tn_spawn(tn_task **out, tn_entry_fn entry, void *arg);

/* As tn_spawn, with options (NULL: the defaults), into `runtime` (NULL: that of the calling task), from any thread. */
TN_API int tn_spawn_on(tn_runtime *runtime, const tn_spawn_options *options, tn_task **out, tn_entry_fn entry, void *arg);

/* Gives a future to the scheduler as a stackless task. Its drop is called exactly once, on a worker (if destroy gave up on it:
 * on the last thread to leave the runtime), outside any lock, after the final answer or at cancellation; it may free the
 * future. tn_join gives the final int (TN_ECANCELED when it was cancelled) as `(intptr_t)result`. Suspends: no. Callable from:
 * as tn_spawn_on. Ownership: on success `future` is the runtime's until its drop. Errors: as tn_spawn. Cancellation: no
 * checkpoint. */
TN_API int tn_spawn_future(tn_runtime *runtime, const tn_spawn_options *options, tn_task **out, tn_future *future);

/* Waits until the task has ended; `result` (may be NULL) gets what its entry function returned.
 * Suspends: unless it has ended. Callable from: a fiber, a plain thread.
 * Ownership: consumes the handle when the task has ended; else (TN_ECANCELED, TN_ETIMEDOUT, TN_EBUSY) it stays the caller's.
 * Errors: TN_ENOMEM: its entry function never ran, because no stack could ever be had; TN_EBUSY: somebody else is joining it;
 * TN_ESHUTDOWN: it was abandoned with its runtime.
 * Cancellation: checkpoint (of the caller); the handle stays the caller's. A task that has been cancelled waits for its children
 * inside a shield (tn_shield_enter), or has them in a group. */
TN_API int tn_join(tn_task *task, void **result);

/* A future that is ready when the task has ended; answers what tn_join does, the entry's result in `result`. */
typedef struct tn_join_future {
    tn_future base;
    tn_task *task;
    void *result;    /* when it is ready */
    tn_waker *armed; /* by which the end finds the one joiner of the task; NULL: it is not that */
    bool ended;      /* the task's end has been seen */
} tn_join_future;

/* Prepares `future` to wait for `task`.
 * Suspends: no. Callable from: anywhere.
 * Ownership: the handle stays the caller's (release it after the future is ready or dropped). Cancellation: no checkpoint. */
TN_API void tn_join_init(tn_join_future *future, tn_task *task);

/* One more handle to the same task. Suspends: no. Callable from: anywhere. */
TN_API tn_task *tn_task_retain(tn_task *task);

/* Gives a handle back; the task runs on without it. NULL is allowed.
 * Suspends: no. Callable from: anywhere. Ownership: consumes the handle. Cancellation: no checkpoint. */
TN_API void tn_task_release(tn_task *task);

/* Asks the task to end: from now on each of its checkpoints answers TN_ECANCELED, the one it waits in too. Level-triggered:
 * until it ends. Its entry function runs in any case. A stackless task is dropped instead of polled again.
 * Suspends: no. Callable from: anywhere. Ownership: borrows the handle. Cancellation: no checkpoint. */
TN_API void tn_cancel(tn_task *task);

/* Has the task ended? Suspends: no. Callable from: anywhere. Ownership: borrows the handle. */
TN_API bool tn_task_is_finished(const tn_task *task);

/* The calling task, borrowed; NULL outside one. Suspends: no. Callable from: anywhere. */
TN_API tn_task *tn_self(void);

/* A number no other task of this runtime has; its name ("" when it has none). Suspends: no. Callable from: anywhere. */
TN_API uint64_t tn_task_id(const tn_task *task);
TN_API const char *tn_task_name(const tn_task *task);

/* Calls fn(arg) when the calling task ends: after its entry function has returned (a stackless task: after its drop), in the
 * task, the last one asked for first. It must not suspend. Of a task that destroy gave up on it is called by the last thread to
 * leave.
 * Suspends: no. Callable from: a task. Ownership: `arg` stays the caller's until then. Errors: TN_ENOMEM, TN_EINVAL (no task).
 * Cancellation: no checkpoint. */
TN_API int tn_task_at_exit(void (*fn)(void *arg), void *arg);

/* A value that each task has for itself; the key is the address of this (a static one as a rule). */
typedef struct tn_task_local_key {
    void (*destroy)(void *value); /* with what is set when the task ends, as tn_task_at_exit; NULL: nothing is done */
} tn_task_local_key;

/* Sets the calling task's value; one that was set before is not destroyed. Children do not inherit it.
 * Suspends: no. Callable from: a task. Ownership: the value goes to the task. Errors: TN_ENOMEM (not where one was set before),
 * TN_EINVAL (no task). Cancellation: no checkpoint. */
TN_API int tn_task_local_set(const tn_task_local_key *key, void *value);

/* The calling task's value; NULL where it has none, and outside a task. Suspends: no. Callable from: anywhere. */
TN_API void *tn_task_local_get(const tn_task_local_key *key);

/* Lets the other tasks of this core run first.
 * Suspends: yes (in a plain thread: sched_yield). Callable from: a fiber, a plain thread.
 * Errors: none. Cancellation: checkpoint, answers TN_ECANCELED or TN_ETIMEDOUT (having yielded all the same); else 0. */
TN_API int tn_yield(void);

/* How a task says that it is about to block its thread, in something that is no call of this library. */
typedef enum tn_blocking {
    TN_BLOCK_LAZY,  /* a replacement thread gets the core within milliseconds if it is needed; costs next to nothing */
    TN_BLOCK_EAGER, /* a replacement thread gets it now, or as soon as there is one: for what is known to take long */
} tn_blocking;

/* Around code that blocks its thread: the other tasks do not wait for it. The thread stays the same in between, so the code may
 * be anything, but it must not suspend (it may spawn, wake, close). Nests. Without them a task that blocks is noticed too, only
 * later (tn_options.stuck_after_ns). Outside a worker they do nothing.
 * Suspends: no. Callable from: anywhere. Errors: none. Cancellation: no checkpoint. */
TN_API void tn_block_begin(tn_blocking how);
TN_API void tn_block_end(void);

/* Calls `fn(arg)` between the two, and answers what it does.
 * Suspends: no. Callable from: anywhere. Errors: those of `fn`. Cancellation: no checkpoint. */
TN_API void *tn_block_in_place(tn_blocking how, tn_entry_fn fn, void *arg);

/* Sleeps for at least `ns` nanoseconds: never less; on an idle machine at most 2 ms more. 0 is a checkpoint that yields.
 * Suspends: yes. Callable from: a fiber, a plain thread.
 * Errors: none. Cancellation: checkpoint. */
TN_API int tn_sleep(uint64_t ns);

/* A checkpoint that waits for nothing: TN_ECANCELED when the calling task or a scope around the caller has been cancelled,
 * TN_ETIMEDOUT when a scope's deadline is over, else 0. Reads the clock if there is a deadline.
 * Suspends: no. Callable from: anywhere (in a plain thread scopes alone count). */
TN_API int tn_checkpoint(void);

#ifdef __cplusplus
}
#endif

#endif
