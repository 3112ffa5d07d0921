/* SPDX-License-Identifier: MIT */
/* Internals of tn_mpsc, shared by its two sides. The protocols are described in mpsc.c. */
#ifndef TNI_MPSC_H
#define TNI_MPSC_H

#include <tn/mpsc.h>

#include "channel.h"
#include "waiters.h"

typedef struct tni_mpsc_block tni_mpsc_block;
struct tni_mpsc_block {
    tni_mpsc_block *next; /* written by a sender before `tail` enters that block; read by the receiver afterwards */
    _Alignas(16) unsigned char elements[];
};

struct tn_mpsc {
    /* Constant. */
    size_t element_size;
    size_t capacity;
    size_t block_elements;
    tni_channel_options options;
    bool asymmetric; /* light and heavy fences are available */

    /* Used by both sides. */
    tni_a32 senders;
    tni_a32 sides;         /* 2: the senders and the receiver; the last one to leave frees the channel */
    tni_aptr unused_block; /* tni_mpsc_block *: an emptied block for reuse; NULL: none */

    /* The senders' side, under `waiting.lock`. What each send writes is in one cache line with the lock. */
    tni_cache_aligned tni_waiters waiting;
    tni_a64 tail;             /* elements sent so far; written under the lock */
    uint64_t head_seen;       /* last value read of `head`: at least so many have been received */
    tni_mpsc_block *back;     /* newest block */
    size_t back_used;         /* elements written into it */
    uint64_t reserved;        /* slots reserved for later sends */
    tn_waker *receiver_waker; /* a reference, unless borrowed; set while the receiver waits, and only if the channel is empty */
    const void *receiver;     /* the tn_mpsc_recv_future that stored it */
    bool receiver_borrowed;   /* see tni_wake_prepare */
    bool closed;              /* by the receiver */
    bool receiver_gone;

    /* Read by the receiver each time, so in a cache line that senders seldom write. Written under the lock. */
    tni_cache_aligned tni_a32 contended; /* senders wait, or did recently: the receiver checks has_waiters */
    tni_a32 has_waiters;                 /* a sender is in the queue; valid while `contended` */
    tni_a32 unordered;                   /* a heavy fence has failed: senders that wait check again from time to time */

    /* The receiver's side. */
    tni_cache_aligned tni_a64 head; /* elements received so far */
    uint64_t tail_seen;             /* last value read of `tail`: at least so many have been sent */
    tni_mpsc_block *front;          /* oldest block */
    size_t front_used;              /* elements taken from it */
};

static inline void *tni_mpsc_element_at(const tn_mpsc *channel, tni_mpsc_block *where, size_t index)
{
    return where->elements + index * channel->element_size;
}

/* In a ring the next block always exists; otherwise it must be allocated. */
static inline bool tni_mpsc_must_grow(const tn_mpsc *channel)
{
    return channel->back_used == channel->block_elements && channel->back->next == NULL;
}

/* The lock is released during the allocation or the free. False: no memory, and no other sender has grown the channel meanwhile.
 * The caller must check again what it knew under the lock. */
bool tni_mpsc_grow_locked(tn_mpsc *channel);

/* For the receiver: gives back an emptied block of an unbounded channel; no sender accesses it any more. */
void tni_mpsc_recycle(tn_mpsc *channel, tni_mpsc_block *emptied);

/* One of the two sides releases the channel. */
void tni_mpsc_leave(tn_mpsc *channel);

/* Releases the lock: grants slots to waiting senders, oldest first. */
void tni_mpsc_complete_senders_locked(tn_mpsc *channel);

/* Prepares the wake of the receiver, if it waits. */
static inline tni_wake tni_mpsc_take_receiver_locked(tn_mpsc *channel)
{
    tn_waker *waker = channel->receiver_waker;

    tni_short_lock_assert_held(&channel->waiting.lock);
    if (waker == NULL)
        return 0;
    channel->receiver_waker = NULL;
    return tni_wake_prepare(waker, channel->receiver_borrowed);
}

/* For the receiver: a pointer to the next element in its slot; NULL: there is none. */
__attribute__((always_inline)) static inline void *tni_mpsc_peek(tn_mpsc *channel, uint64_t head)
{
    if (head == channel->tail_seen) {
        /* Observes the elements below it, and their blocks; partner: put_locked (mpsc_send.c). */
        channel->tail_seen = tni_a64_load(&channel->tail, TNI_ACQUIRE);
        tni_order_acquire();
        if (head == channel->tail_seen)
            return NULL;
    }
    if (channel->front_used == channel->block_elements) {
        tni_mpsc_block *emptied = channel->front;
        channel->front = emptied->next;
        channel->front_used = 0;
        if (channel->front != emptied)
            tni_mpsc_recycle(channel, emptied);
    }
    return tni_mpsc_element_at(channel, channel->front, channel->front_used++);
}

#endif
