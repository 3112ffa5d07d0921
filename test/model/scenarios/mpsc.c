/* SPDX-License-Identifier: MIT */
/* The channel with many senders: capacity, elements, closing from either side, and cancelled waits. */
#include <tn/mpsc.h>

#include "base/tls.h"
#include "mpsc.h"
#include "sleeper.h"

#define SENT_MAX 5

typedef struct {
    tn_mpsc *channel;
    tn_task maker; /* the task that creates the channel, in a runtime whose fences are asymmetric */
    tn_runtime runtime;
    uint32_t told[SENT_MAX + 1];     /* plain: written before element i is sent */
    uint32_t received[SENT_MAX + 1]; /* written by one receiver at a time */
    bool sent[SENT_MAX + 1];
    uint64_t last; /* the element that was received last */
    tni_a32 discarded;
    tn_mpsc_send_future waits[2]; /* queued by setup */
    sleeper *sleepers[2];
    uint64_t second;
} market;

static market *current; /* set by setup, for discard */

static void discard(void *element)
{
    (void)element;
    (void)tni_a32_fetch_add(&current->discarded, 1, TNI_RELAXED);
}

static void create(market *m, size_t capacity, bool asymmetric)
{
    tn_channel_options options = tn_channel_options_default();

    current = m;
    options.discard = discard;
    m->runtime.asymmetric = asymmetric;
    m->maker.runtime = &m->runtime;
    tni_tls_get()->task = &m->maker;
    model_check(tn_mpsc_create(&m->channel, sizeof(uint64_t), capacity, &options) == 0);
    tni_tls_get()->task = NULL;
    model_name(&m->channel->waiting.lock, 4, "mpsc.lock");
    model_name(&m->channel->tail, 8, "mpsc.tail");
    model_name(&m->channel->head, 8, "mpsc.head");
    model_name(&m->channel->contended, 4, "mpsc.contended");
    model_name(&m->channel->has_waiters, 4, "mpsc.has_waiters");
    model_name(&m->channel->senders, 4, "mpsc.senders");
    model_name(&m->channel->sides, 4, "mpsc.sides");
}

static void tell(market *m, uint64_t element)
{
    m->told[element] = 1;
}

/* One slot, which contains element 1. */
static void fill(market *m, bool asymmetric)
{
    uint64_t element = 1;

    create(m, 1, asymmetric);
    tell(m, 1);
    model_check(tn_mpsc_try_send(m->channel, &element) == 0);
    m->sent[1] = true;
}

static void empty(void *state)
{
    create(state, 1, true);
}
static void empty_unbounded(void *state)
{
    create(state, TN_UNBOUNDED, true);
}
static void full(void *state)
{
    fill(state, true);
}
static void full_symmetric(void *state)
{
    fill(state, false);
}

static void empty_two_senders(void *state)
{
    create(state, 1, true);
    tn_mpsc_retain_sender(((market *)state)->channel);
}

static void unbounded_two_senders(void *state)
{
    create(state, TN_UNBOUNDED, true);
    tn_mpsc_retain_sender(((market *)state)->channel);
}

/* Two senders wait: the first to reserve a slot, the second to send element 2. */
static void two_queued(void *state)
{
    market *m = state;

    fill(m, true);
    tn_mpsc_retain_sender(m->channel);
    tn_mpsc_reserve_init(&m->waits[0], m->channel);
    m->second = 2;
    tn_mpsc_send_init(&m->waits[1], m->channel, &m->second);
    tell(m, 2);
    for (int i = 0; i < 2; i++) {
        m->sleepers[i] = sleeper_new();
        model_check(tn_future_poll(&m->waits[i].base, sleeper_waker(m->sleepers[i])) == TN_PENDING);
    }
}

static void took(market *m, uint64_t element);

/* Full, and contended because a sender has waited, but no sender is queued: three slots, which contain elements 2 to 4. */
static void contended(void *state)
{
    market *m = state;
    uint64_t element;

    create(m, 3, true);
    for (element = 1; element <= 4; element++) {
        tell(m, element);
        if (element == 4) {
            uint64_t first = 0;
            tn_mpsc_reserve_init(&m->waits[0], m->channel);
            m->sleepers[0] = sleeper_new();
            model_check(tn_future_poll(&m->waits[0].base, sleeper_waker(m->sleepers[0])) == TN_PENDING);
            tn_future_drop(&m->waits[0].base);
            tn_waker_release(sleeper_waker(m->sleepers[0]));
            model_check(tn_mpsc_try_recv(m->channel, &first) == 0);
            took(m, first);
        }
        model_check(tn_mpsc_try_send(m->channel, &element) == 0);
        m->sent[element] = true;
    }
    model_check(tni_a32_load(&m->channel->contended, TNI_RELAXED) == 1);
    model_check(tni_a32_load(&m->channel->has_waiters, TNI_RELAXED) == 0);
}

