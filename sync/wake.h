/* SPDX-License-Identifier: MIT */
/* Wakes that are prepared under a lock and done after its release. */
#ifndef TNI_WAKE_H
#define TNI_WAKE_H

#include "task/task.h"

/* A prepared wake. 0: nothing is left to do. Lowest bit set: a task that has been made ACTIVE and must be queued. Otherwise a
 * waker with its reference. */
typedef uintptr_t tni_wake;

/* Prepares the wake of a waiter whose verdict has been written, before the lock of its queue is released. `borrowed`: the waker
 * is no counted reference, but the task cannot end before that release. In that case, within the task's runtime, the task's
 * state is changed at once: a task made ACTIVE here cannot end before it is queued, so it needs no reference. */
tni_wake tni_wake_prepare(tn_waker *waker, bool borrowed);

/* The rest of tni_wake_do. */
void tni_wake_do_prepared(tni_wake wake);

/* Without the lock: does the wake. */
static inline void tni_wake_do(tni_wake wake)
{
    if (wake != 0)
        tni_wake_do_prepared(wake);
}

/* Wakes prepared under a lock. When the batch is full, the caller releases the lock, wakes, and takes the lock again: so any
 * number of waiters is woken in linear time and without allocation. */
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

/* Without the lock: does the wakes and empties the batch. */
void tni_wake_batch_wake(tni_wake_batch *batch);

#endif
