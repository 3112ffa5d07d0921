/* SPDX-License-Identifier: MIT */
/* The ends of a channel with many senders and many receivers: broadcast and watch. The ends are counted. The last sender ends
 * the channel, and the last end frees it.
 *
 * `senders` orders nothing: the last sender sets `ended` under the queue's lock, under which receivers read it.
 *
 * `count` orders the free. A new end publishes nothing, because its creator holds an end. An end that is dropped publishes its
 * accesses, and the last one observes those of all others before the free. A sender is also counted in `count`, and drops that
 * part last. So the channel is not freed while its last sender ends it. */
#ifndef TNI_ENDS_H
#define TNI_ENDS_H

#include "base/alloc.h"
#include "base/order.h"
#include "waiters.h"

/* The first member of a channel, which is zeroed before tni_ends_init. */
typedef struct {
    tn_allocator allocator;
    tni_a32 senders;
    tni_a32 count; /* senders and receivers */
    bool ended;    /* under the lock: the last sender is gone */
    tni_waiters queue;
} tni_ends;

/* The creator is the first sender. */
static inline void tni_ends_init(tni_ends *ends, const tn_allocator *allocator)
{
    ends->allocator = *allocator;
    tni_a32_init(&ends->senders, 1);
    tni_a32_init(&ends->count, 1);
}

static inline void tni_ends_add(tni_ends *ends)
{
    /* Relaxed: the caller holds an end; one more publishes nothing. */
    (void)tni_a32_fetch_add(&ends->count, 1, TNI_RELAXED);
}

/* The last end is gone. */
static inline void tni_ends_free(tni_ends *ends, size_t size_bytes, void (*last)(tni_ends *ends))
{
    tn_allocator allocator = ends->allocator;

    tni_order_acquire();
    if (last != NULL)
        last(ends);
    tni_free(&allocator, ends, size_bytes);
}

/* `size_bytes`: of the channel. `last`: called before it is freed; NULL: nothing. */
static inline void tni_ends_drop(tni_ends *ends, size_t size_bytes, void (*last)(tni_ends *ends))
{
    tni_order_release();
    /* Publishes this end's accesses, observes those of all others before the free; partner: tni_ends_drop. */
    if (tni_a32_fetch_sub(&ends->count, 1, TNI_ACQ_REL) == 1)
        tni_ends_free(ends, size_bytes, last);
}

static inline void tni_ends_add_sender(tni_ends *ends)
{
    /* Relaxed: as in tni_ends_add. */
    (void)tni_a32_fetch_add(&ends->senders, 1, TNI_RELAXED);
    tni_ends_add(ends);
}

static inline void tni_ends_drop_sender(tni_ends *ends, size_t size_bytes, void (*last)(tni_ends *ends))
{
    tni_order_release();
    /* Relaxed: the lock publishes the end of the channel. */
    if (tni_a32_fetch_sub(&ends->senders, 1, TNI_RELAXED) == 1) {
        tni_short_lock_acquire(&ends->queue.lock);
        ends->ended = true;
        tni_waiters_complete_all_locked(&ends->queue, TNI_WAITER_GRANTED);
    }
    tni_ends_drop(ends, size_bytes, last);
}

#endif
