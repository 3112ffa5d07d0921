/* SPDX-License-Identifier: MIT */
/* Wakes that are prepared under a lock and done without it. */
#ifndef TNI_WAKE_H
#define TNI_WAKE_H

#include "task/task.h"

/* A wake that has been prepared under a lock, to be done without it. 0: nothing is to be done. The lowest bit set: a task that
 * has been made ACTIVE and has to be queued. Else a waker with its reference. */
typedef uintptr_t tni_wake;

/* Lock held: prepares the wake of a waiter, whose answer has been written. `borrowed`: the waker is no counted reference, but the
 * task cannot end as long as the lock is held. Then, within its runtime, the task's state is changed at once: a task that is
 * ACTIVE by our doing cannot end before we have queued it, so that it needs no reference. */
tni_wake tni_wake_prepare(tn_waker *waker, bool borrowed);

/* Lock not held. */
void tni_wake_do(tni_wake wake);

/* Wakes that were prepared under a lock. Who has filled it releases the lock, wakes, and takes the lock again: so any number
 * of waiters is woken in linear time and without memory. */
enum { TNI_WAKE_BATCH = 32 };

typedef struct {
    unsigned count;
    tni_wake wakes[TNI_WAKE_BATCH];
} tni_wake_batch;

static inline bool tni_wake_batch_is_full(const tni_wake_batch *batch)
{
    return batch->count == TNI_WAKE_BATCH;
}

static inline void tni_wake_batch_add(tni_wake_batch *batch, tni_wake wake)
{
    batch->wakes[batch->count++] = wake;
}

/* Lock not held. */
void tni_wake_batch_wake(tni_wake_batch *batch);

#endif
