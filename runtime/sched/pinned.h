/* SPDX-License-Identifier: MIT */
/* Pinned tasks: where they begin, and what a worker runs that no other worker may take. README.md ("Pinned tasks") has the
 * argument.
 *
 *   - A pinned task that has not begun is in the start queue of a core (`starts` in core.h). The worker that holds the core runs
 *     it. So it goes with the core when a replacement thread gets that, and the monitor moves it away like any other task.
 *   - From its first run on it is in the mailbox of the worker that ran it, whenever it is runnable. */
#ifndef TNI_PINNED_H
#define TNI_PINNED_H

#include "sched/worker.h"

/* The core on which the next pinned task begins: the cores in turn, without reserves (idle.h). */
tni_core *tni_pinned_next_core(tn_runtime *runtime);

/* Any thread: queues a pinned task that has not begun. */
void tni_pinned_push(tni_core *core, tn_task *task);
/* After tni_pinned_push: wakes the worker that holds the core if it is parked. */
void tni_pinned_wake(tni_core *core);

/* Holder: takes the oldest pinned task that is to begin on the core. NULL: none. */
tn_task *tni_pinned_take_start(tni_core *core);

/* Whether a pinned task is to begin on the core. */
static inline bool tni_pinned_begins(const tni_core *core)
{
    return tni_injector_length(&core->starts) > 0;
}

static inline bool tni_pinned_has_mail(const tni_worker *worker)
{
    /* The check before a sleep needs no fence, because tni_worker_mail also unparks, and that wake is never lost. */
    return worker->pinned != NULL || !tni_inbox_is_empty(&worker->mailbox);
}

static inline tn_task *tni_pinned_take_mail(tni_worker *worker)
{
    tni_inbox_node *node = worker->pinned;

    if (node == NULL)
        node = tni_inbox_take(&worker->mailbox);
    if (node == NULL)
        return NULL;
    worker->pinned = node->next;
    return tni_container_of(node, tn_task, inbox_node);
}

/* Whether a pinned task waits that this worker must run, or that is to begin on its core. */
static inline bool tni_pinned_is_waiting(const tni_worker *worker, const tni_core *core)
{
    return tni_pinned_has_mail(worker) || tni_pinned_begins(core);
}

#endif
