/* SPDX-License-Identifier: MIT */
/* Timer wheel (wheel.h): the levels and how nodes come down them.
 *
 * Read a tick as a number in base 64. A node lies in the level of the highest digit in which its deadline differs from the
 * wheel's tick, in the slot of its own digit there. This filing by difference of digits, not by distance, gives invariants that
 * everything below leans on:
 *   - a node's place follows from its deadline and the wheel's tick alone, and stays the same until the tick reaches the start of
 *     its slot, when the slot is emptied: so removing needs no stored place;
 *   - in a level only slots behind the tick's own digit are occupied: so the first occupied slot is the lowest bit;
 *   - all of a level lies before all of the next one: so the lowest occupied level holds the earliest deadline;
 *   - a slot is emptied into empty ones, in order: so nodes of one tick keep the order in which they were added.
 * The tick may go forward freely up to the start of the first occupied slot without disturbing any of them.
 *
 * Deadlines that differ above the 6th digit wait in one more place, which is filed anew each time the 7th digit moves on.
 */
#include "time/wheel.h"

#define SLOT_MASK ((uint64_t)TNI_WHEEL_SLOTS - 1)

/* How many nodes of a slot tni_wheel_next_ns looks at: a few loads against a vain wake-up of some microseconds. */
#define LOOK_AT 8

/* A large slot lies all over the memory, and a walk along it waits for one cache miss after the other. So each node carries the
 * address of the one this many places on, which the walk fetches early: with 1,000,000 timers the walks take a fifth of the time.
 * The price is paid in file(), which goes back as many nodes; they are warm when many timers are added, and then it counts. */
#define AHEAD 6

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

static inline unsigned place_of(const tni_wheel *wheel, uint64_t deadline_tick)
{
    if (deadline_tick <= wheel->tick)
        return TNI_WHEEL_DUE;
    unsigned highest = 63 - (unsigned)__builtin_clzll(deadline_tick ^ wheel->tick);
    unsigned level = highest / TNI_WHEEL_SLOT_BITS;
    if (tni_unlikely(level >= TNI_WHEEL_LEVELS))
        return TNI_WHEEL_BEYOND;
    return level * TNI_WHEEL_SLOTS + (unsigned)((deadline_tick >> (level * TNI_WHEEL_SLOT_BITS)) & SLOT_MASK);
}

static inline void set_first(tni_wheel *wheel, unsigned place, tni_timer *first)
{
    uint64_t bit = UINT64_C(1) << (place % TNI_WHEEL_SLOTS);
    wheel->first[place] = first;
    if (first != NULL)
        wheel->occupied[place / TNI_WHEEL_SLOTS] |= bit;
    else
        wheel->occupied[place / TNI_WHEEL_SLOTS] &= ~bit;
}

static inline void file(tni_wheel *wheel, tni_timer *timer)
{
    unsigned place = place_of(wheel, timer->deadline_tick);
    tni_timer *first = wheel->first[place];
    timer->ahead = timer;
    if (first == NULL) {
        timer->prev = timer->next = timer;
        set_first(wheel, place, timer);
        return;
    }
    tni_timer *before = first->prev;
    timer->prev = before;
    timer->next = first;
    before->next = timer;
    first->prev = timer;
    for (int i = 1; i < AHEAD; i++)
        before = before->prev;
    before->ahead = timer;
}

/* The occupied place whose slot starts first, the due ones apart, and that start. TNI_WHEEL_PLACES: all are empty. */
static unsigned first_place(const tni_wheel *wheel, uint64_t *start)
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
        return TNI_WHEEL_PLACES;
    unsigned reach = TNI_WHEEL_LEVELS * TNI_WHEEL_SLOT_BITS;
    *start = ((wheel->tick >> reach) + 1) << reach;
    return TNI_WHEEL_BEYOND;
}

/* Empties a place whose start the wheel's tick has just reached. In the lowest level that makes all of it due at once. */
static void come_down(tni_wheel *wheel, unsigned place)
{
    tni_timer *first = wheel->first[place];
    set_first(wheel, place, NULL);
    if (place < TNI_WHEEL_SLOTS) {
        set_first(wheel, TNI_WHEEL_DUE, first);
        return;
    }
    tni_timer *last = first->prev;
    tni_timer *timer = first;
    for (;;) {
        __builtin_prefetch(timer->ahead, 1);
        tni_timer *next = timer->next;
        bool done = timer == last;
        file(wheel, timer);
        if (done)
            return;
        timer = next;
    }
}

/* Cuts at most `max` nodes off the due ones, appends them at *end, and answers how many. */
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
    /* A past deadline moves up to the present, so that chains come out in order of tick whatever is added when. */
    timer->deadline_tick = tick > wheel->tick ? tick : wheel->tick;
    file(wheel, timer);
}

void tni_wheel_remove(tni_wheel *wheel, tni_timer *timer)
{
    if (!tni_timer_linked(timer))
        return;
    unsigned place = place_of(wheel, timer->deadline_tick);
    if (timer->next == timer) {
        tni_debug_assert(wheel->first[place] == timer, "the timer is in another wheel");
        set_first(wheel, place, NULL);
    } else {
        if (wheel->first[place] == timer)
            wheel->first[place] = timer->next;
        timer->prev->next = timer->next;
        timer->next->prev = timer->prev;
    }
    timer->prev = timer->next = NULL;
}

tni_timer *tni_wheel_expire(tni_wheel *wheel, uint64_t now_ns, uint32_t max)
{
    tni_debug_assert(max > 0, "NULL would not mean that none is left");
    uint64_t now = tick_of(now_ns);
    tni_timer *chain = NULL;
    tni_timer **end = &chain;
    uint64_t start;
    for (;;) {
        max -= take_due(wheel, &end, max);
        /* What is still due belongs to this tick: the tick stays until it is handed out. */
        if (max == 0)
            return chain;
        unsigned place = first_place(wheel, &start);
        if (place == TNI_WHEEL_PLACES || start > now)
            break;
        wheel->tick = start;
        come_down(wheel, place);
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
    unsigned place = first_place(wheel, &start);
    if (place == TNI_WHEEL_PLACES)
        return UINT64_MAX;
    if (place < TNI_WHEEL_SLOTS)
        return tick_to_ns(start);
    const tni_timer *timer = wheel->first[place];
    uint64_t earliest = UINT64_MAX;
    for (int i = 0; i < LOOK_AT; i++) {
        if (timer->deadline_tick < earliest)
            earliest = timer->deadline_tick;
        timer = timer->next;
        if (timer == wheel->first[place])
            return tick_to_ns(earliest);
    }
    return tick_to_ns(start);
}
