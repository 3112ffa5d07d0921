/* SPDX-License-Identifier: MIT */
/* The oneshot: sending, abandoning, closing, receiving and releasing, in every order. The element is delivered to exactly one
 * side. */
#include <tn/oneshot.h>

#include "sleeper.h"

#define ELEMENT 42

typedef struct {
    tn_oneshot *oneshot;
    uint32_t told; /* plain: written by the sender before it sends */
    int sent;      /* the result of the send */
    tni_a32 received;
    tni_a32 discarded;
} post;

static post *current; /* set by setup, for discard */

static void discard(void *element)
{
    model_check(*(uint64_t *)element == ELEMENT);
    (void)tni_a32_fetch_add(&current->discarded, 1, TNI_RELAXED);
}

static void setup(void *state)
{
    post *p = state;
    tn_channel_options options = tn_channel_options_default();

    current = p;
    options.discard = discard;
    model_check(tn_oneshot_create(&p->oneshot, sizeof(uint64_t), &options) == 0);
    model_name(p->oneshot, 8, "oneshot.word");
    model_name((const char *)p->oneshot + 8, 8, "oneshot.waker");
    p->sent = 1;
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

static void send_it(void *state)
{
    post *p = state;
    uint64_t element = ELEMENT;

    p->told = 1;
    p->sent = tn_oneshot_send(p->oneshot, &element);
    model_check(p->sent == 0 || p->sent == TN_EPIPE);
}

static void abandon(void *state)
{
    post *p = state;

    p->told = 1;
    tn_oneshot_abandon(p->oneshot);
}

static void received(post *p, uint64_t element)
{
    model_check(element == ELEMENT && p->told == 1);
    (void)tni_a32_fetch_add(&p->received, 1, TNI_RELAXED);
}

static void recv_it(void *state)
{
    post *p = state;
    uint64_t element = 0;

    model_check(tn_oneshot_recv(p->oneshot, &element) == 0);
    received(p, element);
    tn_oneshot_release(p->oneshot);
}

static void recv_nothing(void *state)
{
    post *p = state;
    uint64_t element = 0;

    model_check(tn_oneshot_recv(p->oneshot, &element) == TN_EPIPE);
    model_check(p->told == 1);
    tn_oneshot_release(p->oneshot);
}

static void recv_by_two(void *state)
{
    post *p = state;
    uint64_t element = 0;
    tn_oneshot_future future;

    tn_oneshot_recv_init(&future, p->oneshot, &element);
    model_check(sleeper_wait_by_two(&future.base) == 0);
    received(p, element);
    tn_oneshot_release(p->oneshot);
}

/* An element that a cancelled receive left is still there. */
static void recv_cancelled(void *state)
{
    post *p = state;
    uint64_t element = 0;
    tn_oneshot_future future;
    int rc;

    tn_oneshot_recv_init(&future, p->oneshot, &element);
    rc = sleeper_cancelled(&future.base);
    if (rc == TN_PENDING)
        rc = tn_oneshot_recv(p->oneshot, &element);
    model_check(rc == 0);
    received(p, element);
    tn_oneshot_release(p->oneshot);
}

static void recv_cancelled_and_let_go(void *state)
{
    post *p = state;
    uint64_t element = 0;
    tn_oneshot_future future;

    tn_oneshot_recv_init(&future, p->oneshot, &element);
    if (sleeper_cancelled(&future.base) != TN_PENDING)
        received(p, element);
    tn_oneshot_release(p->oneshot);
}

static void let_go(void *state)
{
    tn_oneshot_release(((post *)state)->oneshot);
}

/* Either the send came first, and the element is there, or the close did, and no element comes. */
static void close_and_look(void *state)
{
    post *p = state;
    uint64_t element = 0;
    int rc;

    tn_oneshot_close(p->oneshot);
    rc = tn_oneshot_try_recv(p->oneshot, &element);
    model_check(rc == 0 || rc == TN_EPIPE);
    if (rc == 0)
        received(p, element);
    tn_oneshot_release(p->oneshot);
}

/* Another task closes while this one receives. */
static void close_it(void *state)
{
    tn_oneshot_close(((post *)state)->oneshot);
}

static void recv_or_closed(void *state)
{
    post *p = state;
    uint64_t element = 0;
    int rc = tn_oneshot_recv(p->oneshot, &element);

    model_check(rc == 0 || rc == TN_EPIPE);
    if (rc == 0)
        received(p, element);
}

/* --- Ends ------------------------------------------------------------------------------------------------------------------- */

/* A sent element was received or discarded, once. A refused one was neither. */
static void accounted(void *state)
{
    post *p = state;
    uint32_t gone = tni_a32_load(&p->received, TNI_RELAXED) + tni_a32_load(&p->discarded, TNI_RELAXED);

    model_check(gone == (p->sent == 0));
}

static void let_go_at_last(void *state)
{
    let_go(state);
    accounted(state);
}

#define CASE(what, after, ...) \
    { \
        .name = "oneshot." what, .state_bytes = sizeof(post), .setup = setup, .threads = {__VA_ARGS__}, .finish = after, \
        .no_chance = true \
    }

const model_scenario model_scenarios[] = {
    CASE("recv", accounted, send_it, recv_it),
    CASE("abandon", accounted, abandon, recv_nothing),
    CASE("two_wakers", accounted, send_it, recv_by_two),
    CASE("cancel", accounted, send_it, recv_cancelled),
    CASE("cancel_let_go", accounted, send_it, recv_cancelled_and_let_go),
    CASE("let_go", accounted, send_it, let_go),
    CASE("close", accounted, send_it, close_and_look),
    CASE("close_recv", let_go_at_last, send_it, recv_or_closed, close_it),
    {0},
};
