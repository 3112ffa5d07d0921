/* SPDX-License-Identifier: MIT */
/* Reading a task from another thread, for dumps and lists. */
#ifndef TNI_TASK_INSPECT_H
#define TNI_TASK_INSPECT_H

#include <tn/inspect.h>

#include "fiber/frames.h"
#include "task/task.h"

/* Words of a stack that are searched for return addresses. */
#define TNI_TASK_INSPECT_WORDS 64

/* What a suspended task is doing. It is copied while the task is borrowed, and used when the task has been given back: so a slow
 * reader delays no task. */
typedef struct {
    tn_future_ops ops; /* of the future that the task has polled and found pending */
    uint64_t since_ns;
    uint64_t deadline_ns; /* UINT64_MAX: none */
    tni_frames stack;     /* without a pc: the task has none; `word` must be set again if the snapshot is copied */
    const void *word[TNI_TASK_INSPECT_WORDS];
} tni_task_inspect_snapshot;

/* Borrows a task that rests, so that no other thread runs it until tni_task_inspect_return, which must follow within
 * microseconds. The caller holds a reference. False: the task runs, or is about to. */
bool tni_task_inspect_borrow(tn_task *task);
void tni_task_inspect_return(tn_task *task);
/* Reads a task that is borrowed. */
void tni_task_inspect_read(const tn_task *task, tni_task_inspect_snapshot *out);

/* The three in one. The caller holds a reference. False: the task runs, or is about to. */
bool tni_task_inspect_take(tn_task *task, tni_task_inspect_snapshot *out);

/* Releases a reference that a walk has taken. If it is the last, the reporter does, because the program's drop_result may wait
 * for something that a stuck worker has. A current-thread runtime has no reporter. */
void tni_task_inspect_release(tn_task *task);

/* tni_runtime_walk_tasks for a `visit` that calls tni_task_inspect_take. */
void tni_task_inspect_walk(tn_runtime *runtime, void (*visit)(void *arg, tn_task *task), void *arg);

/* Copies the name, of another thread's task, and the note. */
void tni_task_inspect_name(const tn_task *task, char out[TNI_NAME_SIZE]);
void tni_task_inspect_note(const tn_task *task, char *out, size_t size);

/* Fills what holds for a task in any state: its ids, name, note and where it was spawned. The state is TN_TASK_RUNS. The caller
 * holds a reference. */
void tni_task_inspect_describe(const tn_task *task, tn_task_info *out);
/* Adds the chain of frames. */
void tni_task_inspect_add_frames(tn_task_info *out, const tni_frames *stack);

/* How long the task has waited, in nanoseconds. */
static inline uint64_t tni_task_inspect_waited_ns(const tni_task_inspect_snapshot *was, uint64_t now_ns)
{
    return now_ns > was->since_ns ? now_ns - was->since_ns : 0; /* otherwise it was suspended after `now_ns` */
}

#endif