/* The only slot is reserved. */
static void reserved(void *state)
{
    create(state, 1, true);
    model_check(tn_mpsc_try_reserve(((market *)state)->channel) == 0);
}

/* --- Senders ---------------------------------------------------------------------------------------------------------------- */

static void send_one(market *m, uint64_t element)
{
    int rc;

    tell(m, element);
    rc = tn_mpsc_send(m->channel, &element);
    model_check(rc == 0 || rc == TN_EPIPE);
    m->sent[element] = rc == 0;
}

static void send_first(void *state)
{
    send_one(state, 1);
    tn_mpsc_release_sender(((market *)state)->channel);
}

static void send_two(void *state)
{
    send_one(state, 1);
    send_one(state, 2);
    tn_mpsc_release_sender(((market *)state)->channel);
}

static void send_second(void *state)
{
    send_one(state, 2);
    tn_mpsc_release_sender(((market *)state)->channel);
}

static void send_third(void *state)
{
    send_one(state, 3);
    tn_mpsc_release_sender(((market *)state)->channel);
}

static void send_fifth(void *state)
{
    send_one(state, 5);
    tn_mpsc_release_sender(((market *)state)->channel);
}

static void let_go(void *state)
{
    tn_mpsc_release_sender(((market *)state)->channel);
}

/* Reserves a slot or none: a cancelled sender has no slot, and sends nothing. */
static void reserve_cancelled(void *state)
{
    market *m = state;
    tn_mpsc_send_future future;
    uint64_t element = 3;

    tn_mpsc_reserve_init(&future, m->channel);
    if (sleeper_cancelled(&future.base) == 0) {
        tell(m, element);
        m->sent[element] = tn_mpsc_send_reserved(m->channel, &element) == 0;
    }
    tn_mpsc_release_sender(m->channel);
}

static void send_cancelled(void *state)
{
    market *m = state;
    tn_mpsc_send_future future;
    uint64_t element = 3;

    tell(m, element);
    tn_mpsc_send_init(&future, m->channel, &element);
    m->sent[element] = sleeper_cancelled(&future.base) == 0;
    tn_mpsc_release_sender(m->channel);
}

/* If it was granted a slot, the slot goes to the next sender. */
static void drop_first(void *state)
{
    market *m = state;

    tn_future_drop(&m->waits[0].base);
    tn_waker_release(sleeper_waker(m->sleepers[0]));
    tn_mpsc_release_sender(m->channel);
}

static void second_sends(void *state)
{
    market *m = state;

    model_check(sleeper_wait(m->sleepers[1], &m->waits[1].base) == 0);
    m->sent[2] = true;
    tn_future_drop(&m->waits[1].base);
    tn_waker_release(sleeper_waker(m->sleepers[1]));
    tn_mpsc_release_sender(m->channel);
}

static void send_reserved(void *state)
{
    market *m = state;
    uint64_t element = 1;

    tell(m, element);
    m->sent[element] = tn_mpsc_send_reserved(m->channel, &element) == 0;
    tn_mpsc_release_sender(m->channel);
}

static void unreserve(void *state)
{
    tn_mpsc_unreserve(((market *)state)->channel);
}

/* --- Receivers -------------------------------------------------------------------------------------------------------------- */

static void took(market *m, uint64_t element)
{
    model_check(element >= 1 && element <= SENT_MAX && m->told[element] == 1 && m->received[element] == 0);
    m->received[element] = 1;
    m->last = element;
}

/* Until the end, which comes when all elements have been received. */
static void recv_all(void *state)
{
    market *m = state;
    uint64_t element = 0;
    int rc;

    while ((rc = tn_mpsc_recv(m->channel, &element)) == 0)
        took(m, element);
    model_check(rc == TN_EPIPE);
    tn_mpsc_release_receiver(m->channel);
}

