/* SPDX-License-Identifier: MIT */
/* tournant: task groups: tasks that end before the code that spawned them continues. */
#ifndef TN_GROUP_H
#define TN_GROUP_H

#include <tn/scope.h>
#include <tn/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A task group, on the stack of its owner: the task or thread that entered it. Leaving it waits for every task that was spawned
 * into it, so these tasks may use the owner's frame. A group is entered and left like a cancel scope: in order, by its owner,
 * before its frame goes. */
typedef struct tn_group {
    uint64_t opaque[40]; /* private */
} tn_group;

/* Options of a group. */
typedef struct tn_group_options {
    size_t size;              /* of this struct; tn_group_options_default() sets it */
    tn_runtime *runtime;      /* where the tasks of the group run; NULL: that of the calling task */
    bool cancel_on_error;     /* the first task that ends with an error cancels the others */
    unsigned char ignored[7]; /* was padding */
    /* A task that has ended leaves nothing behind: its result is dropped at once, by its own options.drop_result. Otherwise each
     * ended task keeps about 110 bytes until its result is taken or the group is left. So a group that many tasks pass through,
     * as in an accept loop, needs this, or an owner that takes the results. tn_group_next then waits for the last task and
     * returns 0. Errors count as usual. */
    bool forget_results;
    unsigned char reserved[7]; /* 0 */
} tn_group_options;

/* Returns the default options.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: none.
 * Errors: none.
 * Cancellation: no. */
static inline tn_group_options tn_group_options_default(void)
{
    tn_group_options options = {sizeof(tn_group_options), NULL, false, {0}, false, {0}};
    return options;
}

/* How a task of a group ended. */
typedef struct tn_group_result {
    void *arg;    /* what the task was spawned with */
    void *result; /* what its entry function returned */
    /* Why the task never ran: the error that tn_join returns; then `result` is NULL. Otherwise the result, if that is negative
     * as a number, such as an error code returned as `(void *)(intptr_t)rc`. Otherwise 0. */
    int error;
} tn_group_result;

/* Enters a group. `options`: NULL for the defaults. A wrong options->size is a programming error, which aborts the process.
 *
 * Suspends: no.
 * Callable from: a fiber, a plain thread.
 * Ownership: `group` is in use until tn_group_leave, and must not move.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_group_enter(tn_group *group, const tn_group_options *options);

/* Spawns a fiber into the group. If the group has been cancelled, the task is cancelled from the start. `options`: NULL for the
 * defaults.
 *
 * Suspends: no.
 * Callable from: the owner, and tasks of the group.
 * Ownership: `arg` goes to the entry function on success only, and must live until the group is left.
 * Errors: TN_ENOMEM, TN_ESHUTDOWN. TN_EINVAL: the group has no runtime, or an option is refused (tn/base.h); the log says
 * which.
 * Cancellation: no. */
TN_API int tn_group_spawn(tn_group *group, const tn_spawn_options *options, tn_entry_fn entry, void *arg);

/* Waits for the next task that ends. Returns 1 when `out` is set, and 0 when no task is left.
 *
 * Suspends: unless a task has ended or none is left.
 * Callable from: the owner.
 * Ownership: the result goes to the caller.
 * Errors: TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; no result is lost, and the tasks continue. */
TN_API int tn_group_next(tn_group *group, tn_group_result *out);

/* A future that is ready when a task of the group has ended, or when none is left. Its result is the one that tn_group_next
 * returns. */
typedef struct tn_group_future {
    tn_future base;
    tn_group *group;                   /* the group that it waits for */
    tn_group_result ended;             /* set when the result is 1 */
    void (*drop_result)(void *result); /* the task's own, for a caller that does not want the result */
} tn_group_future;

/* Prepares `future` to wait for the next task that ends. Its drop leaves the group as it is.
 *
 * Suspends: no.
 * Callable from: the owner.
 * Ownership: the group is borrowed until the future is dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_group_next_init(tn_group_future *future, tn_group *group);

/* Waits until every task has ended. Results that were not taken by tn_group_next are dropped: each is given to the
 * options.drop_result of its task, unless it is an error.
 *
 * Suspends: unless all tasks have ended.
 * Callable from: the owner.
 * Ownership: none.
 * Errors: the error of the first task that ended with one. TN_ECANCELED, TN_ETIMEDOUT: the wait was cut short, unless a task
 * returned that error; tn_checkpoint shows it (tn/scope.h).
 * Cancellation: yes; the tasks continue. */
TN_API int tn_group_wait(tn_group *group);

/* Cancels all tasks of the group, and those that are spawned into it later.
 *
 * Suspends: no.
 * Callable from: the owner, and tasks of the group. Elsewhere only if it is certain that the group is not left before this
 * returns.
 * Ownership: borrows the group.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_group_cancel(tn_group *group);

/* Returns the number of tasks that have not ended.
 *
 * Suspends: no.
 * Callable from: the owner, and tasks of the group. Elsewhere only if it is certain that the group is not left before this
 * returns.
 * Ownership: borrows the group.
 * Errors: none.
 * Cancellation: no. */
TN_API size_t tn_group_running(tn_group *group);

/* Cancels the tasks that still run, waits until all have ended, and leaves the group. Results that were not taken by
 * tn_group_next are dropped.
 *
 * Suspends: unless all tasks have ended; as long as they take, whatever the cancel scopes around the caller say.
 * Callable from: the owner.
 * Ownership: the memory is the caller's again.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_group_leave(tn_group *group);

/* Declares a group and enters it. It is left at the end of the block, however the block is left. The macro is a statement of
 * its own. */
#define TN_GROUP(name, options) \
    tn_group name __attribute__((cleanup(tn_group_leave))); \
    tn_group_enter(&(name), (options))

#ifdef __cplusplus
}
#endif

#endif
