/* SPDX-License-Identifier: MIT */
/* Task hooks: task-local values, exit hooks, and the function that drops an untaken result.
 *
 * They form a chain, newest first. The spawner creates it before it publishes the task, and the running task adds to it. The
 * end of the task runs and removes all hooks except TNI_TASK_HOOK_DROP_RESULT, which goes when the header is freed.
 */
#ifndef TNI_TASK_HOOKS_H
#define TNI_TASK_HOOKS_H

#include "task/task.h"

typedef enum {
    TNI_TASK_HOOK_DROP_RESULT, /* fn(result) when the header is freed, unless the result was taken; always the oldest */
    TNI_TASK_HOOK_BORROWED,    /* fn(arg) at the end; the memory belongs to its creator */
    TNI_TASK_HOOK_EXIT,        /* fn(arg) at the end, then the hook is freed */
    TNI_TASK_HOOK_LOCAL,       /* a task-local value: the same, found by its key; fn may be NULL */
} tni_task_hook_kind;

struct tni_task_hook {
    tni_task_hook *next;
    void (*fn)(void *arg);
    void *arg;
    const void *key;
    tni_task_hook_kind kind;
    bool cancels;  /* of a hook given to tni_spawn_with: the task is cancelled before it can run */
    tni_a32 taken; /* 1: a joiner has taken the result, so DROP_RESULT does nothing */
};

/* Allocates a hook in front of the chain `next`. NULL: no memory. */
tni_task_hook *tni_task_hook_new(tn_runtime *runtime, tni_task_hook_kind kind, tni_task_hook *next);
void tni_task_hook_free(tn_runtime *runtime, tni_task_hook *hook);

/* Runs the hooks of a task that has ended, and removes them. */
void tni_task_hooks_at_exit(tn_task *task);

/* Records that a joiner has taken the result. */
void tni_task_hooks_result_taken(tn_task *task);

/* Drops the result if it was not taken, and frees the last hook. The header is freed next. */
void tni_task_hooks_at_free(tn_task *task);

#endif
