/* SPDX-License-Identifier: MIT */
/* What hangs on a few tasks beside the header: values of their own, exit hooks, what becomes of a result that nobody takes.
 *
 * A chain, newest first. The spawner makes it before the task is born, the running task adds to it, the end of the task takes
 * everything off but what drops the result, which goes when the header is freed.
 */
#ifndef TNI_TASK_HOOKS_H
#define TNI_TASK_HOOKS_H

#include "task/task.h"

typedef enum {
    TNI_TASK_HOOK_DROP_RESULT, /* fn(result) when the header goes, unless the result was taken; always the oldest */
    TNI_TASK_HOOK_BORROWED,    /* fn(arg) at the end; the memory is its maker's */
    TNI_TASK_HOOK_EXIT,        /* fn(arg) at the end, then it is freed */
    TNI_TASK_HOOK_LOCAL,       /* the same, with a key to find it by; fn may be NULL */
} tni_task_hook_kind;

struct tni_task_hook {
    tni_task_hook *next;
    void (*fn)(void *arg);
    void *arg;
    const void *key;
    tni_task_hook_kind kind;
    tni_a32 taken; /* 1: DROP_RESULT has nothing to drop: the result is somebody's */
};

/* NULL: no memory. `next`: the chain it is put before. */
tni_task_hook *tni_task_hook_new(tn_runtime *runtime, tni_task_hook_kind kind, tni_task_hook *next);
void tni_task_hook_free(tn_runtime *runtime, tni_task_hook *extra);

/* The task has ended: runs what is to be run at the end. */
void tni_task_hooks_at_exit(tn_task *task);

/* A joiner has got the result. */
void tni_task_hooks_result_taken(tn_task *task);

/* The header is about to be freed. */
void tni_task_hooks_at_free(tn_task *task);

#endif
