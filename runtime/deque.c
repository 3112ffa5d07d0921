#include "deque.h"

#define SLOT_MASK (TNI_DEQUE_CAPACITY - 1)

void tni_deque_init(tni_deque *d)
{
    tni_a64_init(&d->top, 0);
    tni_a64_init(&d->bottom, 0);
    for (unsigned i = 0; i < TNI_DEQUE_CAPACITY; i++)
        tni_aptr_init(&d->slots[i], NULL);
}

bool tni_deque_push(tni_deque *d, void *item)
{
    /* Own word: no order needed. */
    int64_t bottom = (int64_t)tni_a64_load(&d->bottom, TNI_RELAXED);
    /* Observes the CAS of a taker: its read of the slot happened before our overwrite. Relaxed would let the new item's store be
     * seen by a taker that still believes in the old index. */
    int64_t top = (int64_t)tni_a64_load(&d->top, TNI_ACQUIRE);

    if (bottom - top >= TNI_DEQUE_CAPACITY)
        return false;
    /* Relaxed: published by the store of bottom below. */
    tni_aptr_store(&d->slots[bottom & SLOT_MASK], item, TNI_RELAXED);
    /* Publishes the slot and what the item points to; partner: the load of bottom in tni_deque_take. */
    tni_a64_store(&d->bottom, (uint64_t)(bottom + 1), TNI_RELEASE);
    return true;
}

/* Takes index `top` if `bottom` is beyond it. */
static tni_take take_at(tni_deque *d, uint64_t top, int64_t bottom, void **item)
{
    if ((int64_t)top >= bottom)
        return TNI_TAKE_EMPTY;
    /* Relaxed: ordered by how bottom was read; whether it is still ours is for the CAS to say. */
    *item = tni_aptr_load(&d->slots[top & SLOT_MASK], TNI_RELAXED);
    /* Takes the index. Release: our slot read is done before the owner can see the index move on and reuse the slot (partner: the
     * load of top in tni_deque_push). Seq_cst: it takes part in the one order of the fences, see README.md. */
    return tni_a64_cas(&d->top, &top, top + 1, TNI_SEQ_CST) ? TNI_TAKE_GOT : TNI_TAKE_RETRY;
}

tni_take tni_deque_take(tni_deque *d, void **item)
{
    /* Observes other takers' CAS, so that the slot is not read at an index older than what we know. */
    uint64_t top = tni_a64_load(&d->top, TNI_ACQUIRE);
    int64_t bottom;

    /* Orders the read of top before the read of bottom, against the owner's fence in tni_deque_take_newest: without it a thief
     * could pair a fresh top with a bottom from before the owner lowered it, and both would hold the item. */
    tni_fence_full();
    /* Observes the push: the slot and the item behind it. */
    bottom = (int64_t)tni_a64_load(&d->bottom, TNI_ACQUIRE);
    return take_at(d, top, bottom, item);
}

tni_take tni_deque_take_own(tni_deque *d, void **item)
{
    /* Observes nothing that the CAS does not check again; the slots are our own writes. */
    uint64_t top = tni_a64_load(&d->top, TNI_RELAXED);
    /* Own word: only we lower it, so no fence is needed between the two reads. */
    int64_t bottom = (int64_t)tni_a64_load(&d->bottom, TNI_RELAXED);
    return take_at(d, top, bottom, item);
}

bool tni_deque_take_newest(tni_deque *d, void **items, unsigned count)
{
    /* Own word: no order needed. */
    int64_t bottom = (int64_t)tni_a64_load(&d->bottom, TNI_RELAXED);
    int64_t lowered = bottom - (int64_t)count;
    int64_t top;

    /* Release: a thief that reads this bottom must see the slots below it, as after a push; the fence below comes too late for
     * that. */
    tni_a64_store(&d->bottom, (uint64_t)lowered, TNI_RELEASE);
    /* Orders the lowered bottom before the read of top: a thief whose fence comes after this one sees it, and one whose fence
     * came before has left a top that we see. */
    tni_fence_full();
    /* Relaxed: the slots below are our own writes. */
    top = (int64_t)tni_a64_load(&d->top, TNI_RELAXED);
    if (top >= lowered) {
        /* Puts them back. Release, as in push: a thief that reads this bottom must see the slots. */
        tni_a64_store(&d->bottom, (uint64_t)bottom, TNI_RELEASE);
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        /* Relaxed: our own writes. */
        items[i] = tni_aptr_load(&d->slots[(lowered + i) & SLOT_MASK], TNI_RELAXED);
    }
    return true;
}

unsigned tni_deque_length(const tni_deque *d)
{
    /* Relaxed: a hint. Whoever must not miss an item puts a full fence before. */
    int64_t top = (int64_t)tni_a64_load(&d->top, TNI_RELAXED);
    int64_t bottom = (int64_t)tni_a64_load(&d->bottom, TNI_RELAXED);
    return bottom > top ? (unsigned)(bottom - top) : 0;
}
