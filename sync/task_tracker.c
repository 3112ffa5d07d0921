/* SPDX-License-Identifier: MIT */
/* tn_task_tracker: a count that can be closed and waited for.
 *
 * States: the word has the count, in units of 2, and CLOSED. `ended` is a wait group with one unit, which is given back when the
 * word becomes CLOSED with a count of 0.
 *
 * Once CLOSED is set, the count never rises: an enter changes the word by a CAS from a value without CLOSED. So the word becomes
 * CLOSED with a count of 0 once, by one change: that of the last leave, or of the close. That caller gives the unit back, and
 * so ends the waits. No wake is lost, because the waiting is that of the wait group.
 *
 * Nothing is freed early. A leave or close that is not that change accesses the tracker no more after its own change, which comes
 * before that one. The last one only gives the unit back, and a wait group may be freed when its last wait has returned. */
#include <tn/task_tracker.h>

#include "base/atomic.h"
#include "base/order.h"
#include "waiters.h"

#define CLOSED UINT64_C(1)
#define UNIT UINT64_C(2)

_Static_assert(sizeof(tni_a64) <= sizeof((tn_task_tracker *)NULL)->opaque, "sized with slack");

static tni_a64 *word_of(tn_task_tracker *tracker)
{
    return (tni_a64 *)(void *)&tracker->opaque;
}

void tn_task_tracker_init(tn_task_tracker *tracker)
{
    tni_a64_init(word_of(tracker), 0);
    tn_wait_group_init(&tracker->ended);
    tn_wait_group_add(&tracker->ended, 1);
}

void tn_task_tracker_fini(tn_task_tracker *tracker)
{
    tn_wait_group_fini(&tracker->ended);
}

int tn_task_tracker_enter(tn_task_tracker *tracker)
{
    uint64_t word = tni_a64_load(word_of(tracker), TNI_RELAXED); /* relaxed: the CAS verifies it */

    do {
        if ((word & CLOSED) != 0)
            return TN_ESHUTDOWN;
        /* Acquire: what follows comes after the enter; publishes nothing, because the code that starts the task orders it. */
    } while (!tni_a64_cas(word_of(tracker), &word, word + UNIT, TNI_ACQUIRE));
    return 0;
}

void tn_task_tracker_leave(tn_task_tracker *tracker)
{
    uint64_t old;

    tni_order_release();
    /* Publishes what was done before, and observes that of others for the waiters. The last call of this, or the close, observes
     * it; partner: tn_task_tracker_close. Weaker: a waiter could miss what a session did. */
    old = tni_a64_fetch_sub(word_of(tracker), UNIT, TNI_ACQ_REL);
    tni_assert(old >= UNIT, "tn_task_tracker_leave: the count is 0");
    if (old == (UNIT | CLOSED))
        tn_wait_group_done(&tracker->ended);
}

void tn_task_tracker_close(tn_task_tracker *tracker)
{
    /* Observes what was done before each leave, for the waiters, and publishes nothing that the unit does not; partner:
     * tn_task_tracker_leave. */
    uint64_t old = tni_a64_fetch_or(word_of(tracker), CLOSED, TNI_ACQ_REL);

    if (old == 0)
        tn_wait_group_done(&tracker->ended);
}

size_t tn_task_tracker_count(const tn_task_tracker *tracker)
{
    /* Relaxed: the count may be another one when this returns. The cast is for a load. */
    return (size_t)(tni_a64_load((const tni_a64 *)(const void *)&tracker->opaque, TNI_RELAXED) / UNIT);
}

int tn_task_tracker_wait(tn_task_tracker *tracker)
{
    return tn_wait_group_wait(&tracker->ended);
}

void tn_task_tracker_wait_init(tn_wait_group_future *future, tn_task_tracker *tracker)
{
    tn_wait_group_wait_init(future, &tracker->ended);
}
