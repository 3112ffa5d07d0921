/* SPDX-License-Identifier: MIT */
/* Barrier, once and wait group: which thread must wait for which. */
#include <tn/barrier.h>
#include <tn/once.h>
#include <tn/wait_group.h>

#include "sleeper.h"

typedef struct {
    tn_barrier barrier;
    uint32_t come[2]; /* plain: written before the barrier, read after it */
    tni_a32 leaders;
    tn_once once;
    uint32_t made; /* plain: written by the thread that completes */
    tni_a32 makers;
    tn_wait_group_future wait; /* of a waiter that setup has queued */
    sleeper *self;
    tn_wait_group *group; /* freed by the thread that waited for it */
    uint32_t done[2];     /* plain */
} place;

/* --- Barrier ---------------------------------------------------------------------------------------------------------------- */

static void two_parties(void *state)
{
    place *p = state;

    tn_barrier_init(&p->barrier, 2);
    model_name((const char *)&p->barrier + 24, 4, "barrier.lock");
}

static void three_parties(void *state)
{
    two_parties(state);
    tn_barrier_init(&((place *)state)->barrier, 3);
}

/* Counts leaders: a round has one. */
static void passed(place *p, int rc)
{
    model_check(rc == 0 || rc == TN_BARRIER_LEADER);
    if (rc == TN_BARRIER_LEADER)
        (void)tni_a32_fetch_add(&p->leaders, 1, TNI_RELAXED);
}

static void come_first(void *state)
{
    place *p = state;

    p->come[0] = 1;
    passed(p, tn_barrier_wait(&p->barrier));
    model_check(p->come[1] == 1);
}

static void come_second(void *state)
{
    place *p = state;

    p->come[1] = 1;
    passed(p, tn_barrier_wait(&p->barrier));
    model_check(p->come[0] == 1);
}

static void come_cancelled(void *state)
{
    place *p = state;
    tn_barrier_future future;
    int rc;

    tn_barrier_wait_init(&future, &p->barrier);
    rc = sleeper_cancelled(&future.base);
    if (rc != TN_PENDING)
        passed(p, rc);
}

static void one_leader(void *state)
{
    place *p = state;

    model_check(tni_a32_load(&p->leaders, TNI_RELAXED) == 1);
    tn_barrier_fini(&p->barrier);
}

/* A waiter that left does not count: the next two waiters wait, and the third one leads. */
static void nobody_there(void *state)
{
    place *p = state;
    sleeper *self = sleeper_new();
    tn_barrier_future waits[3];

    for (int i = 0; i < 3; i++) {
        tn_barrier_wait_init(&waits[i], &p->barrier);
        model_check(tn_future_poll(&waits[i].base, sleeper_waker(self)) == (i < 2 ? TN_PENDING : TN_BARRIER_LEADER));
    }
    for (int i = 0; i < 3; i++)
        tn_future_drop(&waits[i].base);
    tn_waker_release(sleeper_waker(self));
    tn_barrier_fini(&p->barrier);
}

/* --- Once ------------------------------------------------------------------------------------------------------------------- */

static void not_made(void *state)
{
    place *p = state;

    model_name(&p->once, 4, "once.word");
    model_name((const char *)&p->once + 8, 4, "once.lock");
    model_name_of(p->made);
}

static void being_made(void *state)
{
    not_made(state);
    model_check(tn_once_try_begin(&((place *)state)->once) == TN_ONCE_MINE);
}

static void complete(place *p)
{
    p->made++;
    tn_once_complete(&p->once);
}

static void make(void *state)
{
    place *p = state;
    int rc = tn_once_begin(&p->once);

    model_check(rc == 0 || rc == TN_ONCE_MINE);
    if (rc == TN_ONCE_MINE)
        complete(p);
    else
        model_check(p->made == 1);
}

static void begun_complete(void *state)
{
    complete(state);
}
static void begun_abandon(void *state)
{
    tn_once_abandon(&((place *)state)->once);
}

static void is_it_made(void *state)
{
    place *p = state;

    if (tn_once_is_done(&p->once))
        model_check(p->made == 1);
}

/* If it is chosen at once it must complete; otherwise it leaves, and another thread is chosen. */
static void make_cancelled(void *state)
{
    place *p = state;
    tn_once_future future;

    tn_once_begin_init(&future, &p->once);
    if (sleeper_cancelled(&future.base) == TN_ONCE_MINE)
        complete(p);
}