static void recv_one(void *state)
{
    market *m = state;
    uint64_t element = 0;

    model_check(tn_mpsc_recv(m->channel, &element) == 0);
    took(m, element);
}

/* A cancelled receive has lost nothing. */
static void recv_cancelled(void *state)
{
    market *m = state;
    tn_mpsc_recv_future future;
    uint64_t element = 0;

    tn_mpsc_recv_init(&future, m->channel, &element);
    if (sleeper_cancelled(&future.base) == 0)
        took(m, element);
    recv_all(state);
}

static void recv_two(void *state)
{
    recv_one(state);
    recv_one(state);
}

static void recv_by_two(void *state)
{
    market *m = state;
    tn_mpsc_recv_future future;
    uint64_t element = 0;

    tn_mpsc_recv_init(&future, m->channel, &element);
    model_check(sleeper_wait_by_two(&future.base) == 0);
    took(m, element);
}

/* What was sent before the close is received, then comes the end. */
static void close_and_recv(void *state)
{
    tn_mpsc_close(((market *)state)->channel);
    recv_all(state);
}

static void receiver_goes(void *state)
{
    tn_mpsc_release_receiver(((market *)state)->channel);
}

/* --- Ends ------------------------------------------------------------------------------------------------------------------- */

/* A sent element was received or discarded. An element that was not sent was not received. */
static void accounted(void *state)
{
    market *m = state;
    uint32_t lost = 0;

    for (uint32_t i = 1; i <= SENT_MAX; i++) {
        model_check(m->sent[i] || !m->received[i]);
        lost += m->sent[i] && !m->received[i];
    }
    model_check(lost == tni_a32_load(&m->discarded, TNI_RELAXED));
}

static void received_all(void *state)
{
    accounted(state);
    model_check(tni_a32_load(&((market *)state)->discarded, TNI_RELAXED) == 0);
}

/* In order, and no element was refused. */
static void received_one_and_two(void *state)
{
    market *m = state;

    received_all(state);
    model_check(m->received[1] && m->received[2] && m->last == 2);
}

static void sender_goes_at_last(void *state)
{
    let_go(state);
    received_all(state);
}

static void receiver_goes_at_last(void *state)
{
    receiver_goes(state);
    accounted(state);
}

#define CASE(what, preemptions, before, after, ...) \
    { \
        .name = "mpsc." what, .state_bytes = sizeof(market), .bound = preemptions, .setup = before, .threads = {__VA_ARGS__}, \
        .finish = after, .no_chance = true \
    }

#define CASE_DENIED(what, preemptions, before, after, ...) \
    { \
        .name = "mpsc." what, .state_bytes = sizeof(market), .bound = preemptions, .setup = before, .threads = {__VA_ARGS__}, \
        .finish = after, .no_chance = true, .denied = true \
    }

const model_scenario model_scenarios[] = {
    CASE("send", 1, empty, received_one_and_two, send_two, recv_all),
    CASE("send_unbounded", 2, empty_unbounded, received_one_and_two, send_two, recv_all),
    CASE("room", 2, full, receiver_goes_at_last, send_second, recv_one),
    CASE_DENIED("room_denied", 2, full, receiver_goes_at_last, send_second, recv_one),
    CASE("room_symmetric", 2, full_symmetric, receiver_goes_at_last, send_second, recv_one),
    CASE("crowd", 2, contended, receiver_goes_at_last, send_fifth, recv_one),
    CASE("pass_on", 2, two_queued, receiver_goes_at_last, drop_first, second_sends, recv_one),
    CASE("two_senders", 1, unbounded_two_senders, receiver_goes_at_last, send_first, send_third, recv_two),
    CASE("two_wakers", 2, empty, receiver_goes_at_last, send_first, recv_by_two),
    CASE("last_sender", 2, empty_two_senders, received_all, let_go, let_go, recv_all),
    CASE("recv_cancel", 2, empty, received_all, send_first, recv_cancelled),
    CASE("send_cancel", 2, full, received_all, send_cancelled, recv_all),
    CASE("reserve_cancel", 2, full, received_all, reserve_cancelled, recv_all),
    CASE("reserved", 2, reserved, received_all, send_reserved, close_and_recv),
    CASE("unreserve", 2, reserved, sender_goes_at_last, unreserve, close_and_recv),
    CASE("close", 2, full, received_all, send_second, close_and_recv),
    CASE("receiver_gone", 2, full, accounted, send_second, receiver_goes),
    {0},
};
