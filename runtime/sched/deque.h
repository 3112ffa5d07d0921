/* SPDX-License-Identifier: MIT */
/* The run queue of a core: a Chase-Lev deque of fixed size (Chase and Lev, SPAA 2005; memory orders after Lê, Pop, Cohen and
 * Zappa Nardelli, PPoPP 2013, with the published corrections).
 *
 * The owner pushes at the bottom. All threads, the owner too, take the oldest item at the top, each item by its own CAS. So
 * tasks run first in, first out, and a thief can take nothing that the owner cannot take. At the bottom the owner only
 * removes the newest, to move them to the injector when the deque is full. That is why one CAS for a batch of thefts would
 * be unsound.
 *
 * Differences from the paper: no growth, so there is no buffer to replace (its resize errors do not arise). Indices are
 * signed 64-bit counters that never wrap (an unsigned `top <= bottom` underflows at 0). Slots are atomic words, and a slot is
 * read before the CAS that takes it (after it, the owner may have reused the slot). README.md has the argument. */
#ifndef TNI_DEQUE_H
#define TNI_DEQUE_H

#include "base/atomic.h"
#include "base/config.h"

typedef struct {
    tni_cache_aligned tni_a64 top;    /* next index to take; only grows; any thread moves it, by CAS */
    tni_cache_aligned tni_a64 bottom; /* next index to fill; only the owner writes it */
    tni_aptr slots[TNI_DEQUE_CAPACITY];
} tni_deque;

/* What an attempt to take an item met. */
typedef enum { TNI_TAKE_EMPTY, TNI_TAKE_RETRY /* another thread took the item: try again */, TNI_TAKE_GOT } tni_take;

void tni_deque_init(tni_deque *d);

/* Any thread: takes the oldest item. */
tni_take tni_deque_take(tni_deque *d, void **item);

/* Owner: removes the newest `count` items into `items`, oldest of them first, if at least one older item stays. Otherwise
 * removes nothing and returns false. */
bool tni_deque_take_newest(tni_deque *d, void **items, unsigned count);

/* --- Inline, because they are on the path of every task ------------------------------------------------------------------- */

#define TNI_DEQUE_MASK (TNI_DEQUE_CAPACITY - 1)

/* Any thread: returns the number of items, by two loads that may be out of date. */
static inline unsigned tni_deque_length(const tni_deque *d)
{
    /* Relaxed: a hint. A caller that must not miss an item makes a full fence before. */
    int64_t top = (int64_t)tni_a64_load(&d->top, TNI_RELAXED);
    int64_t bottom = (int64_t)tni_a64_load(&d->bottom, TNI_RELAXED);
    return bottom > top ? (unsigned)(bottom - top) : 0;
}

/* Owner: appends `item`; returns false when the deque is full. The thread that takes the item observes what was written
 * before the push. */
static inline bool tni_deque_push(tni_deque *d, void *item)
{
    /* Relaxed: only the owner writes it. */
    int64_t bottom = (int64_t)tni_a64_load(&d->bottom, TNI_RELAXED);
    /* Observes the CAS of a taker: its load of the slot happened before this thread overwrites the slot. Relaxed would let a
     * taker that still holds the old index read the new item. */
    int64_t top = (int64_t)tni_a64_load(&d->top, TNI_ACQUIRE);

    if (bottom - top >= TNI_DEQUE_CAPACITY)
        return false;
    /* Relaxed: published by the store of bottom below. */
    tni_aptr_store(&d->slots[bottom & TNI_DEQUE_MASK], item, TNI_RELAXED);
    /* Publishes the slot and what the item points to; partner: the load of bottom in tni_deque_take. */
    tni_a64_store(&d->bottom, (uint64_t)(bottom + 1), TNI_RELEASE);
    return true;
}

/* Takes the item at index `top` if `bottom` is beyond it. */
static inline tni_take tni_deque_take_at(tni_deque *d, uint64_t top, int64_t bottom, void **item)
{
    if ((int64_t)top >= bottom)
        return TNI_TAKE_EMPTY;
    /* Relaxed: ordered by how bottom was read. The CAS decides whether the item is still this thread's to take. */
    *item = tni_aptr_load(&d->slots[top & TNI_DEQUE_MASK], TNI_RELAXED);
    /* Takes the index. Release: the load of the slot is done before the owner can see the new index and reuse the slot
     * (partner: the load of top in tni_deque_push). Seq_cst: it takes part in the single order of the fences, see README.md. */
    return tni_a64_cas(&d->top, &top, top + 1, TNI_SEQ_CST) ? TNI_TAKE_GOT : TNI_TAKE_RETRY;
}

/* Owner: takes the oldest item, without the fence that a thief needs. */
static inline tni_take tni_deque_take_own(tni_deque *d, void **item)
{
    /* Relaxed: the CAS checks it again, and the slots are this thread's own writes. */
    uint64_t top = tni_a64_load(&d->top, TNI_RELAXED);
    /* Relaxed: only this thread lowers it, so no fence is needed between the two loads. */
    int64_t bottom = (int64_t)tni_a64_load(&d->bottom, TNI_RELAXED);
    return tni_deque_take_at(d, top, bottom, item);
}

/* Owner: returns the index of the next push. */
static inline uint64_t tni_deque_end(const tni_deque *d)
{
    return tni_a64_load(&d->bottom, TNI_RELAXED); /* relaxed: own word */
}

/* Owner: returns the item `ahead` positions after the oldest, or NULL. A hint: a thief may have taken it already. */
static inline void *tni_deque_peek(const tni_deque *d, unsigned ahead)
{
    /* Relaxed, all: nothing is taken, and the thread that takes the item does not free its memory while the deque exists. */
    int64_t index = (int64_t)tni_a64_load(&d->top, TNI_RELAXED) + ahead;
    if (index >= (int64_t)tni_a64_load(&d->bottom, TNI_RELAXED)) /* relaxed: as above */
        return NULL;
    return tni_aptr_load(&d->slots[index & TNI_DEQUE_MASK], TNI_RELAXED); /* relaxed: as above */
}

#endif