static void made(void *state)
{
    place *p = state;

    model_check(tn_once_is_done(&p->once) && p->made == 1);
    tn_once_fini(&p->once);
}

/* Completed, or the next caller is chosen. */
static void made_or_not(void *state)
{
    place *p = state;

    model_check(p->made == 1 ? tn_once_is_done(&p->once) : tn_once_try_begin(&p->once) == TN_ONCE_MINE);
    tn_once_fini(&p->once);
}

/* --- Wait group ------------------------------------------------------------------------------------------------------------- */

static void things(place *p, uint32_t count)
{
    p->group = model_alloc(sizeof *p->group, _Alignof(tn_wait_group));
    tn_wait_group_add(p->group, count);
    model_name(p->group, 8, "group.word");
    model_name((const char *)p->group + 8, 4, "group.lock");
}

static void one_thing(void *state)
{
    things(state, 1);
}
static void two_things(void *state)
{
    things(state, 2);
}

static void do_first(void *state)
{
    place *p = state;

    p->done[0] = 1;
    tn_wait_group_done(p->group);
}

static void do_second(void *state)
{
    place *p = state;

    p->done[1] = 1;
    tn_wait_group_done(p->group);
}

static void wait_and_free(void *state)
{
    place *p = state;

    model_check(tn_wait_group_wait(p->group) == 0);
    model_check(p->done[0] == 1);
    tn_wait_group_fini(p->group);
    model_free(p->group);
}

static void wait_for_both(void *state)
{
    place *p = state;

    model_check(tn_wait_group_wait(p->group) == 0);
    model_check(p->done[0] == 1 && p->done[1] == 1);
    tn_wait_group_fini(p->group);
    model_free(p->group);
}

/* Like wait_and_free, but it checks first. */
static void try_and_free(void *state)
{
    place *p = state;

    if (tn_wait_group_try_wait(p->group) != 0)
        model_check(tn_wait_group_wait(p->group) == 0);
    model_check(p->done[0] == 1);
    model_free(p->group);
}

/* Polls by hand, leaves if the group is not done, and frees it when it is. */
static void wait_cancelled(void *state)
{
    place *p = state;
    tn_wait_group_future future;

    tn_wait_group_wait_init(&future, p->group);
    if (sleeper_cancelled(&future.base) == TN_PENDING)
        model_check(tn_wait_group_wait(p->group) == 0);
    model_check(p->done[0] == 1);
    model_free(p->group);
}

/* A waiter is queued, so the last thing is done under the queue's lock. The waiter leaves, checks, and frees the group if all
 * is done. */
static void one_thing_waited_for(void *state)
{
    place *p = state;

    one_thing(state);
    p->self = sleeper_new();
    tn_wait_group_wait_init(&p->wait, p->group);
    model_check(tn_future_poll(&p->wait.base, sleeper_waker(p->self)) == TN_PENDING);
}

static void leave_try_and_free(void *state)
{
    place *p = state;

    tn_future_drop(&p->wait.base);
    tn_waker_release(sleeper_waker(p->self));
    try_and_free(state);
}

#define CASE(what, preemptions, before, after, ...) \
    { \
        .name = "gather." what, .state_bytes = sizeof(place), .bound = preemptions, .setup = before, .threads = {__VA_ARGS__}, \
        .finish = after, .no_chance = true \
    }

const model_scenario model_scenarios[] = {
    CASE("barrier", 2, two_parties, one_leader, come_first, come_second),
    CASE("barrier_cancel", 2, three_parties, nobody_there, come_cancelled, come_cancelled),
    CASE("once", 2, not_made, made, make, make),
    CASE("once_look", 2, being_made, made, begun_complete, make, is_it_made),
    CASE("once_abandon", 2, being_made, made, begun_abandon, make, make),
    CASE("once_cancel", 2, being_made, made_or_not, begun_abandon, make_cancelled),
    CASE("once_cancel_beside", 2, being_made, made, begun_abandon, make, make_cancelled),
    CASE("group", 2, one_thing, NULL, do_first, wait_and_free),
    CASE("group_two", 2, two_things, NULL, do_first, do_second, wait_for_both),
    CASE("group_try", 2, one_thing, NULL, do_first, try_and_free),
    CASE("group_leave_try", 2, one_thing_waited_for, NULL, do_first, leave_try_and_free),
    CASE("group_cancel", 2, one_thing, NULL, do_first, wait_cancelled),
    {0},
};
