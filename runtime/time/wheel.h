/* SPDX-License-Identifier: MIT */
/* Timer wheel: keeps deadlines apart by coarse classes of time, so that arming and cancelling cost the same however many there
 * are.
 *
 * A hierarchical wheel after Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (SOSP 1987), scheme 7: 6 levels of 64
 * slots, a tick of 0.5 ms. A pure data structure with one owner: no atomics, no locks, no clock; the time comes in as an
 * argument.
 *
 * Never early: a deadline is rounded up to a tick, and goes off once the whole ticks that have passed reach it. So it is at
 * most 0.5 ms late by rounding; the rest is up to how soon the owner calls tni_wheel_expire.
 *
 * Cost: add and remove O(1), touching a few neighbours. A node moves down at most once a level, so expire is O(1) a node in the
 * sum; but one call may have to move all that one slot holds. A jump of the clock costs by the occupied slots it passes, not by
 * its ticks.
 */
#ifndef TNI_WHEEL_H
#define TNI_WHEEL_H

#include "task/timer_node.h"

/* libuv sleeps in whole milliseconds, so a loop wakes up to 1 ms late; with half a millisecond for rounding the sum stays below
 * the 2 that tn_sleep promises. */
#define TNI_WHEEL_TICK_NS UINT64_C(500000)
#define TNI_WHEEL_LEVELS 6
#define TNI_WHEEL_SLOT_BITS 6
#define TNI_WHEEL_SLOTS (1 << TNI_WHEEL_SLOT_BITS)

/* The places behind the slots of all levels: deadlines out of reach, and deadlines reached but not handed out. */
#define TNI_WHEEL_BEYOND (TNI_WHEEL_LEVELS * TNI_WHEEL_SLOTS)
#define TNI_WHEEL_DUE (TNI_WHEEL_BEYOND + 1)
#define TNI_WHEEL_PLACES (TNI_WHEEL_BEYOND + 2)

typedef struct tni_wheel tni_wheel;
struct tni_wheel {
    uint64_t tick;                           /* what has been expired: all linked nodes but the due ones lie behind it */
    uint64_t occupied[TNI_WHEEL_LEVELS + 1]; /* a bit a place: set when its ring is not empty */
    tni_timer *first[TNI_WHEEL_PLACES];      /* the oldest node of each place's ring; its prev is the newest */
};

void tni_wheel_init(tni_wheel *wheel, uint64_t now_ns);

/* Arms a timer that is not linked. A deadline already past goes off at the next expire. A node of an expired chain may be added
 * once the caller has read its next; while it still waits in the chain it must not be.
 * The wheel goes by the time of the last expire: after a long pause, expire before you add, or the timer is filed too coarsely
 * and costs some vain wake-ups. */
void tni_wheel_add(tni_wheel *wheel, tni_timer *timer, uint64_t deadline_ns);

/* Disarms. Nothing happens where the timer is not linked, so also in an expired chain, which keeps it. */
void tni_wheel_remove(tni_wheel *wheel, tni_timer *timer);

/* Takes out at most `max` (one or more) nodes that are due at `now_ns`: a chain through next, unlinked, by tick and within a tick
 * in the order of adding. NULL: none is left. Fewer than max: none is left either. */
tni_timer *tni_wheel_expire(tni_wheel *wheel, uint64_t now_ns, uint32_t max);

/* When to expire again at the latest: never behind the earliest deadline, and that deadline itself in the lowest level and
 * where few nodes share the first slot. Whoever expires at just this time again and again meets each deadline after at most
 * one vain call a level (beyond the reach of one year one more each year). UINT64_MAX: no timer, or none that can go off. */
uint64_t tni_wheel_next_ns(const tni_wheel *wheel);

#endif
