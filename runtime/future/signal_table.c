/* SPDX-License-Identifier: MIT */
/* The listeners to signals, as the signal handler finds them; signal_table.h has the protocol. */
#include "future/signal_table.h"

#include "base/thread.h"

void tni_signal_table_add(tni_signal_table *table, tni_signal_listener *listener)
{
    /* Relaxed, both: written under the lock, and published by the next store. */
    tni_aptr_store(&listener->next, tni_aptr_load(&table->first, TNI_RELAXED), TNI_RELAXED);
    /* Release: publishes the listener; partner: tni_signal_table_deliver. Weaker: a handler could read it uninitialized. */
    tni_aptr_store(&table->first, listener, TNI_RELEASE);
}

void tni_signal_table_unlink(tni_signal_table *table, tni_signal_listener *listener)
{
    tni_aptr *link = &table->first;
    tni_signal_listener *at;

    /* Relaxed, all: read and written under the lock. The fence of tni_signal_table_wait makes the change visible. */
    while ((at = tni_aptr_load(link, TNI_RELAXED)) != NULL && at != listener)
        link = &at->next;
    if (at != NULL)
        tni_aptr_store(link, tni_aptr_load(&listener->next, TNI_RELAXED), TNI_RELEASE); /* release: as in the add, the next one */
}

void tni_signal_table_wait(tni_signal_table *table)
{
    tni_fence_full(); /* partner: that of tni_signal_table_deliver. Weaker: both sides could miss each other */
    /* Acquire: observes that the handlers have left the list; partner: the decrement of tni_signal_table_deliver. */
    while (tni_a32_load(&table->running, TNI_ACQUIRE) != 0)
        tni_thread_yield();
}

bool tni_signal_table_deliver(tni_signal_table *table, int number)
{
    uint64_t bit = tni_signal_bit(number);
    bool has_listener = false;

    (void)tni_a32_fetch_add(&table->running, 1, TNI_RELAXED); /* relaxed: the fence orders it */
    tni_fence_full();                                         /* partner: that of tni_signal_table_wait */
    /* Acquire: observes the listener initialized; partner: tni_signal_table_add. */
    for (tni_signal_listener *at = tni_aptr_load(&table->first, TNI_ACQUIRE); at != NULL;
         at = tni_aptr_load(&at->next, TNI_ACQUIRE)) {
        if ((at->set & bit) == 0)
            continue;
        /* Relaxed: published by the send; partner: tni_signal_listener_take. */
        (void)tni_a64_fetch_or(&at->pending, bit, TNI_RELAXED);
        tn_async_send(at->async);
        has_listener = true;
    }
    /* Release: the accesses to listeners are over; partner: tni_signal_table_wait. Weaker: one could be freed under them. */
    (void)tni_a32_fetch_sub(&table->running, 1, TNI_RELEASE);
    return has_listener;
}

int tni_signal_listener_take(tni_signal_listener *listener)
{
    /* Relaxed: a bit that is missed here has an event that is still to come, or was sent after the last poll. */
    uint64_t pending = tni_a64_load(&listener->pending, TNI_RELAXED);
    uint64_t bit = pending & (~pending + 1);

    if (pending == 0)
        return 0;
    /* Relaxed: the bit publishes nothing else. */
    if ((tni_a64_fetch_and(&listener->pending, ~bit, TNI_RELAXED) & bit) == 0)
        return tni_signal_listener_take(listener); /* another caller has taken it */
    return __builtin_ctzll(bit) + 1;
}
