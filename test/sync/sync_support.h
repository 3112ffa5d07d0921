/* SPDX-License-Identifier: MIT */
/* For tests that decide the order of events: stand-ins for tasks, whose futures the test polls by hand. */
#ifndef SYNC_SUPPORT_H
#define SYNC_SUPPORT_H

#include <string.h>

#include <tn.h>

#include "support/runtime.h"
#include "task/task.h"

/* A task header like that of a plain thread that waits. */
typedef struct {
    tn_task task;
} stand_in;

static inline void stand_in_init(stand_in *one)
{
    memset(one, 0, sizeof *one);
    one->task.kind = TNI_TASK_THREAD;
    tni_parker_init(&one->task.body.parker);
    tni_task_publish(&one->task, 1);
}

/* Returns whether it has been woken since the last call. */
static inline bool stand_in_woken(stand_in *one)
{
    return tni_a64_fetch_and(&one->task.state, ~TNI_TASK_NOTIFIED, TNI_ACQ_REL) & TNI_TASK_NOTIFIED;
}

/* Returns whether all references to it have been released. */
static inline bool stand_in_is_free(const stand_in *one)
{
    return tni_a64_load(&one->task.state, TNI_ACQUIRE) / TNI_TASK_REF == 1;
}

static inline bool stand_in_is_free_now(void *one)
{
    return stand_in_is_free(one);
}

/* Waits until no thread has a waker of it. A driver that has taken one out to wake it may be interrupted before it does. */
static inline void stand_in_wait_free(stand_in *one)
{
    tt_check(tt_wait_until(stand_in_is_free_now, one, 60 * TN_S));
}

static inline int poll_by(tn_future *future, stand_in *one)
{
    one->task.budget = TNI_BUDGET;
    return future->ops->poll(future, tni_task_waker(&one->task));
}

static inline void drop(tn_future *future)
{
    future->ops->drop(future);
}

/* Runs `entry` in a runtime with one worker: what a task does, it does before the tasks that it has woken run. */
static inline void run_on_one_worker(tn_entry_fn entry, void *arg)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    options.workers = 1;
    options.stuck_after_ns = UINT64_MAX; /* no replacement thread: one task at a time */
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, entry, arg, NULL), 0);
    tt_runtime_destroy(runtime);
}

/* Runs `entry` on this thread, with a clock that moves only when all tasks sleep: no preemption changes what happens. */
static inline void run_in_paused_time(tn_entry_fn entry, void *arg)
{
    tn_options options = tn_options_default();

    options.flavor = TN_CURRENT_THREAD;
    cr_assert_eq(tn_run(entry, arg, &options), 0);
}

/* Lets the others run until they have nothing more to do. Requires one worker. */
static inline void let_others_run(void)
{
    for (int i = 0; i < 20; i++)
        tt_check(tn_yield() == 0);
}

#endif
