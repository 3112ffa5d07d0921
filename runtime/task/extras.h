/* What hangs on a few tasks beside the header: values of their own, exit hooks, what becomes of a result that nobody takes.
 *
 * A chain, newest first. The spawner makes it before the task is born, the running task adds to it, the end of the task takes
 * everything off but what drops the result, which goes when the header is freed.
 */
#ifndef TNI_EXTRAS_H
#define TNI_EXTRAS_H

#include "task/task.h"

typedef enum {
    TNI_EXTRA_DROP_RESULT, /* fn(result) when the header goes, unless the result was taken; always the oldest */
    TNI_EXTRA_LENT,        /* fn(arg) at the end; the memory is its maker's */
    TNI_EXTRA_HOOK,        /* fn(arg) at the end, then it is freed */
    TNI_EXTRA_LOCAL,       /* the same, with a key to find it by; fn may be NULL */
} tni_extra_kind;

struct tni_extra {
    tni_extra *next;
    void (*fn)(void *arg);
    void *arg;
    const void *key;
    tni_extra_kind kind;
    tni_a32 taken; /* 1: DROP_RESULT has nothing to drop: the result is somebody's */
};

/* NULL: no memory. `next`: the chain it is put before. */
tni_extra *tni_extra_new(tn_runtime *runtime, tni_extra_kind kind, tni_extra *next);
void tni_extra_free(tn_runtime *runtime, tni_extra *extra);

/* The task has ended: runs what is to be run at the end. */
void tni_extras_at_exit(tn_task *task);

/* A joiner has got the result. */
void tni_extras_result_taken(tn_task *task);

/* The header is about to be freed. */
void tni_extras_at_free(tn_task *task);

#endif
