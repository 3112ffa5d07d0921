/* SPDX-License-Identifier: MIT */
/* Timer wheel (wheel.h): its levels, and how nodes move down through them.
 *
 * Read a tick as a number in base 64. A node is in the level of the highest digit in which its deadline differs from the
 * wheel's tick, in the slot that its own digit there names. Because nodes are filed by difference of digits, not by distance,
 * the code below relies on these invariants:
 *   - the ring of a node follows from its deadline and the wheel's tick alone, and does not change until the tick reaches the
 *     start of its slot, when the slot is emptied. So removal needs no stored position;
 *   - in a level only slots after the tick's own digit are occupied. So the first occupied slot is the lowest bit;
 *   - all deadlines of a level are before all of the next one. So the lowest occupied level holds the earliest deadline;
 *   - a slot is emptied into empty ones, in order. So nodes of one tick keep the order in which they were added.
 * The tick may advance up to the start of the first occupied slot without moving any node.
 *
 * Deadlines that differ above the 6th digit wait in one more ring, which is filed again each time the 7th digit changes. */
#include "time/wheel.h"

#define SLOT_MASK ((uint64_t)TNI_WHEEL_SLOTS - 1)

/* How many nodes of a slot tni_wheel_next_ns examines. A few loads cost less than a spurious wake-up of some microseconds. */
#define SCAN_MAX 8

/* How many nodes ahead a walk along a slot prefetches. The nodes of a large slot are scattered over the memory, and the walk
 * would wait for one cache miss after the other. So each node carries the address of the node this many positions further on.
 * With 1,000,000 timers the walks take a fifth of the time. The price is paid in link_timer, which goes back as many nodes.
 * Those are in the cache when many timers are added, which is when the price matters. */
#define PREFETCH_DISTANCE 6

static inline uint64_t tick_of(uint64_t now_ns)
{
    return now_ns / TNI_WHEEL_TICK_NS;
}

static inline uint64_t tick_round_up(uint64_t deadline_ns)
{
    return deadline_ns / TNI_WHEEL_TICK_NS + (deadline_ns % TNI_WHEEL_TICK_NS != 0);
}

/* The last tick, rounded up from UINT64_MAX, has no time in nanoseconds: it is never reached. */
static uint64_t tick_to_ns(uint64_t tick)
{
    return tick > UINT64_MAX / TNI_WHEEL_TICK_NS ? UINT64_MAX : tick * TNI_WHEEL_TICK_NS;
}

static inline unsigned ring_of(const tni_wheel *wheel, uint64_t deadline_tick)
{
    if (deadline_tick <= wheel->tick)
        return TNI_WHEEL_DUE;
    unsigned highest = 63 - (unsigned)__builtin_clzll(deadline_tick ^ wheel->tick);
    unsigned level = highest / TNI_WHEEL_SLOT_BITS;
    if (tni_unlikely(level >= TNI_WHEEL_LEVELS))
        return TNI_WHEEL_BEYOND;
    return level * TNI_WHEEL_SLOTS + (unsigned)((deadline_tick >> (level * TNI_WHEEL_SLOT_BITS)) & SLOT_MASK);
}

static inline void set_first(tni_wheel *wheel, unsigned ring, tni_timer *first)
{
    uint64_t bit = UINT64_C(1) << (ring % TNI_WHEEL_SLOTS);
    wheel->first[ring] = first;
    if (first != NULL)
        wheel->occupied[ring / TNI_WHEEL_SLOTS] |= bit;
    else
        wheel->occupied[ring / TNI_WHEEL_SLOTS] &= ~bit;
}

static inline void link_timer(tni_wheel *wheel, tni_timer *timer)
{
    unsigned ring = ring_of(wheel, timer->deadline_tick);
    tni_timer *first = wheel->first[ring];
    timer->ahead = timer;
    if (first == NULL) {
        timer->prev = timer->next = timer;
        set_first(wheel, ring, timer);
        return;
    }
    tni_timer *before = first->prev;
    timer->prev = before;
    timer->next = first;
    before->next = timer;
    first->prev = timer;
    for (int i = 1; i < PREFETCH_DISTANCE; i++)
        before = before->prev;
    before->ahead = timer;
}

/* The occupied ring whose slot starts first, except the due one, and that start. TNI_WHEEL_RINGS: all are empty. */
static unsigned first_ring(const tni_wheel *wheel, uint64_t *start)
{
    for (unsigned level = 0; level < TNI_WHEEL_LEVELS; level++) {
        if (wheel->occupied[level] == 0)
            continue;
        unsigned slot = (unsigned)__builtin_ctzll(wheel->occupied[level]);
        unsigned shift = level * TNI_WHEEL_SLOT_BITS;
        uint64_t above = wheel->tick >> shift >> TNI_WHEEL_SLOT_BITS;
        *start = (above << TNI_WHEEL_SLOT_BITS | slot) << shift;
        return level * TNI_WHEEL_SLOTS + slot;
    }
    if (wheel->first[TNI_WHEEL_BEYOND] == NULL)
        return TNI_WHEEL_RINGS;
    unsigned reach = TNI_WHEEL_LEVELS * TNI_WHEEL_SLOT_BITS;
    *start = ((wheel->tick >> reach) + 1) << reach;
    return TNI_WHEEL_BEYOND;
}

