/* SPDX-License-Identifier: MIT */
/* Timer wheel: keeps deadlines in coarse classes of time, so that arming and cancelling cost the same for any number of
 * timers.
 *
 * A hierarchical wheel after Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (SOSP 1987), scheme 7: 6 levels of
 * 64 slots, a tick of 0.5 ms. A pure data structure with one owner: no atomics, no locks, no clock. The caller passes the
 * time.
 *
 * Never early: a deadline is rounded up to a tick, and fires once that many whole ticks have passed. So rounding makes it at
 * most 0.5 ms late. Any further delay depends on how soon the owner calls tni_wheel_expire.
 *
 * Cost: add and remove are O(1) and touch a few neighbors. A node moves down at most once per level, so expire is O(1) per
 * node in total, but one call may have to move all nodes of a slot. A jump of the clock costs by the occupied slots that it
 * passes, not by its ticks. */
#ifndef TNI_WHEEL_H
#define TNI_WHEEL_H

#include "task/timer_node.h"

/* libuv sleeps in whole milliseconds, so a loop wakes up to 1 ms late. With half a millisecond for rounding the sum stays
 * below the 2 ms that tn_sleep promises. */
#define TNI_WHEEL_TICK_NS UINT64_C(500000)
#define TNI_WHEEL_LEVELS 6
#define TNI_WHEEL_SLOT_BITS 6
#define TNI_WHEEL_SLOTS (1 << TNI_WHEEL_SLOT_BITS)

/* The rings after the slots of all levels: deadlines beyond the reach of the levels, and deadlines that are reached but not
 * yet returned. */
#define TNI_WHEEL_BEYOND (TNI_WHEEL_LEVELS * TNI_WHEEL_SLOTS)
#define TNI_WHEEL_DUE (TNI_WHEEL_BEYOND + 1)
#define TNI_WHEEL_RINGS (TNI_WHEEL_BEYOND + 2)

typedef struct tni_wheel tni_wheel;
struct tni_wheel {
    uint64_t tick;                           /* the last tick that has been expired: all linked nodes but the due ones are
                                              * after it */
    uint64_t occupied[TNI_WHEEL_LEVELS + 1]; /* one bit per ring: set when the ring is not empty */
    tni_timer *first[TNI_WHEEL_RINGS];       /* the oldest node of each ring; its prev is the newest */
};

void tni_wheel_init(tni_wheel *wheel, uint64_t now_ns);

/* Arms a timer that is not linked. A deadline that has passed fires at the next expire. A node of an expired chain may be
 * added once the caller has read its next; while it is still in the chain it must not be added. The wheel uses the time of
 * the last expire: after a long pause, expire before adding, or the timer is filed too coarsely and costs some spurious
 * wake-ups. */
void tni_wheel_add(tni_wheel *wheel, tni_timer *timer, uint64_t deadline_ns);

/* Disarms. Does nothing if the timer is not linked, so also for a node of an expired chain, which stays in the chain. */
void tni_wheel_remove(tni_wheel *wheel, tni_timer *timer);

/* Removes at most `max` (one or more) nodes that are due at `now_ns` and returns them: a chain through next, unlinked, by
 * tick, and within a tick in the order of adding. NULL, or fewer than max: none is left. */
tni_timer *tni_wheel_expire(tni_wheel *wheel, uint64_t now_ns, uint32_t max);

/* The latest time for the next expire. It is never after the earliest deadline. It is that deadline itself in the lowest
 * level, and where few nodes share the first slot. A caller that expires each time at just this time meets each deadline
 * after at most one call without effect per level. Beyond the reach of the levels (one year) there is one more such call each
 * year. UINT64_MAX: no timer, or none that can fire. */
uint64_t tni_wheel_next_ns(const tni_wheel *wheel);

#endif
