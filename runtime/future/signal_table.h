/* SPDX-License-Identifier: MIT */
/* The listeners to signals, as the signal handler finds them.
 *
 * States: the list has a listener from its add until its remove. `running` is the number of handlers that walk the list. A bit of
 * `pending` is 1 from the arrival of that signal until a wait takes it.
 *
 * Steps:
 *   handler:  1. running + 1, full fence;  2. walk the list; at each listener to this signal: set its bit, send its event;
 *             3. running - 1
 *   wait:     1. take a bit, if there is one;  2. otherwise wait for the event, and again
 *   remove:   1. unlink the listener, under the lock;  2. full fence;  3. wait until running is 0
 *
 * No signal is lost. A wait that finds no bit polls the event after that. A handler that sets the bit later sends the event later
 * still, and tn_async loses no send. A send that an earlier poll has taken comes after its bit, which that wait then finds.
 * Signals of several bits may have one send: the waits after the first find their bits in step 1.
 *
 * Nothing is freed early. Of the two fences one is first. If it is the handler's, remove sees it in `running`, and waits until
 * it has left the list. If it is that of remove, the handler sees the listener unlinked. It cannot reach it through another
 * listener: one that was unlinked before is out of its reach for the same reason, and one that was still linked then was
 * changed by the unlinking.
 *
 * A handler never waits. Remove waits for handlers of other threads alone, because those of its own thread have ended when
 * it runs. */
#ifndef TNI_SIGNAL_TABLE_H
#define TNI_SIGNAL_TABLE_H

#include <tn/async.h>

#include "base/atomic.h"

typedef struct {
    uint64_t set;    /* constant: bit N-1 is set if it listens to signal N */
    tn_async *async; /* constant: the event to send */
    tni_a64 pending; /* signals that have arrived, in the same bits */
    tni_aptr next;   /* the next listener of the list; written under the lock */
} tni_signal_listener;

/* All zero: no listeners. */
typedef struct {
    tni_aptr first; /* tni_signal_listener *; written under the lock */
    tni_a32 running;
} tni_signal_table;

static inline uint64_t tni_signal_bit(int number)
{
    return UINT64_C(1) << (unsigned)(number - 1);
}

/* The caller holds the lock of the table. */
void tni_signal_table_add(tni_signal_table *table, tni_signal_listener *listener);
/* The caller holds the lock of the table. A listener that is not in the list is left alone. */
void tni_signal_table_unlink(tni_signal_table *table, tni_signal_listener *listener);
/* Waits until no handler can access listeners that have been unlinked. */
void tni_signal_table_wait(tni_signal_table *table);

/* For the handler: the signal has arrived. Returns whether any listener has it in its set. */
bool tni_signal_table_deliver(tni_signal_table *table, int number);

/* Takes the lowest signal that has arrived; 0: none. */
int tni_signal_listener_take(tni_signal_listener *listener);

#endif
