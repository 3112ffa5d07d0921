/* SPDX-License-Identifier: MIT */
/* tournant: tasks: spawning, joining, cancelling; task-local values; code that blocks its thread. */
#ifndef TN_TASK_H
#define TN_TASK_H

#include <tn/future.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A scheduler with its worker threads; see tn/runtime.h. */
typedef struct tn_runtime tn_runtime;

/* A counted handle of a task. */
typedef struct tn_task tn_task;

/* What a fiber runs. It always runs, cancelled or not, so that what `arg` owns is never leaked. There are two exceptions, which
 * tn_join reports: no stack can ever be allocated for the fiber, or tn_runtime_destroy gives up on it. */
typedef void *(*tn_entry_fn)(void *arg);

/* Options of one task. */
typedef struct tn_spawn_options {
    size_t size;      /* of this struct; tn_spawn_options_default() sets it */
    const char *name; /* copied, cut to 23 bytes; NULL: none */
    /* Size of the fiber's stack, rounded up to a power of two from 32 KiB on, at most 64 MiB; 0: the size in tn_options. The
     * guard takes a quarter of it, at least 16 KiB and at most 64 KiB; tn_options.guard_size_bytes changes that. The library's
     * own data takes up to 2 KiB. No call of the library needs more than 8 KiB, except for what it calls of the program. */
    size_t stack_size_bytes;
    /* The task stays on the worker thread that runs it first. Pinned tasks begin on the workers in turn. If a worker is stuck or
     * gets no processor, others begin what has not begun there. */
    bool pinned;
    /* Called with the result if the task is never joined; NULL: none. The thread that gives back the last handle or waker of
     * the task calls it. It must not suspend. */
    void (*drop_result)(void *result);
} tn_spawn_options;

/* Returns the default options.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: none.
 * Errors: none.
 * Cancellation: no. */
static inline tn_spawn_options tn_spawn_options_default(void)
{
    tn_spawn_options options = {sizeof(tn_spawn_options), NULL, 0, false, NULL};
    return options;
}

/* Starts a fiber, a task with its own stack, in the runtime of the calling task. `out` receives the handle; NULL: the task will
 * not be joined.
 *
 * Suspends: no.
 * Callable from: a fiber, a stackless task; elsewhere use tn_spawn_on.
 * Ownership: `arg` goes to the entry function on success only. The handle must be joined or released.
 * Errors: TN_ENOMEM, TN_ESHUTDOWN. TN_EINVAL: it was not called from a task; a line in the log says what to call instead.
 * Cancellation: no. */
TN_API int tn_spawn(tn_task **out, tn_entry_fn entry, void *arg);

/* Starts a fiber in `runtime`; NULL: that of the calling task. `options`: NULL for the defaults. `out` receives the handle;
 * NULL: the task will not be joined.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `arg` goes to the entry function on success only. The handle must be joined or released.
 * Errors: TN_ENOMEM, TN_ESHUTDOWN. TN_EINVAL: there is no runtime, or an option is refused (tn/base.h); the log says which.
 * Cancellation: no. */
TN_API int tn_spawn_on(tn_runtime *runtime, const tn_spawn_options *options, tn_task **out, tn_entry_fn entry, void *arg);

/* Starts a stackless task, which polls `future`. `runtime`, `options` and `out` have the same meaning as in tn_spawn_on.
 *
 * The future's drop is called exactly once, after the final result or at cancellation, outside of any lock. A worker calls it;
 * if tn_runtime_destroy gave up on the task, the last thread that leaves the runtime calls it. It may free the future.
 *
 * tn_join returns the final int in its `result`, as `(intptr_t)result`. That int is TN_ECANCELED if the task was cancelled; no
 * future of the library has that result itself.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: on success `future` belongs to the runtime until its drop. The handle must be joined or released.
 * Errors: TN_ENOMEM, TN_ESHUTDOWN. TN_EINVAL: there is no runtime, or an option is refused (tn/base.h); the log says which.
 * Cancellation: no. */
TN_API int tn_spawn_future(tn_runtime *runtime, const tn_spawn_options *options, tn_task **out, tn_future *future);

