/* SPDX-License-Identifier: MIT */
/* Marked pieces of work: how the time of a task is spent between tn_work_begin and tn_work_end. README.md ("Marked work") has
 * the steps, the cost and the owners. */
#ifndef TNI_WORK_H
#define TNI_WORK_H

#include <tn/work.h>

#include "base/sampler.h"
#include "task/task.h"

typedef struct {
    const char *name; /* static text; NULL: unused */
    uint64_t count;
    uint64_t total_ns;
} tni_work_wait;

/* Of the thread that owns the task (task.h, A). Of the innermost work alone: `queued_at`, `woken_ns` and `waits_for`. */
typedef struct tni_work tni_work;
struct tni_work {
    tni_work *outer;
    tn_task *task; /* NULL: nothing is measured */
    const char *name;
    uint64_t began_ns;
    uint64_t turned_ns;    /* when the present run began, or the last one ended */
    uint64_t woken_ns;     /* when the task became runnable */
    tni_stamp queued_at;   /* as that of a task that is not accounted; 0: not measured */
    const char *waits_for; /* what it has waited for since its last run; NULL: it has yielded */
    uint64_t ran_ns;
    uint64_t queued_ns;
    uint64_t waited_ns;
    uint64_t turns;
    tni_work_wait waits[TN_WORK_WAITS];
};

_Static_assert(sizeof(tni_work) <= sizeof(tn_work), "tn_work is too small");

/* A stamp for the run of an accounted task that the meter does not count. */
#define TNI_WORK_STAMP TNI_STAMP_LOG2

/* An accounted task has become runnable, and the caller owns it. */
void tni_work_woken(tn_task *task);
/* A run of an accounted task begins, or has ended. `waits_for`: what it waits for from now on; NULL: it has yielded. */
void tni_work_run_begun(tn_task *task, uint64_t now_ns);
void tni_work_run_left(tn_task *task, uint64_t now_ns, const char *waits_for);

/* The innermost work of a task; NULL: none. */
static inline tni_work *tni_work_of(const tn_task *task)
{
    return task->accounted ? task->work : NULL;
}

/* One line about it, as in the log: "took …". Returns the text. */
const char *tni_work_text(const tn_work_spent *spent, char *text, size_t size);
/* Reads it, at that time. `out` is all zero but for its size. */
void tni_work_spent(const tni_work *work, uint64_t now_ns, tn_work_spent *out);

#endif
