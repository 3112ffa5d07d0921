/* SPDX-License-Identifier: MIT */
/* Notify: notify_one and notify_all against waits, try_wait and cancellation. No notification is lost, and none is taken
 * twice. */
#include <tn/notify.h>

#include "sleeper.h"

typedef struct {
    tn_notify notify;
    uint32_t data;             /* plain: written before the notification */
    tn_notify_future waits[2]; /* prepared by setup */
    sleeper *sleepers[2];
    uint32_t told[2]; /* which of them have completed */
    uint32_t taken;
} square;

static void name(square *s)
{
    model_name(&s->notify, 8, "notify.word");
    model_name((const char *)&s->notify + 8, 4, "notify.lock");
    model_name_of(s->data);
}

static void nothing(void *state)
{
    name(state);
}

static void kept(void *state)
{
    name(state);
    tn_notify_one(&((square *)state)->notify);
}

static void one_prepared(void *state)
{
    square *s = state;

    name(s);
    tn_notify_wait_init(&s->waits[0], &s->notify);
}

static void two_queued(void *state)
{
    square *s = state;

    name(s);
    for (int i = 0; i < 2; i++) {
        s->sleepers[i] = sleeper_new();
        tn_notify_wait_init(&s->waits[i], &s->notify);
        model_check(tn_future_poll(&s->waits[i].base, sleeper_waker(s->sleepers[i])) == TN_PENDING);
    }
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

static void notify_one(void *state)
{
    square *s = state;

    s->data = 1;
    tn_notify_one(&s->notify);
}

static void notify_one_more(void *state)
{
    tn_notify_one(&((square *)state)->notify);
}

static void notify_all(void *state)
{
    square *s = state;

    s->data = 1;
    tn_notify_all(&s->notify);
}

static void notify_all_more(void *state)
{
    tn_notify_all(&((square *)state)->notify);
}

static void wait(void *state)
{
    square *s = state;

    model_check(tn_notify_wait(&s->notify) == 0);
    model_check(s->data == 1);
}

static void wait_blank(void *state)
{
    model_check(tn_notify_wait(&((square *)state)->notify) == 0);
}

/* If it completes at once, it has taken the notification, and gives another one. */
static void wait_cancelled(void *state)
{
    square *s = state;
    tn_notify_future future;

    tn_notify_wait_init(&future, &s->notify);
    if (sleeper_cancelled(&future.base) != TN_PENDING)
        tn_notify_one(&s->notify);
}

static void try_wait(void *state)
{
    square *s = state;

    if (tn_notify_try_wait(&s->notify) == 0) {
        s->taken++;
        tn_notify_one(&s->notify);
    }
}

/* Prepared by setup, so notify_all ends it even if it has not been polled yet. */
static void wait_prepared(void *state)
{
    square *s = state;

    model_check(tn_await(&s->waits[0].base) == 0);
    model_check(s->data == 1);
}

/* Leaves. A notification by notify_one goes on to the other waiter; one by notify_all does not. */
static void drop_first(void *state)
{
    square *s = state;

    tn_future_drop(&s->waits[0].base);
    tn_waker_release(sleeper_waker(s->sleepers[0]));
}

static void second_waits(void *state)
{
    square *s = state;

    model_check(sleeper_wait(s->sleepers[1], &s->waits[1].base) == 0);
    tn_future_drop(&s->waits[1].base);
    tn_waker_release(sleeper_waker(s->sleepers[1]));
}

static void look(void *state)
{
    square *s = state;

    for (int i = 0; i < 2; i++)
        s->told[i] = tn_future_poll(&s->waits[i].base, sleeper_waker(s->sleepers[i])) == 0;
}

static void end(void *state)
{
    square *s = state;

    for (int i = 0; i < 2; i++) {
        tn_future_drop(&s->waits[i].base);
        tn_waker_release(sleeper_waker(s->sleepers[i]));
    }
    tn_notify_fini(&s->notify);
}

/* --- Ends ------------------------------------------------------------------------------------------------------------------- */

static void is_kept(void *state)
{
    square *s = state;

    model_check(tn_notify_try_wait(&s->notify) == 0);
    model_check(tn_notify_try_wait(&s->notify) == TN_EAGAIN);
    tn_notify_fini(&s->notify);
}

static void is_taken(void *state)
{
    square *s = state;

    model_check(tn_notify_try_wait(&s->notify) == TN_EAGAIN);
    tn_notify_fini(&s->notify);
}

/* notify_all has ended both waits. If notify_one came second, neither of them takes its notification. If it came first, the
 * first waiter got it. */
static void both_told(void *state)
{
    square *s = state;

    look(state);
    model_check(s->told[0] && s->told[1]);
    end(state);
}

#define CASE(what, preemptions, before, after, ...) \
    { \
        .name = "notify." what, .state_bytes = sizeof(square), .bound = preemptions, .setup = before, .threads = {__VA_ARGS__}, \
        .finish = after, .no_chance = true \
    }

const model_scenario model_scenarios[] = {
    CASE("one", 2, nothing, is_taken, notify_one, wait),
    CASE("one_try", 2, nothing, is_taken, notify_one, wait, try_wait),
    CASE("kept", 2, kept, is_taken, wait_blank, try_wait),
    CASE("cancel", 2, nothing, is_kept, notify_one_more, wait_cancelled),
    CASE("cancel_beside", 1, nothing, is_taken, notify_one, wait, wait_cancelled),
    CASE("pass_on", 2, two_queued, is_taken, notify_one_more, drop_first, second_waits),
    CASE("all", 2, one_prepared, is_taken, notify_all, wait_prepared),
    CASE("all_drop", 2, two_queued, is_taken, notify_all_more, drop_first, second_waits),
    CASE("all_one", 2, two_queued, both_told, notify_all_more, notify_one_more),
    {0},
};
