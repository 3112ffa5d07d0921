/* SPDX-License-Identifier: MIT */
/* The timer wheel: each slot and boundary by itself, then random operations compared with a plain list. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/thread.h"
#include "time/wheel.h"

#define MS TNI_WHEEL_TICK_NS
#define REACH (UINT64_C(1) << (TNI_WHEEL_LEVELS * TNI_WHEEL_SLOT_BITS)) /* in ticks */
#define HOUR (UINT64_C(3600) * 1000)                                    /* in ticks */
#define YEAR (365 * 24 * HOUR)                                          /* in ticks */
#define LAST_TICK (UINT64_MAX / MS)

/* Start times in nanoseconds, at different distances from the boundaries of the levels. */
static const uint64_t starts[] = {
    0,         1, MS - 1, MS, 63 * MS, 64 * MS - 1, 12345678901, (64 * 64 - 1) * MS, UINT64_C(7777777) * MS + 5, (REACH - 1) * MS,
    MS *REACH,
};
#define STARTS (sizeof starts / sizeof *starts)

static uint64_t seed_now(void)
{
    const char *given = getenv("TN_TEST_SEED");
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)now.tv_sec * 1000000007 + (uint64_t)now.tv_nsec;
    seed |= 1;
    printf("wheel_test: TN_TEST_SEED=%#llx\n", (unsigned long long)seed);
    fflush(stdout);
    return seed;
}

static uint64_t random_wide(uint64_t *state)
{
    uint64_t high = tni_random_next(state);
    return high << 32 | tni_random_next(state);
}

/* Expects that `timer` is the only due timer at `now_ns`, and takes it. */
static void expect_only(tni_wheel *wheel, uint64_t now_ns, const tni_timer *timer)
{
    tni_timer *chain = tni_wheel_expire(wheel, now_ns, 10);
    cr_assert_eq(chain, timer);
    cr_assert_null(chain->next);
    cr_assert(!tni_timer_linked(chain));
}

static void expect_none(tni_wheel *wheel, uint64_t now_ns)
{
    cr_assert_null(tni_wheel_expire(wheel, now_ns, 10));
}

Test(wheel, empty)
{
    tni_wheel wheel;
    tni_wheel_init(&wheel, 5 * MS);
    cr_assert_eq(tni_wheel_next_ns(&wheel), UINT64_MAX);
    expect_none(&wheel, 5 * MS);
    expect_none(&wheel, UINT64_MAX);
    expect_none(&wheel, 0);
    cr_assert_eq(tni_wheel_next_ns(&wheel), UINT64_MAX);
}

Test(wheel, never_early_and_on_the_tick)
{
    static const uint64_t deltas[] = {1, 2, MS - 1, MS, MS + 1, 2 * MS - 1, 2 * MS, 63 * MS, 64 * MS, 64 * MS + 1};
    for (size_t s = 0; s < STARTS; s++)
        for (size_t d = 0; d < sizeof deltas / sizeof *deltas; d++) {
            tni_wheel wheel;
            tni_timer timer = TNI_TIMER_INIT;
            uint64_t deadline = starts[s] + deltas[d];
            uint64_t due = (deadline + MS - 1) / MS * MS;
            tni_wheel_init(&wheel, starts[s]);
            tni_wheel_add(&wheel, &timer, deadline);
            cr_assert(tni_timer_linked(&timer));
            cr_assert_eq(tni_wheel_next_ns(&wheel), due);
            expect_none(&wheel, starts[s]);
            expect_none(&wheel, due - 1);
            cr_assert_eq(tni_wheel_next_ns(&wheel), due);
            expect_only(&wheel, due, &timer);
            cr_assert_eq(timer.deadline_tick, due / MS);
        }
}

