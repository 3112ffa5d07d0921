/* The ready queue of a core: a Chase-Lev deque of fixed size (Chase and Lev, SPAA 2005; orders after Lê, Pop, Cohen and Zappa
 * Nardelli, PPoPP 2013, with their published errors mended).
 *
 * The owner pushes at the bottom. Everyone, the owner too, takes the oldest item at the top, each item by a CAS of its own: so
 * tasks are served first in, first out, and a thief has nothing that the owner does not have. From the bottom the owner only
 * takes the newer half, to spill it when the deque is full; that is why one CAS for a batch of thefts would be unsound.
 *
 * Differences from the paper: no growth, so there is no buffer to replace (its resize errors do not arise); indices are signed
 * 64-bit counters that never wrap (an unsigned `top <= bottom` underflows at 0); slots are atomic words, and a slot is read
 * before the CAS that takes it (after it, the owner may have reused it). README.md has the argument.
 */
#ifndef TNI_DEQUE_H
#define TNI_DEQUE_H

#include "config.h"
#include "prim.h"

typedef struct {
    tni_cache_aligned tni_a64 top; /* next index to take; only ever grows; moved by CAS, by anyone */
    tni_cache_aligned tni_a64 bottom; /* next index to fill; written by the owner alone */
    tni_aptr slots[TNI_DEQUE_CAPACITY];
} tni_deque;

/* What a taker met. */
typedef enum { TNI_TAKE_EMPTY, TNI_TAKE_RETRY /* lost the race for an item: look again */, TNI_TAKE_GOT } tni_take;

void tni_deque_init(tni_deque *d);

/* Owner: appends `item`; false when the deque is full. Whoever takes the item sees what was written before the push. */
bool tni_deque_push(tni_deque *d, void *item);

/* Anyone: takes the oldest item. */
tni_take tni_deque_take(tni_deque *d, void **item);

/* Owner: the same without the barrier that a thief needs. */
tni_take tni_deque_take_own(tni_deque *d, void **item);

/* Owner: takes the newest `count` items into `items`, oldest of them first, if at least one older item stays; else takes nothing
 * and answers false. */
bool tni_deque_take_newest(tni_deque *d, void **items, unsigned count);

/* Anyone: how many items there are, by two reads that may be out of date. */
unsigned tni_deque_length(const tni_deque *d);

#endif
