/* SPDX-License-Identifier: MIT */
/* The run queue of a core: first in, first out. Each item is taken exactly once, by the owner or by a thief. */
/* ctest: timeout=120 */
#include <stdatomic.h>
#include <stdlib.h>

#include "sched/deque.h"
#include "support/runtime.h"

enum { CAPACITY = TNI_DEQUE_CAPACITY };

static void *item(uintptr_t number)
{
    return (void *)(number + 1);
}

static void expect_own(tni_deque *d, uintptr_t number)
{
    void *got = NULL;

    cr_assert_eq(tni_deque_take_own(d, &got), TNI_TAKE_GOT);
    cr_assert_eq(got, item(number));
}

static void expect_theft(tni_deque *d, uintptr_t number)
{
    void *got = NULL;

    cr_assert_eq(tni_deque_take(d, &got), TNI_TAKE_GOT);
    cr_assert_eq(got, item(number));
}

static void expect_empty(tni_deque *d)
{
    void *got = NULL;

    cr_assert_eq(tni_deque_length(d), 0);
    cr_assert_eq(tni_deque_take_own(d, &got), TNI_TAKE_EMPTY);
    cr_assert_eq(tni_deque_take(d, &got), TNI_TAKE_EMPTY);
}

Test(deque, is_empty_at_first)
{
    static tni_deque d;

    tni_deque_init(&d);
    expect_empty(&d);
}

Test(deque, first_in_first_out)
{
    static tni_deque d;

    tni_deque_init(&d);
    for (uintptr_t i = 0; i < CAPACITY; i++) {
        cr_assert(tni_deque_push(&d, item(i)));
        cr_assert_eq(tni_deque_length(&d), i + 1);
    }
    cr_assert(!tni_deque_push(&d, item(CAPACITY)));
    cr_assert_eq(tni_deque_length(&d), CAPACITY);
    for (uintptr_t i = 0; i < CAPACITY; i++) {
        if (i % 2)
            expect_own(&d, i);
        else
            expect_theft(&d, i);
    }
    expect_empty(&d);
}

/* Tests every fill level at every position of the ring. */
Test(deque, wraps_around)
{
    static tni_deque d;
    uintptr_t in = 0;
    uintptr_t out = 0;

    tni_deque_init(&d);
    for (uintptr_t round = 0; round < 5 * CAPACITY; round++) {
        uintptr_t level = round * 7 % CAPACITY + 1;
        while (in - out < level)
            cr_assert(tni_deque_push(&d, item(in++)));
        cr_assert_eq(tni_deque_length(&d), in - out);
        for (uintptr_t k = 0; k < round % 3 + 1 && out < in; k++, out++) {
            if (k % 2)
                expect_own(&d, out);
            else
                expect_theft(&d, out);
        }
    }
    while (out < in)
        expect_own(&d, out++);
    expect_empty(&d);
}

/* All lengths and counts: the newest items are taken, in their order, and only if at least one older item stays. */
Test(deque, the_newest_can_be_taken_back)
{
    static tni_deque d;
    void *items[CAPACITY];

    for (unsigned length = 0; length <= CAPACITY; length += length < 8 || length > CAPACITY - 4 ? 1 : 5)
        for (unsigned count = 1; count <= CAPACITY; count += count < 8 || count > CAPACITY - 4 ? 1 : 7) {
            tni_deque_init(&d);
            for (unsigned i = 0; i < length; i++)
                cr_assert(tni_deque_push(&d, item(i)));
            if (length <= count) {
                cr_assert(!tni_deque_take_newest(&d, items, count));
                cr_assert_eq(tni_deque_length(&d), length);
                for (unsigned i = 0; i < length; i++)
                    expect_own(&d, i);
                expect_empty(&d);
                continue;
            }
            cr_assert(tni_deque_take_newest(&d, items, count));
            for (unsigned i = 0; i < count; i++)
                cr_assert_eq(items[i], item(length - count + i));
            cr_assert_eq(tni_deque_length(&d), length - count);
            cr_assert(tni_deque_push(&d, item(1000)));
            for (unsigned i = 0; i < length - count; i++)
                expect_theft(&d, i);
            expect_own(&d, 1000);
            expect_empty(&d);
        }
}

/* --- One owner, three thieves --------------------------------------------------------------------------------------------- */