Test(wheel, past_deadlines_go_off_at_the_next_expire)
{
    tni_wheel wheel;
    tni_timer timers[3] = {TNI_TIMER_INIT, TNI_TIMER_INIT, TNI_TIMER_INIT};
    tni_wheel_init(&wheel, 100 * MS + 1);
    tni_wheel_add(&wheel, &timers[0], 100 * MS);
    tni_wheel_add(&wheel, &timers[1], 0);
    tni_wheel_add(&wheel, &timers[2], 7 * MS);
    cr_assert_leq(tni_wheel_next_ns(&wheel), 100 * MS + 1);
    tni_timer *chain = tni_wheel_expire(&wheel, 100 * MS + 1, 10);
    for (int i = 0; i < 3; i++, chain = chain->next)
        cr_assert_eq(chain, &timers[i]);
    cr_assert_null(chain);
    expect_none(&wheel, 100 * MS + 1);
}

/* One timer on each side of the boundaries of each level, from several starts. */
Test(wheel, level_boundaries)
{
    for (size_t s = 0; s < STARTS; s++)
        for (unsigned level = 0; level <= TNI_WHEEL_LEVELS; level++)
            for (int side = -1; side <= 1; side++) {
                tni_wheel wheel;
                tni_timer timer = TNI_TIMER_INIT;
                uint64_t width = UINT64_C(1) << (level * TNI_WHEEL_SLOT_BITS);
                uint64_t from = starts[s] / MS;
                /* The start of the following slot of this level, or a tick beside it. */
                uint64_t tick = (from / width + 1) * width + (uint64_t)(int64_t)side;
                if (tick <= from)
                    continue;
                tni_wheel_init(&wheel, starts[s]);
                tni_wheel_add(&wheel, &timer, tick * MS);
                cr_assert_eq(tni_wheel_next_ns(&wheel), tick * MS);
                expect_none(&wheel, tick * MS - 1);
                cr_assert_eq(tni_wheel_next_ns(&wheel), tick * MS);
                expect_only(&wheel, tick * MS, &timer);
                cr_assert_eq(tni_wheel_next_ns(&wheel), UINT64_MAX);
            }
}

Test(wheel, long_jumps, .timeout = 30)
{
    static const uint64_t ticks[] = {1, 63, HOUR, 24 * HOUR, YEAR, REACH - 1, REACH, REACH + 1, 3 * YEAR, 500 * YEAR};
    enum { COUNT = sizeof ticks / sizeof *ticks };
    for (size_t s = 0; s < STARTS; s++) {
        tni_wheel wheel;
        tni_timer timers[COUNT] = {TNI_TIMER_INIT};
        uint64_t from = starts[s] / MS;
        tni_wheel_init(&wheel, starts[s]);
        for (int i = COUNT; i-- > 0;)
            tni_wheel_add(&wheel, &timers[i], (from + ticks[i]) * MS);
        /* One jump for all timers. */
        tni_timer *chain = tni_wheel_expire(&wheel, (from + 501 * YEAR) * MS, COUNT + 1);
        for (int i = 0; i < COUNT; i++, chain = chain->next)
            cr_assert_eq(chain, &timers[i]);
        cr_assert_null(chain);
        /* Two jumps for each timer: to just before it, then to its tick. */
        tni_wheel_init(&wheel, starts[s]);
        for (int i = 0; i < COUNT; i++)
            tni_wheel_add(&wheel, &timers[i], (from + ticks[i]) * MS);
        for (int i = 0; i < COUNT; i++) {
            expect_none(&wheel, (from + ticks[i]) * MS - 1);
            expect_only(&wheel, (from + ticks[i]) * MS, &timers[i]);
        }
    }
}

Test(wheel, end_of_time)
{
    tni_wheel wheel;
    tni_timer forever = TNI_TIMER_INIT;
    tni_timer last = TNI_TIMER_INIT;
    tni_wheel_init(&wheel, 0);
    tni_wheel_add(&wheel, &forever, UINT64_MAX);
    cr_assert_eq(tni_wheel_next_ns(&wheel), UINT64_MAX);
    tni_wheel_add(&wheel, &last, LAST_TICK * MS);
    cr_assert_eq(tni_wheel_next_ns(&wheel), LAST_TICK * MS);
    expect_none(&wheel, LAST_TICK * MS - 1);
    expect_only(&wheel, UINT64_MAX, &last);
    expect_none(&wheel, UINT64_MAX);
    cr_assert_eq(tni_wheel_next_ns(&wheel), UINT64_MAX);
    tni_wheel_remove(&wheel, &forever);
    cr_assert(!tni_timer_linked(&forever));
}

