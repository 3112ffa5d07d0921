/* SPDX-License-Identifier: MIT */
/* tournant: groups: tasks that end before the code that spawned them goes on. */
#ifndef TN_GROUP_H
#define TN_GROUP_H

#include <tn/scope.h>
#include <tn/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A group lies on its owner's stack. Leaving it waits for every task spawned into it, so these may use the owner's frame. It is
 * entered and left like a scope: in order, by its owner, before its frame goes. */
typedef struct tn_group {
    uint64_t opaque[40];
} tn_group;

typedef struct tn_group_options {
    size_t size;          /* of this struct; tn_group_options_default() sets it */
    tn_runtime *runtime;  /* where its tasks run; NULL: that of the calling task */
    bool cancel_on_error; /* the first task that ends with an error cancels the others */
} tn_group_options;

static inline tn_group_options tn_group_options_default(void)
{
    tn_group_options options = {sizeof(tn_group_options), NULL, false};
    return options;
}

/* How a task of a group ended. */
typedef struct tn_group_result {
    void *arg;    /* what it was spawned with */
    void *result; /* what its entry function returned */
    int error;    /* why it never ran (as tn_join answers); else, if the result is negative as a number (an error code returned as
                   * `(void *)(intptr_t)rc`), that; else 0 */
} tn_group_result;

/* `options`: NULL for the defaults.
 * Suspends: no. Callable from: a fiber, a plain thread. Ownership: `group` is in use until tn_group_leave, and does not move.
 * Cancellation: no checkpoint. */
TN_API void tn_group_enter(tn_group *group, const tn_group_options *options);

/* Spawns a fiber into the group; if that has been cancelled, the task is cancelled from the start. `options`: as tn_spawn_on.
 * Suspends: no. Callable from: the owner and the group's tasks.
 * Ownership: `arg` goes to the entry function on success only, and must live until the group is left.
 * Errors: as tn_spawn_on. Cancellation: no checkpoint. */
TN_API int tn_group_spawn(tn_group *group, const tn_spawn_options *options, tn_entry_fn entry, void *arg);

/* Waits for the next task that ends: 1, and `out` is set; 0: none is left.
 * Suspends: unless one has ended. Callable from: the owner. Ownership: the result is the caller's.
 * Errors: none. Cancellation: checkpoint; nothing is lost. */
TN_API int tn_group_next(tn_group *group, tn_group_result *out);

/* Answers as tn_group_next. */
typedef struct tn_group_future {
    tn_future base;
    tn_group *group;
    tn_group_result ended;             /* when the answer is 1 */
    void (*drop_result)(void *result); /* the task's own; for who does not want the result */
} tn_group_future;

/* Its drop leaves the group as it is. Suspends: no. Callable from: the owner. Ownership: borrows the group until then.
 * Cancellation: no checkpoint. */
TN_API void tn_group_next_init(tn_group_future *future, tn_group *group);

/* Waits until every task has ended. Results that were not asked for are dropped.
 * Suspends: unless all have ended. Callable from: the owner.
 * Errors: the error of the task that had the first one. Cancellation: checkpoint; the tasks go on. */
TN_API int tn_group_wait(tn_group *group);

/* Cancels all its tasks, those spawned later too.
 * Suspends: no. Callable from: the owner and the group's tasks; anyone who knows that it is not left before this returns.
 * Cancellation: no checkpoint. */
TN_API void tn_group_cancel(tn_group *group);

/* How many tasks have not ended. Suspends: no. Callable from: as tn_group_cancel. */
TN_API size_t tn_group_running(tn_group *group);

/* Cancels what still runs, waits until all tasks have ended, and leaves. Results that were not asked for are dropped.
 * Suspends: unless all have ended; for as long as they take, whatever scopes say. Callable from: the owner.
 * Ownership: the memory is the caller's again. Errors: none. Cancellation: no checkpoint. */
TN_API void tn_group_leave(tn_group *group);

/* Declares and enters a group that is left where its block is, however it is. A statement of its own. */
#define TN_GROUP(name, options) \
    tn_group name __attribute__((cleanup(tn_group_leave))); \
    tn_group_enter(&(name), (options))

#ifdef __cplusplus
}
#endif

#endif