/* Waits until the task has ended. `result` (may be NULL) receives what its entry function returned. A task that has been
 * cancelled waits for its children inside a shield (tn_shield_enter), or has them in a group.
 *
 * Suspends: unless the task has ended.
 * Callable from: a fiber, a plain thread.
 * Ownership: consumes the handle when the task has ended. After TN_ECANCELED, TN_ETIMEDOUT and TN_EBUSY it stays the caller's.
 * Errors: TN_ENOMEM: the entry function never ran, because no stack could ever be allocated. TN_EBUSY: another task or thread
 * is joining the task. TN_ESHUTDOWN: the task was abandoned with its runtime. TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; the handle stays the caller's, and the joined task continues. */
TN_API int tn_join(tn_task *task, void **result);

/* A future that is ready when the task has ended. Its result is the one that tn_join returns. */
typedef struct tn_join_future {
    tn_future base;
    tn_task *task;   /* the task that it waits for */
    void *result;    /* what the entry function returned; set when the future is ready */
    tn_waker *armed; /* private: waker registered with the task; NULL: none */
    bool ended;      /* private: the end of the task has been observed */
} tn_join_future;

/* Prepares `future` to wait for the end of `task`.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the handle stays the caller's. It must be released after the future is ready or dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_join_init(tn_join_future *future, tn_task *task);

/* Returns one more handle to the same task.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the caller owns the returned handle, which must be joined or released.
 * Errors: none.
 * Cancellation: no. */
TN_API tn_task *tn_task_retain(tn_task *task);

/* Gives a handle back. The task continues without it. NULL is allowed.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: consumes the handle.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_task_release(tn_task *task);

/* Asks the task to end. From now on each of its cancellation points returns TN_ECANCELED, including the one in which it waits.
 * Cancellation is level-triggered: it holds until the task has ended. Only a shield (tn_shield_enter) hides it. The entry
 * function of a fiber runs in any case. A stackless task is dropped instead of polled again.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: borrows the handle.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_cancel(tn_task *task);

/* Returns whether the task has ended.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: borrows the handle.
 * Errors: none.
 * Cancellation: no. */
TN_API bool tn_task_is_finished(const tn_task *task);

/* Returns the calling task; NULL outside of a task.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the returned handle is borrowed: it must not be released.
 * Errors: none.
 * Cancellation: no. */
TN_API tn_task *tn_self(void);

/* Returns a number that no other task of this runtime has.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: borrows the handle.
 * Errors: none.
 * Cancellation: no. */
TN_API uint64_t tn_task_id(const tn_task *task);

/* Returns the name of the task; "" when it has none.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: borrows the handle; the text is valid as long as the handle is.
 * Errors: none.
 * Cancellation: no. */
TN_API const char *tn_task_name(const tn_task *task);

/* Calls fn(arg) when the calling task ends: after the entry function of a fiber has returned, or after the drop of a stackless
 * task. These hooks run in the task, in reverse order of registration, and must not suspend. If tn_runtime_destroy gave up on
 * the task, the last thread that leaves the runtime calls them.
 *
 * Suspends: no.
 * Callable from: a fiber, a stackless task.
 * Ownership: `arg` stays the caller's until `fn` is called.
 * Errors: TN_ENOMEM. TN_EINVAL: it was not called from a task.
 * Cancellation: no. */
TN_API int tn_task_at_exit(void (*fn)(void *arg), void *arg);

/* The key of a task-local value, of which each task has its own. The key is the address of this struct, which is usually
 * static. */
typedef struct tn_task_local_key {
    void (*destroy)(void *value); /* called with the value when the task ends, among the hooks of tn_task_at_exit; NULL: none */
} tn_task_local_key;

/* Sets the calling task's value. A value that was set before is not destroyed. Children do not inherit the value.
 *
 * Suspends: no.
 * Callable from: a fiber, a stackless task.
 * Ownership: the value goes to the task on success only.
 * Errors: TN_ENOMEM: only where no value was set before. TN_EINVAL: it was not called from a task.
 * Cancellation: no. */
TN_API int tn_task_local_set(const tn_task_local_key *key, void *value);

/* Returns the calling task's value; NULL when it has none, and outside of a task.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the value stays the task's.
 * Errors: none.
 * Cancellation: no. */
TN_API void *tn_task_local_get(const tn_task_local_key *key);