Test(wheel, clock_that_stands_or_goes_back)
{
    tni_wheel wheel;
    tni_timer timer = TNI_TIMER_INIT;
    tni_wheel_init(&wheel, 1000 * MS);
    tni_wheel_add(&wheel, &timer, 1010 * MS);
    expect_none(&wheel, 1005 * MS);
    expect_none(&wheel, 3 * MS);
    expect_none(&wheel, 1005 * MS);
    cr_assert_eq(tni_wheel_next_ns(&wheel), 1010 * MS);
    expect_only(&wheel, 1010 * MS, &timer);
}

/* Removes each of 1 to 4 timers of one slot in turn. The others fire, in order. */
static void remove_each(uint64_t start, uint64_t deadline)
{
    for (int count = 1; count <= 4; count++)
        for (int victim = 0; victim < count; victim++) {
            tni_wheel wheel;
            tni_timer timers[4] = {TNI_TIMER_INIT};
            tni_wheel_init(&wheel, start);
            for (int i = 0; i < count; i++)
                tni_wheel_add(&wheel, &timers[i], deadline);
            tni_wheel_remove(&wheel, &timers[victim]);
            cr_assert(!tni_timer_linked(&timers[victim]));
            tni_wheel_remove(&wheel, &timers[victim]);
            cr_assert_eq(tni_wheel_next_ns(&wheel) == UINT64_MAX, count == 1);
            uint64_t due = (deadline + MS - 1) / MS * MS;
            tni_timer *chain = tni_wheel_expire(&wheel, start > due ? start : due, 10);
            for (int i = 0; i < count; i++) {
                if (i == victim)
                    continue;
                cr_assert_eq(chain, &timers[i]);
                chain = chain->next;
            }
            cr_assert_null(chain);
            cr_assert_eq(tni_wheel_next_ns(&wheel), UINT64_MAX);
        }
}

Test(wheel, remove_from_each_place)
{
    for (size_t s = 0; s < STARTS; s++) {
        remove_each(starts[s], starts[s]);
        remove_each(starts[s], 0);
        for (unsigned level = 0; level <= TNI_WHEEL_LEVELS; level++) {
            uint64_t width = UINT64_C(1) << (level * TNI_WHEEL_SLOT_BITS);
            remove_each(starts[s], (starts[s] / MS + width) * MS);
            remove_each(starts[s], (starts[s] / MS + 63 * width) * MS);
        }
    }
}

Test(wheel, remove_after_coming_down)
{
    tni_wheel wheel;
    tni_timer timers[20] = {TNI_TIMER_INIT};
    tni_wheel_init(&wheel, 0);
    for (unsigned i = 0; i < 20; i++)
        tni_wheel_add(&wheel, &timers[i], (HOUR + i) * MS);
    for (uint64_t next; (next = tni_wheel_next_ns(&wheel)) < HOUR * MS;)
        expect_none(&wheel, next);
    for (unsigned i = 0; i < 20; i += 2)
        tni_wheel_remove(&wheel, &timers[i]);
    for (unsigned i = 1; i < 20; i += 2)
        expect_only(&wheel, (HOUR + i) * MS, &timers[i]);
    cr_assert_eq(tni_wheel_next_ns(&wheel), UINT64_MAX);
}

