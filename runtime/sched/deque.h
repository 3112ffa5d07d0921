/* SPDX-License-Identifier: MIT */
/* The ready queue of a core: a Chase-Lev deque of fixed size (Chase and Lev, SPAA 2005; orders after Lê, Pop, Cohen and Zappa
 * Nardelli, PPoPP 2013, with their published errors mended).
 *
 * The owner pushes at the bottom. Everyone, the owner too, takes the oldest item at the top, each item by a CAS of its own: so
 * tasks are served first in, first out, and a thief has nothing that the owner does not have. From the bottom the owner only
 * takes the newest, to spill them when the deque is full; that is why one CAS for a batch of thefts would be unsound.
 *
 * Differences from the paper: no growth, so there is no buffer to replace (its resize errors do not arise); indices are signed
 * 64-bit counters that never wrap (an unsigned `top <= bottom` underflows at 0); slots are atomic words, and a slot is read
 * before the CAS that takes it (after it, the owner may have reused it). README.md has the argument.
 */
#ifndef TNI_DEQUE_H
#define TNI_DEQUE_H

#include "base/atomic.h"
#include "base/config.h"

typedef struct {
    tni_cache_aligned tni_a64 top;    /* next index to take; only ever grows; moved by CAS, by anyone */
    tni_cache_aligned tni_a64 bottom; /* next index to fill; written by the owner alone */
    tni_aptr slots[TNI_DEQUE_CAPACITY];
} tni_deque;

/* What a taker met. */
typedef enum { TNI_TAKE_EMPTY, TNI_TAKE_RETRY /* lost the race for an item: look again */, TNI_TAKE_GOT } tni_take;

void tni_deque_init(tni_deque *d);

/* Anyone: takes the oldest item. */
tni_take tni_deque_take(tni_deque *d, void **item);

/* Owner: takes the newest `count` items into `items`, oldest of them first, if at least one older item stays; else takes nothing
 * and answers false. */
bool tni_deque_take_newest(tni_deque *d, void **items, unsigned count);

/* Anyone: how many items there are, by two reads that may be out of date. */
unsigned tni_deque_length(const tni_deque *d);

/* --- Inline, because they are on the way of every task ---------------------------------------------------------------------*/

#define TNI_DEQUE_MASK (TNI_DEQUE_CAPACITY - 1)

/* Owner: appends `item`; false when the deque is full. Whoever takes the item sees what was written before the push. */
static inline bool tni_deque_push(tni_deque *d, void *item)
{
    /* Own word: no order needed. */
    int64_t bottom = (int64_t)tni_a64_load(&d->bottom, TNI_RELAXED);
    /* Observes the CAS of a taker: its read of the slot happened before our overwrite. Relaxed would let the new item's store be
     * seen by a taker that still believes in the old index. */
    int64_t top = (int64_t)tni_a64_load(&d->top, TNI_ACQUIRE);

    if (bottom - top >= TNI_DEQUE_CAPACITY)
        return false;
    /* Relaxed: published by the store of bottom below. */
    tni_aptr_store(&d->slots[bottom & TNI_DEQUE_MASK], item, TNI_RELAXED);
    /* Publishes the slot and what the item points to; partner: the load of bottom in tni_deque_take. */
    tni_a64_store(&d->bottom, (uint64_t)(bottom + 1), TNI_RELEASE);
    return true;
}

/* Takes index `top` if `bottom` is beyond it. */
static inline tni_take tni_deque_take_at(tni_deque *d, uint64_t top, int64_t bottom, void **item)
{
    if ((int64_t)top >= bottom)
        return TNI_TAKE_EMPTY;
    /* Relaxed: ordered by how bottom was read; whether it is still ours is for the CAS to say. */
    *item = tni_aptr_load(&d->slots[top & TNI_DEQUE_MASK], TNI_RELAXED);
    /* Takes the index. Release: our slot read is done before the owner can see the index move on and reuse the slot (partner: the
     * load of top in tni_deque_push). Seq_cst: it takes part in the one order of the fences, see README.md. */
    return tni_a64_cas(&d->top, &top, top + 1, TNI_SEQ_CST) ? TNI_TAKE_GOT : TNI_TAKE_RETRY;
}

/* Owner: takes the oldest item, without the barrier that a thief needs. */
static inline tni_take tni_deque_take_own(tni_deque *d, void **item)
{
    /* Observes nothing that the CAS does not check again; the slots are our own writes. */
    uint64_t top = tni_a64_load(&d->top, TNI_RELAXED);
    /* Own word: only we lower it, so no fence is needed between the two reads. */
    int64_t bottom = (int64_t)tni_a64_load(&d->bottom, TNI_RELAXED);
    return tni_deque_take_at(d, top, bottom, item);
}

/* Owner: the index of the next push. */
static inline uint64_t tni_deque_end(const tni_deque *d)
{
    return tni_a64_load(&d->bottom, TNI_RELAXED); /* relaxed: own word */
}

/* Owner: the item `ahead` places behind the oldest, or NULL. A hint: a thief may have it already. */
static inline void *tni_deque_peek(const tni_deque *d, unsigned ahead)
{
    /* Relaxed, all: nothing is taken, and whoever had the item does not free its memory while the deque exists. */
    int64_t index = (int64_t)tni_a64_load(&d->top, TNI_RELAXED) + ahead;
    if (index >= (int64_t)tni_a64_load(&d->bottom, TNI_RELAXED)) /* relaxed: as above */
        return NULL;
    return tni_aptr_load(&d->slots[index & TNI_DEQUE_MASK], TNI_RELAXED); /* relaxed: as above */
}

#endif
