/* SPDX-License-Identifier: MIT */
/* Parking a thread: no notification is lost, none is consumed twice. */
#include <stdatomic.h>

#include "base/parker.h"
#include "support/runtime.h"

Test(park, a_notification_before_the_sleep_ends_it)
{
    tni_parker parker;

    tni_parker_init(&parker);
    cr_assert(!tni_parker_notify(&parker));
    cr_assert(!tni_parker_notify(&parker)); /* two notifications count as one */
    tni_parker_wait(&parker, TNI_FOREVER);
    cr_assert(tni_parker_prepare(&parker, TNI_PARK_LOOP)); /* the notification was consumed */
    tni_parker_finish(&parker);
}

Test(park, a_deadline_ends_the_sleep)
{
    tni_parker parker;
    uint64_t until_ns = tn_now() + 3 * TN_MS;

    tni_parker_init(&parker);
    while (tn_now() < until_ns)
        tni_parker_wait(&parker, until_ns);
    tni_parker_wait(&parker, 1); /* a deadline in the past */
}

Test(park, who_sleeps_in_its_loop_is_woken_there)
{
    tni_parker parker;

    tni_parker_init(&parker);
    cr_assert(tni_parker_prepare(&parker, TNI_PARK_LOOP));
    cr_assert(tni_parker_notify(&parker)); /* the caller must wake the loop */
    cr_assert(!tni_parker_notify(&parker));
    tni_parker_finish(&parker);
    cr_assert(tni_parker_prepare(&parker, TNI_PARK_LOOP));
    tni_parker_finish(&parker);
    cr_assert(!tni_parker_notify(&parker));
    cr_assert(!tni_parker_prepare(&parker, TNI_PARK_LOOP));
}

/* --- Ping-pong ------------------------------------------------------------------------------------------------------------ */

typedef struct {
    tni_parker parkers[2];
    atomic_ulong turn;
    unsigned long rounds;
    atomic_int next;
} game;

static void *play(void *arg)
{
    game *g = arg;
    int me = atomic_fetch_add(&g->next, 1);

    for (unsigned long i = 0; i < g->rounds; i++) {
        while (atomic_load_explicit(&g->turn, memory_order_relaxed) != 2 * i + (unsigned long)me)
            tni_parker_wait(&g->parkers[me], TNI_FOREVER);
        atomic_store_explicit(&g->turn, 2 * i + (unsigned long)me + 1, memory_order_relaxed);
        (void)tni_parker_notify(&g->parkers[1 - me]);
    }
    return NULL;
}

Test(park, two_threads_wake_each_other)
{
    game g = {.rounds = tt_scaled(100000)};
    pthread_t threads[2];

    tni_parker_init(&g.parkers[0]);
    tni_parker_init(&g.parkers[1]);
    for (int i = 0; i < 2; i++)
        threads[i] = tt_thread_start(play, &g);
    for (int i = 0; i < 2; i++)
        tt_thread_join(threads[i]);
    cr_assert_eq(atomic_load(&g.turn), 2 * g.rounds);
}

/* Three threads notify one. Each adds a ticket before it notifies, so the sleeper sees every ticket without polling. */
typedef struct {
    tni_parker parker;
    atomic_ulong tickets;
    unsigned long each;
} counter;

static void *notify_often(void *arg)
{
    counter *c = arg;

    for (unsigned long i = 0; i < c->each; i++) {
        atomic_fetch_add_explicit(&c->tickets, 1, memory_order_relaxed);
        (void)tni_parker_notify(&c->parker);
    }
    return NULL;
}

Test(park, many_notify_one)
{
    counter c = {.each = tt_scaled(200000)};
    pthread_t threads[3];

    tni_parker_init(&c.parker);
    for (int i = 0; i < 3; i++)
        threads[i] = tt_thread_start(notify_often, &c);
    while (atomic_load_explicit(&c.tickets, memory_order_relaxed) < 3 * c.each)
        tni_parker_wait(&c.parker, TNI_FOREVER);
    for (int i = 0; i < 3; i++)
        tt_thread_join(threads[i]);
}

static void sleep_twice(void *arg)
{
    tni_parker parker;
    (void)arg;

    tni_parker_init(&parker);
    (void)tni_parker_prepare(&parker, TNI_PARK_LOOP);
    (void)tni_parker_prepare(&parker, TNI_PARK_FUTEX);
}

Test(park, two_sleepers_abort)
{
    tt_child child = tt_fork(sleep_twice, NULL);

    cr_assert(tt_child_aborted(&child, "two threads sleep on one parker"));
}