Test(wheel, batches)
{
    enum { COUNT = 1000 };
    static tni_timer timers[COUNT];
    tni_wheel wheel;
    for (uint32_t max = 1; max <= COUNT + 1; max = max * 3 + 1) {
        tni_wheel_init(&wheel, 0);
        for (int i = 0; i < COUNT; i++)
            tni_wheel_add(&wheel, &timers[i], (uint64_t)(100 + i / 300) * MS);
        int at = 0;
        for (tni_timer *chain; (chain = tni_wheel_expire(&wheel, 500 * MS, max)) != NULL;) {
            uint32_t length = 0;
            for (; chain != NULL; chain = chain->next, at++, length++)
                cr_assert_eq(chain, &timers[at]);
            cr_assert(length == max || at == COUNT);
            cr_assert(at == COUNT || tni_wheel_next_ns(&wheel) <= 500 * MS);
        }
        cr_assert_eq(at, COUNT);
    }
}

Test(wheel, changes_while_a_chain_is_held)
{
    tni_wheel wheel;
    tni_timer timers[6] = {TNI_TIMER_INIT};
    tni_wheel_init(&wheel, 0);
    for (unsigned i = 0; i < 6; i++)
        tni_wheel_add(&wheel, &timers[i], (i < 5 ? 10 : 20) * MS);
    tni_timer *chain = tni_wheel_expire(&wheel, 10 * MS, 3);
    cr_assert_eq(chain, &timers[0]);
    /* Removes a timer that waits in the chain, one that is still due, and one that is due later. */
    tni_wheel_remove(&wheel, &timers[1]);
    tni_wheel_remove(&wheel, &timers[3]);
    tni_wheel_remove(&wheel, &timers[5]);
    for (int i = 0; i < 3; i++) {
        tni_timer *next = chain->next;
        cr_assert_eq(chain, &timers[i]);
        tni_wheel_add(&wheel, chain, i == 1 ? 5 * MS : 30 * MS);
        chain = next;
    }
    cr_assert_null(chain);
    chain = tni_wheel_expire(&wheel, 10 * MS, 10);
    cr_assert_eq(chain, &timers[4]);
    cr_assert_eq(chain->next, &timers[1]);
    cr_assert_null(chain->next->next);
    expect_none(&wheel, 30 * MS - 1);
    chain = tni_wheel_expire(&wheel, 30 * MS, 10);
    cr_assert_eq(chain, &timers[0]);
    cr_assert_eq(chain->next, &timers[2]);
    cr_assert_null(chain->next->next);
}

/* If the caller wakes at next_ns only, it finds each timer on its tick, and few wakes before it find none. */
Test(wheel, next_is_a_tight_bound, .timeout = 120)
{
    enum { COUNT = 40, VAIN = 7 };
    uint64_t seed = seed_now();
    uint64_t random = seed;
    for (int round = 0; round < 3000; round++) {
        tni_wheel wheel;
        tni_timer timers[COUNT] = {TNI_TIMER_INIT};
        uint64_t now = starts[random_wide(&random) % STARTS];
        unsigned width = (unsigned)(random_wide(&random) % (TNI_WHEEL_LEVELS * TNI_WHEEL_SLOT_BITS + 1));
        uint64_t far = random_wide(&random) % REACH;
        tni_wheel_init(&wheel, now);
        for (int i = 0; i < COUNT; i++)
            tni_wheel_add(&wheel, &timers[i], now + (far + random_wide(&random) % (UINT64_C(1) << width)) * MS);
        int left = COUNT;
        int vain = 0;
        while (left > 0) {
            uint64_t next = tni_wheel_next_ns(&wheel);
            cr_assert_neq(next, UINT64_MAX, "seed %#llx", (unsigned long long)seed);
            cr_assert(next > now || next / MS <= now / MS, "seed %#llx: no progress", (unsigned long long)seed);
            now = next > now ? next : now;
            tni_timer *chain = tni_wheel_expire(&wheel, now, COUNT);
            vain = chain == NULL ? vain + 1 : 0;
            cr_assert_leq(vain, VAIN, "seed %#llx, round %d", (unsigned long long)seed, round);
            for (; chain != NULL; chain = chain->next, left--)
                cr_assert_eq(chain->deadline_tick, now / MS, "seed %#llx, round %d", (unsigned long long)seed, round);
        }
        cr_assert_eq(tni_wheel_next_ns(&wheel), UINT64_MAX);
    }
}

