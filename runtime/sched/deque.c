/* SPDX-License-Identifier: MIT */
/* The run queue of a core: the functions of deque.h that are not inline. */
#include "sched/deque.h"

void tni_deque_init(tni_deque *d)
{
    tni_a64_init(&d->top, 0);
    tni_a64_init(&d->bottom, 0);
    for (unsigned i = 0; i < TNI_DEQUE_CAPACITY; i++)
        tni_aptr_init(&d->slots[i], NULL);
}

tni_take tni_deque_take(tni_deque *d, void **item)
{
    /* Observes other takers' CAS, so that the slot is not read at an index older than the one known here. */
    uint64_t top = tni_a64_load(&d->top, TNI_ACQUIRE);
    int64_t bottom;

    /* Orders the load of top before the load of bottom, against the owner's fence in tni_deque_take_newest. Without it a
     * thief could combine a fresh top with a bottom from before the owner lowered it, and both would take the item. */
    tni_fence_full();
    /* Observes the push: the slot and the item behind it. */
    bottom = (int64_t)tni_a64_load(&d->bottom, TNI_ACQUIRE);
    return tni_deque_take_at(d, top, bottom, item);
}

bool tni_deque_take_newest(tni_deque *d, void **items, unsigned count)
{
    /* Relaxed: only the owner writes it. */
    int64_t bottom = (int64_t)tni_a64_load(&d->bottom, TNI_RELAXED);
    int64_t lowered = bottom - (int64_t)count;
    int64_t top;

    /* Release: a thief that reads this bottom must see the slots below it, as after a push. The fence below comes too late
     * for that. */
    tni_a64_store(&d->bottom, (uint64_t)lowered, TNI_RELEASE);
    /* Orders the lowered bottom before the load of top: a thief whose fence comes after this one sees the lowered bottom, and
     * the top that a thief left before its earlier fence is seen here. */
    tni_fence_full();
    /* Relaxed: the slots below are this thread's own writes. */
    top = (int64_t)tni_a64_load(&d->top, TNI_RELAXED);
    if (top >= lowered) {
        /* Restores bottom. Release, as in push: a thief that reads this bottom must see the slots. */
        tni_a64_store(&d->bottom, (uint64_t)bottom, TNI_RELEASE);
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        /* Relaxed: this thread's own writes. */
        items[i] = tni_aptr_load(&d->slots[(lowered + i) & TNI_DEQUE_MASK], TNI_RELAXED);
    }
    return true;
}
