/* SPDX-License-Identifier: MIT */
/* Broadcast and watch: sending and closing against receiving, lagging, leaving and cancelled waits. */
#include <tn/broadcast.h>
#include <tn/watch.h>

#include "sleeper.h"

typedef struct {
    tn_broadcast *channel;
    tn_broadcast_receiver receiver;
    tn_watch *watch;
    tn_watch_receiver watcher;
    uint64_t next; /* the element that the receiver must get next, or see reported as missed */
    uint64_t missed;
} paper;

/* --- Broadcast: elements 1, 2, .. ------------------------------------------------------------------------------------------- */

static void subscribed(paper *p, size_t capacity)
{
    model_check(tn_broadcast_create(&p->channel, sizeof(uint64_t), capacity, NULL) == 0);
    tn_broadcast_subscribe(p->channel, &p->receiver);
    p->next = 1;
}

static void capacity_one(void *state)
{
    subscribed(state, 1);
}
static void capacity_two(void *state)
{
    subscribed(state, 2);
}

static void two_senders(void *state)
{
    subscribed(state, 1);
    tn_broadcast_retain_sender(((paper *)state)->channel);
}

static void send_two(void *state)
{
    paper *p = state;

    for (uint64_t element = 1; element <= 2; element++)
        model_check(tn_broadcast_send(p->channel, &element) == 1);
    tn_broadcast_release_sender(p->channel);
}

/* The receiver may have left. */
static void send_one(void *state)
{
    paper *p = state;
    uint64_t element = 1;

    model_check(tn_broadcast_send(p->channel, &element) <= 1);
    tn_broadcast_release_sender(p->channel);
}

static void end(void *state)
{
    tn_broadcast_release_sender(((paper *)state)->channel);
}

/* Each element comes in order, or is counted as missed. */
static void take(paper *p, int rc, uint64_t element, uint64_t missed)
{
    if (rc == TN_EOVERFLOW) {
        model_check(missed > 0);
        p->next += missed;
        p->missed += missed;
        return;
    }
    model_check(rc == 0 && element == p->next);
    p->next++;
}

static void recv_all(void *state)
{
    paper *p = state;
    uint64_t element = 0;
    uint64_t missed = 0;
    int rc;

    while ((rc = tn_broadcast_recv(&p->receiver, &element, &missed)) != TN_EPIPE)
        take(p, rc, element, missed);
    tn_broadcast_unsubscribe(&p->receiver);
}

static void recv_cancelled(void *state)
{
    paper *p = state;
    tn_broadcast_future future;
    uint64_t element = 0;
    uint64_t missed = 0;
    int rc;

    tn_broadcast_recv_init(&future, &p->receiver, &element, &missed);
    rc = sleeper_cancelled(&future.base);
    if (rc != TN_PENDING)
        take(p, rc, element, missed);
    recv_all(state);
}

static void leave(void *state)
{
    tn_broadcast_unsubscribe(&((paper *)state)->receiver);
}

static void all_missed_or_received(void *state)
{
    paper *p = state;

    model_check(p->next == 3 && p->missed <= 1);
}

static void all_received(void *state)
{
    paper *p = state;

    model_check(p->next == 3 && p->missed == 0);
}

/* --- Watch: values 0, 1, 2 -------------------------------------------------------------------------------------------------- */

static void watched(void *state)
{
    paper *p = state;
    uint64_t value = 0;

    model_check(tn_watch_create(&p->watch, sizeof value, &value, NULL) == 0);
    tn_watch_subscribe(p->watch, &p->watcher);
}

static void change_twice(void *state)
{
    paper *p = state;

    for (uint64_t value = 1; value <= 2; value++)
        tn_watch_send(p->watch, &value);
    tn_watch_release_sender(p->watch);
}

static bool up_to_one(void *value, void *arg)
{
    (void)arg;
    if (*(uint64_t *)value == 1)
        return false;
    *(uint64_t *)value = 1;
    return true;
}

/* The second call modifies nothing, and no receiver is notified. */
static void modify_twice(void *state)
{
    paper *p = state;

    model_check(tn_watch_send_if_modified(p->watch, up_to_one, NULL));
    model_check(!tn_watch_send_if_modified(p->watch, up_to_one, NULL));
    tn_watch_release_sender(p->watch);
}

static void seen(paper *p)
{
    uint64_t value = 0;

    tn_watch_get(&p->watcher, &value);
    model_check(value >= p->next);
    p->next = value;
}

/* The values never go back; the last value is seen before the end. */
static void follow(void *state)
{
    paper *p = state;
    int rc;

    while ((rc = tn_watch_changed(&p->watcher)) == 0)
        seen(p);
    model_check(rc == TN_EPIPE);
    tn_watch_unsubscribe(&p->watcher);
}

static void follow_cancelled(void *state)
{
    paper *p = state;
    tn_watch_future future;
    int rc;

    tn_watch_changed_init(&future, &p->watcher);
    rc = sleeper_cancelled(&future.base);
    model_check(rc == 0 || rc == TN_PENDING);
    if (rc == 0)
        seen(p);
    follow(state);
}

static void is_two(void *state)
{
    model_check(((paper *)state)->next == 2);
}
static void is_one(void *state)
{
    model_check(((paper *)state)->next == 1);
}

#define CASE(what, preemptions, before, after, ...) \
    { \
        .name = "news." what, .state_bytes = sizeof(paper), .bound = preemptions, .setup = before, .threads = {__VA_ARGS__}, \
        .finish = after, .no_chance = true \
    }

const model_scenario model_scenarios[] = {
    CASE("broadcast", 2, capacity_two, all_received, send_two, recv_all),
    CASE("broadcast_lag", 2, capacity_one, all_missed_or_received, send_two, recv_all),
    CASE("broadcast_cancel", 1, capacity_two, all_received, send_two, recv_cancelled),
    CASE("broadcast_leave", 2, capacity_one, NULL, send_one, leave),
    CASE("broadcast_end", 2, two_senders, NULL, end, end, recv_all),
    CASE("watch", 2, watched, is_two, change_twice, follow),
    CASE("watch_modify", 2, watched, is_one, modify_twice, follow),
    CASE("watch_cancel", 1, watched, is_two, change_twice, follow_cancelled),
    {0},
};