/* Every third timer is removed. The others fire on their ticks. */
Test(wheel, a_million_timers, .timeout = 120)
{
    enum { COUNT = 1000000, SPREAD = 1000, THIRD = 3 };
    uint64_t seed = seed_now();
    uint64_t random = seed;
    const uint64_t start = UINT64_C(123456789) * MS + 17;
    tni_wheel wheel;
    tni_timer *timers = calloc(COUNT, sizeof *timers);
    cr_assert_not_null(timers);
    tni_wheel_init(&wheel, start);
    for (int i = 0; i < COUNT; i++)
        tni_wheel_add(&wheel, &timers[i], start + random_wide(&random) % (SPREAD * MS));
    int left = COUNT;
    for (int i = 0; i < COUNT; i += THIRD, left--)
        tni_wheel_remove(&wheel, &timers[i]);
    /* Deadlines are rounded up to a tick, and `start` is a little after one: the latest may be due one tick after the last. */
    for (uint64_t now = start; now <= start + (SPREAD + 1) * MS; now += MS)
        for (tni_timer *chain; (chain = tni_wheel_expire(&wheel, now, 256)) != NULL;)
            for (; chain != NULL; chain = chain->next, left--) {
                if ((chain - timers) % THIRD == 0)
                    cr_assert_fail("a removed timer went off, seed %#llx", (unsigned long long)seed);
                if (chain->deadline_tick != now / MS)
                    cr_assert_fail("not on its tick, seed %#llx", (unsigned long long)seed);
            }
    cr_assert_eq(left, 0, "%d left, seed %#llx", left, (unsigned long long)seed);
    cr_assert_eq(tni_wheel_next_ns(&wheel), UINT64_MAX);
    free(timers);
}

/* --- Comparison with a plain list -------------------------------------------------------------------------------------- */

enum { MODEL_TIMERS = 120 };

typedef struct model {
    tni_wheel wheel;                /* the wheel under test */
    tni_timer timers[MODEL_TIMERS]; /* its timers */
    uint64_t tick[MODEL_TIMERS];    /* the tick on which each should fire */
    uint64_t added[MODEL_TIMERS];   /* the order in which they were added */
    bool armed[MODEL_TIMERS];       /* whether each should be in the wheel */
    uint64_t now;                   /* the time, in nanoseconds */
    uint64_t reached;               /* the tick on which late additions are due */
    uint64_t adds;                  /* number of additions so far */
    uint64_t random;                /* the state of the generator */
    uint64_t seed;                  /* its initial state */
} model;

#define model_assert(m, cond) cr_assert(cond, "TN_TEST_SEED=%#llx: %s", (unsigned long long)(m)->seed, #cond)

/* The armed timer that should fire first; -1: none is armed. */
static int model_first(const model *m)
{
    int first = -1;
    for (int i = 0; i < MODEL_TIMERS; i++)
        if (m->armed[i] &&
            (first < 0 || m->tick[i] < m->tick[first] || (m->tick[i] == m->tick[first] && m->added[i] < m->added[first])))
            first = i;
    return first;
}

/* Returns a number of ticks of any magnitude, often one that ends at the boundary of a slot. */
static uint64_t model_span(model *m)
{
    unsigned bits = (unsigned)(random_wide(&m->random) % 39);
    uint64_t span = random_wide(&m->random) & ((UINT64_C(1) << bits) - 1);
    if (random_wide(&m->random) % 4 != 0)
        return span;
    uint64_t width = UINT64_C(1) << (random_wide(&m->random) % 7 * TNI_WHEEL_SLOT_BITS);
    uint64_t boundary = (m->now / MS / width + 1 + random_wide(&m->random) % 3) * width;
    return boundary - m->now / MS - random_wide(&m->random) % 2;
}

