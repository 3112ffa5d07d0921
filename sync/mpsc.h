/* SPDX-License-Identifier: MIT */
/* The inside of a channel with many senders, shared by its two sides; the protocols stand in mpsc.c. */
#ifndef TNI_MPSC_H
#define TNI_MPSC_H

#include <tn/mpsc.h>

#include "channel.h"
#include "waiters.h"

typedef struct tni_mpsc_block tni_mpsc_block;
struct tni_mpsc_block {
    tni_mpsc_block *next; /* the newest one's: written by a sender before `tail` enters it; read by the receiver after that */
    _Alignas(16) unsigned char elements[];
};

struct tn_mpsc {
    /* Constant. */
    size_t element_size;
    size_t capacity;
    size_t block_elements;
    tni_channel_options options;
    bool asymmetric; /* light and heavy fences are to be had */

    /* Anyone. */
    tni_a32 senders;
    tni_a32 sides;  /* 2: the senders and the receiver; the last one frees */
    tni_aptr spare; /* tni_mpsc_block *: emptied, to be used again */

    /* The senders; `waiting.lock`. What each send writes is one line with the lock. */
    tni_cache_aligned tni_waiters waiting;
    tni_a64 tail;             /* elements sent so far; written under the lock */
    uint64_t head_seen;       /* at least so many have been received */
    tni_mpsc_block *back;     /* the newest block */
    size_t back_used;         /* elements that were put into it */
    uint64_t reserved;        /* places kept for a send to come */
    tn_waker *receiver_waker; /* a reference, unless it is borrowed; NULL: it does not wait. Set: there is nothing to take */
    const void *receiver;     /* whose waker it is, a tn_mpsc_recv_future */
    bool receiver_borrowed;   /* see tni_wake_prepare */
    bool closed;              /* by the receiver */
    bool receiver_gone;

    /* What the receiver looks at each time: on a line that senders seldom write. Written under the lock. */
    tni_cache_aligned tni_a32 crowded; /* senders wait, or did lately: the receiver looks whether one is in line */
    tni_a32 in_line;                   /* 0: nobody waits in the queue; counts while crowded */

    /* The receiver. */
    tni_cache_aligned tni_a64 head; /* elements received so far */
    uint64_t tail_seen;             /* so many are there at least */
    tni_mpsc_block *front;          /* the oldest block */
    size_t front_used;              /* elements that were taken from it */
};

static inline void *tni_mpsc_element_at(const tn_mpsc *channel, tni_mpsc_block *where, size_t index)
{
    return where->elements + index * channel->element_size;
}

/* A ring has its next block always, the others when they are given one. */
static inline bool tni_mpsc_must_grow(const tn_mpsc *channel)
{
    return channel->back_used == channel->block_elements && channel->back->next == NULL;
}

/* Lock held: leaves it while it allocates or frees. False: no memory, and no other sender has grown the channel meanwhile. What
 * the caller knew under the lock has to be looked at again. */
bool tni_mpsc_grow(tn_mpsc *channel);

/* Receiver: a block of an unbounded channel is empty, and no sender comes back to it. */
void tni_mpsc_recycle(tn_mpsc *channel, tni_mpsc_block *emptied);

/* One of the two sides lets go. */
void tni_mpsc_leave(tn_mpsc *channel);

/* Lock held, and released in the end: places go to the senders that wait, oldest first. */
void tni_mpsc_complete_senders(tn_mpsc *channel);

/* Lock held: prepares the wake of the receiver, if it waits. */
static inline tni_wake tni_mpsc_take_receiver(tn_mpsc *channel)
{
    tn_waker *waker = channel->receiver_waker;

    if (waker == NULL)
        return 0;
    channel->receiver_waker = NULL;
    return tni_wake_prepare(waker, channel->receiver_borrowed);
}

/* Receiver: the next element, where it lies, or NULL. */
__attribute__((always_inline)) static inline void *tni_mpsc_peek(tn_mpsc *channel, uint64_t head)
{
    if (head == channel->tail_seen) {
        /* Observes the elements below it, and the blocks that they lie in; partner: put. */
        channel->tail_seen = tni_a64_load(&channel->tail, TNI_ACQUIRE);
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