/* Lets the other tasks of this core run first. Returns 0, or why the caller must end.
 *
 * Suspends: yes; in a plain thread it calls sched_yield.
 * Callable from: a fiber, a plain thread.
 * Ownership: none.
 * Errors: TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; the other tasks have run first in this case too. */
TN_API int tn_yield(void);

/* --- Code that blocks its thread ---------------------------------------------------------------------------------------------
 *
 * Which call to use for code that blocks in something other than a call of this library, or that computes for long:
 *
 *     tn_run_blocking    run a function on a pool thread and wait for its result; the usual choice (tn/blocking.h)
 *     tn_spawn_blocking  run a function on a pool thread and continue; join the job later, or never (tn/blocking.h)
 *     tn_block_in_place  call a function that must stay on this thread; another thread takes over the other tasks of the core
 *     tn_block_begin     the same for a section of code, which tn_block_end ends
 *     tn_call_native     call a function that needs the stack of a thread; for deep recursion and for other languages' code
 *     tn_block_on        the opposite direction: a plain thread runs a fiber and waits for its result (tn/runtime.h)
 */

/* How soon a task in such a section loses its core to a replacement thread. */
typedef enum tn_blocking {
    TN_BLOCK_LAZY,  /* within milliseconds, if the core is needed; costs a few instructions */
    TN_BLOCK_EAGER, /* at once, or as soon as there is a replacement thread; for code that is known to take long */
} tn_blocking;

/* Begin and end a section of code that blocks its thread, so that other tasks do not wait for it. The thread stays the same
 * within the section. The code may be anything, but must not suspend; it may spawn, wake and close. Sections nest: the
 * outermost end counts. An end without a begin is asserted. Outside of a worker the calls have no effect. The runtime also
 * notices a task that blocks without them, but later (tn_options.stuck_after_ns).
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: none.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_block_begin(tn_blocking how);
TN_API void tn_block_end(void);

/* Calls `fn(arg)` between tn_block_begin and tn_block_end, and returns its result.
 *
 * Suspends: no; `fn` must not suspend either.
 * Callable from: anywhere.
 * Ownership: `arg` is passed on to `fn`.
 * Errors: none of its own.
 * Cancellation: no. */
TN_API void *tn_block_in_place(tn_blocking how, tn_entry_fn fn, void *arg);

/* Calls `fn(arg)` on the stack of the calling thread instead of the fiber's, and returns its result. For code that recurses
 * deeply, or that must find the stack which the thread was started with, as Java and Python do. The stack of a worker has the
 * size that the process gives threads (ulimit -s). Outside of a fiber it is a plain call.
 *
 * During the call the thread is a plain thread, which is in no task and no runtime. So calls that suspend elsewhere block it
 * here, and `fn` must not wait for a pinned task. The task's own scopes and cancellation have no effect on what `fn` calls. A
 * scope that `fn` enters must be left in it. A call that takes long loses the core like any long run
 * (tn_options.stuck_after_ns), so the other tasks go on. In a TN_CURRENT_THREAD runtime nothing else runs during the call, so
 * `fn` must not wait for its tasks, streams or listeners. `fn` must not leave by longjmp or by an exception, and must not
 * return in a child of fork.
 *
 * Suspends: no. The task stays on its thread during the call.
 * Callable from: anywhere but a signal handler.
 * Ownership: `arg` is passed on to `fn`.
 * Errors: none of its own.
 * Cancellation: no. */
TN_API void *tn_call_native(tn_entry_fn fn, void *arg);

/* Sleeps for at least `ns` nanoseconds: never less; on an idle machine at most 2 ms more. If `ns` is 0, it yields like
 * tn_yield.
 *
 * Suspends: yes.
 * Callable from: a fiber, a plain thread.
 * Ownership: none.
 * Errors: TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; the sleep has ended early. */
TN_API int tn_sleep(uint64_t ns);

/* A cancellation point that does not wait. It returns 0 if the caller may continue, and reads the clock if there is a deadline.
 *
 * Suspends: no.
 * Callable from: anywhere; in a plain thread only cancel scopes count.
 * Ownership: none.
 * Errors: TN_ECANCELED: the calling task, or a cancel scope around the caller, has been cancelled. TN_ETIMEDOUT: the deadline
 * of a cancel scope has passed.
 * Cancellation: yes; the call has no other effect. */
TN_API int tn_checkpoint(void);

#ifdef __cplusplus
}
#endif

#endif