static void model_add(model *m, int i)
{
    uint64_t deadline = m->now + model_span(m) * MS + random_wide(&m->random) % MS;
    if (random_wide(&m->random) % 8 == 0)
        deadline = m->now - random_wide(&m->random) % (m->now < 100 * MS ? m->now + 1 : 100 * MS);
    uint64_t tick = (deadline + MS - 1) / MS;
    m->tick[i] = tick > m->reached ? tick : m->reached;
    m->added[i] = m->adds++;
    m->armed[i] = true;
    tni_wheel_add(&m->wheel, &m->timers[i], deadline);
}

static void model_expire(model *m)
{
    uint32_t max = random_wide(&m->random) % 2 == 0 ? 1000 : 1 + (uint32_t)(random_wide(&m->random) % 5);
    uint32_t count = 0;
    for (tni_timer *timer = tni_wheel_expire(&m->wheel, m->now, max); timer != NULL; timer = timer->next, count++) {
        int first = model_first(m);
        model_assert(m, first >= 0 && timer == &m->timers[first]);
        model_assert(m, m->tick[first] <= m->now / MS && timer->deadline_tick == m->tick[first] && !tni_timer_linked(timer));
        m->armed[first] = false;
        m->reached = m->tick[first];
    }
    model_assert(m, count <= max);
    if (count == max)
        return;
    int first = model_first(m);
    model_assert(m, first < 0 || m->tick[first] > m->now / MS);
    m->reached = m->now / MS;
}

static void model_check_next(model *m)
{
    uint64_t next = tni_wheel_next_ns(&m->wheel);
    int first = model_first(m);
    model_assert(m, (first < 0) == (next == UINT64_MAX));
    if (first < 0)
        return;
    model_assert(m, next <= m->tick[first] * MS);
    if (m->tick[first] / TNI_WHEEL_SLOTS == m->reached / TNI_WHEEL_SLOTS)
        model_assert(m, next == m->tick[first] * MS);
}

static void model_run(uint64_t seed, uint64_t start, int steps)
{
    static model storage;
    model *m = &storage;
    *m = (model){.now = start, .reached = start / MS, .random = seed, .seed = seed};
    tni_wheel_init(&m->wheel, start);
    /* How full the wheel is kept: sometimes nearly empty, sometimes with many timers per slot. */
    uint64_t keen = 1 + random_wide(&m->random) % 9;
    for (int step = 0; step < steps; step++) {
        int i = (int)(random_wide(&m->random) % MODEL_TIMERS);
        model_assert(m, tni_timer_linked(&m->timers[i]) == m->armed[i]);
        if (random_wide(&m->random) % 10 < 7) {
            if (!m->armed[i] && random_wide(&m->random) % 10 < keen)
                model_add(m, i);
            else if (random_wide(&m->random) % 10 >= keen) {
                tni_wheel_remove(&m->wheel, &m->timers[i]);
                m->armed[i] = false;
            }
        } else {
            uint64_t next = tni_wheel_next_ns(&m->wheel);
            if (random_wide(&m->random) % 2 == 0)
                m->now += random_wide(&m->random) % (3 * MS);
            else if (random_wide(&m->random) % 2 == 0 && next != UINT64_MAX)
                m->now = next > m->now ? next - random_wide(&m->random) % 2 : m->now;
            else if (random_wide(&m->random) % 4 == 0)
                m->now += model_span(m) * MS;
            model_expire(m);
        }
        model_check_next(m);
    }
}

Test(wheel, random_operations_against_a_list, .timeout = 300)
{
    uint64_t state = seed_now();
    /* A seed from a failed run is used first, as in that run. */
    model_run(state, starts[state % STARTS], 3000);
    for (int run = 0; run < 300; run++) {
        uint64_t seed = random_wide(&state) | 1;
        model_run(seed, starts[seed % STARTS], 3000);
    }
}