typedef struct {
    tni_deque d;
    atomic_bool over;
    unsigned long count;
    atomic_uchar *taken; /* how often each item was taken */
    atomic_ulong stolen;
} contest;

static void take_one(contest *c, void *got)
{
    uintptr_t number = (uintptr_t)got - 1;

    tt_check(number < c->count);
    tt_check(atomic_fetch_add(&c->taken[number], 1) == 0);
}

static void *steal(void *arg)
{
    contest *c = arg;
    uintptr_t last = 0;

    for (;;) {
        bool over = atomic_load(&c->over);
        void *got = NULL;
        switch (tni_deque_take(&c->d, &got)) {
        case TNI_TAKE_GOT:
            tt_check((uintptr_t)got > last); /* oldest first: a thief's numbers increase */
            last = (uintptr_t)got;
            take_one(c, got);
            atomic_fetch_add_explicit(&c->stolen, 1, memory_order_relaxed);
            break;
        case TNI_TAKE_RETRY:
            break;
        case TNI_TAKE_EMPTY:
            if (over)
                return NULL;
            break;
        }
    }
}

static void take_own(contest *c)
{
    void *got = NULL;

    if (tni_deque_take_own(&c->d, &got) == TNI_TAKE_GOT)
        take_one(c, got);
}

/* Takes the newest items, as the scheduler does when the deque is full. The tests also do this when it is not. */
static void spill(contest *c, unsigned count)
{
    void *items[CAPACITY / 2];

    if (!tni_deque_take_newest(&c->d, items, count))
        return;
    for (unsigned i = 0; i < count; i++)
        take_one(c, items[i]);
}

static void run_contest(unsigned own_every, unsigned spill_every, unsigned spill_count)
{
    static contest c;
    pthread_t thieves[3];

    tni_deque_init(&c.d);
    c.count = tt_scaled(400000);
    c.taken = calloc(c.count, sizeof *c.taken);
    cr_assert_not_null(c.taken);
    atomic_store(&c.over, false);
    atomic_store(&c.stolen, 0);
    for (int i = 0; i < 3; i++)
        thieves[i] = tt_thread_start(steal, &c);
    for (uintptr_t i = 0; i < c.count; i++) {
        while (!tni_deque_push(&c.d, item(i)))
            spill(&c, CAPACITY / 2);
        if (own_every != 0 && i % own_every == 0)
            take_own(&c);
        if (spill_every != 0 && i % spill_every == 0)
            spill(&c, spill_count);
    }
    atomic_store(&c.over, true);
    for (int i = 0; i < 3; i++)
        tt_thread_join(thieves[i]);
    for (unsigned long i = 0; i < c.count; i++)
        cr_assert_eq(atomic_load(&c.taken[i]), 1, "item %lu was taken %u times", i, atomic_load(&c.taken[i]));
    cr_log_info("%lu of %lu stolen", atomic_load(&c.stolen), c.count);
    free(c.taken);
}

Test(deque, thieves_and_owner_take_each_item_once)
{
    run_contest(2, 0, 0);
    run_contest(1, 0, 0);
}

Test(deque, also_when_the_owner_takes_back)
{
    run_contest(3, 5, 1);
    run_contest(0, 4, 2);
    run_contest(5, 64, CAPACITY / 2);
}

/* The deque has at most a few items, so owner and thieves compete for the last one all the time. */
Test(deque, the_last_item)
{
    static contest c;
    pthread_t thieves[3];

    tni_deque_init(&c.d);
    c.count = tt_scaled(400000);
    c.taken = calloc(c.count, sizeof *c.taken);
    cr_assert_not_null(c.taken);
    for (int i = 0; i < 3; i++)
        thieves[i] = tt_thread_start(steal, &c);
    for (uintptr_t i = 0; i < c.count; i++) {
        cr_assert(tni_deque_push(&c.d, item(i)));
        if (i % 3 == 0)
            spill(&c, 1);
        else
            while (tni_deque_length(&c.d) > i % 2)
                take_own(&c);
    }
    atomic_store(&c.over, true);
    for (int i = 0; i < 3; i++)
        tt_thread_join(thieves[i]);
    for (unsigned long i = 0; i < c.count; i++)
        cr_assert_eq(atomic_load(&c.taken[i]), 1);
    free(c.taken);
}