/* Empties a ring whose start the wheel's tick has just reached. In the lowest level this makes all of it due at once. */
static void cascade(tni_wheel *wheel, unsigned ring)
{
    tni_timer *first = wheel->first[ring];
    set_first(wheel, ring, NULL);
    if (ring < TNI_WHEEL_SLOTS) {
        set_first(wheel, TNI_WHEEL_DUE, first);
        return;
    }
    tni_timer *last = first->prev;
    tni_timer *timer = first;
    for (;;) {
        __builtin_prefetch(timer->ahead, 1);
        tni_timer *next = timer->next;
        bool done = timer == last;
        link_timer(wheel, timer);
        if (done)
            return;
        timer = next;
    }
}

/* Removes at most `max` nodes from the due ring, appends them at *end, and returns how many. */
static uint32_t take_due(tni_wheel *wheel, tni_timer ***end, uint32_t max)
{
    tni_timer *first = wheel->first[TNI_WHEEL_DUE];
    if (first == NULL || max == 0)
        return 0;
    tni_timer *last = first->prev;
    tni_timer *timer = first;
    uint32_t taken = 1;
    for (; taken < max && timer != last; taken++) {
        __builtin_prefetch(timer->ahead, 1);
        timer->prev = NULL;
        timer = timer->next;
    }
    timer->prev = NULL;
    tni_timer *rest = timer == last ? NULL : timer->next;
    timer->next = NULL;
    **end = first;
    *end = &timer->next;
    if (rest != NULL) {
        rest->prev = last;
        last->next = rest;
    }
    set_first(wheel, TNI_WHEEL_DUE, rest);
    return taken;
}

void tni_wheel_init(tni_wheel *wheel, uint64_t now_ns)
{
    *wheel = (tni_wheel){.tick = tick_of(now_ns)};
}

void tni_wheel_add(tni_wheel *wheel, tni_timer *timer, uint64_t deadline_ns)
{
    tni_debug_assert(!tni_timer_linked(timer), "the timer is in a wheel already");
    uint64_t tick = tick_round_up(deadline_ns);
    /* A past deadline is moved to the present, so that chains are in order of tick whenever their nodes were added. */
    timer->deadline_tick = tick > wheel->tick ? tick : wheel->tick;
    link_timer(wheel, timer);
}

void tni_wheel_remove(tni_wheel *wheel, tni_timer *timer)
{
    if (!tni_timer_linked(timer))
        return;
    unsigned ring = ring_of(wheel, timer->deadline_tick);
    if (timer->next == timer) {
        tni_debug_assert(wheel->first[ring] == timer, "the timer is in another wheel");
        set_first(wheel, ring, NULL);
    } else {
        if (wheel->first[ring] == timer)
            wheel->first[ring] = timer->next;
        timer->prev->next = timer->next;
        timer->next->prev = timer->prev;
    }
    timer->prev = timer->next = NULL;
}

tni_timer *tni_wheel_expire(tni_wheel *wheel, uint64_t now_ns, uint32_t max)
{
    tni_debug_assert(max > 0, "max is 0: NULL would not mean that no timer is left");
    uint64_t now = tick_of(now_ns);
    tni_timer *chain = NULL;
    tni_timer **end = &chain;
    uint64_t start;
    for (;;) {
        max -= take_due(wheel, &end, max);
        /* What is still due belongs to this tick: the tick stays until those nodes have been returned. */
        if (max == 0)
            return chain;
        unsigned ring = first_ring(wheel, &start);
        if (ring == TNI_WHEEL_RINGS || start > now)
            break;
        wheel->tick = start;
        cascade(wheel, ring);
    }
    if (now > wheel->tick)
        wheel->tick = now;
    return chain;
}

uint64_t tni_wheel_next_ns(const tni_wheel *wheel)
{
    uint64_t start;
    if (wheel->first[TNI_WHEEL_DUE] != NULL)
        return tick_to_ns(wheel->tick);
    unsigned ring = first_ring(wheel, &start);
    if (ring == TNI_WHEEL_RINGS)
        return UINT64_MAX;
    if (ring < TNI_WHEEL_SLOTS)
        return tick_to_ns(start);
    const tni_timer *timer = wheel->first[ring];
    uint64_t earliest = UINT64_MAX;
    for (int i = 0; i < SCAN_MAX; i++) {
        if (timer->deadline_tick < earliest)
            earliest = timer->deadline_tick;
        timer = timer->next;
        if (timer == wheel->first[ring])
            return tick_to_ns(earliest);
    }
    return tick_to_ns(start);
}
