/* SPDX-License-Identifier: MIT */
/* Listeners to signals: handlers walk the list while listeners are added, wait and are removed. The event of a listener is a word
 * here. */
#include "future/signal_table.h"

#include "base/thread.h"
#include "model.h"

struct tn_async {
    tni_a32 sent;
};

typedef struct {
    tni_signal_table table;
    tni_signal_listener *listeners[2];
    struct tn_async events[2];
} scene;

/* Publishes, as the shipped one does. */
void tn_async_send(tn_async *async)
{
    (void)tni_a32_exchange(&async->sent, 1, TNI_RELEASE);
    tni_futex_wake(&async->sent, 1);
}

static tni_signal_listener *make(scene *s, unsigned which, uint64_t set)
{
    tni_signal_listener *listener = model_alloc(sizeof *listener, _Alignof(tni_signal_listener));

    listener->set = set;
    listener->async = &s->events[which];
    tni_a64_init(&listener->pending, 0);
    tni_aptr_init(&listener->next, NULL);
    s->listeners[which] = listener;
    return listener;
}

static void setup_none(void *state)
{
    scene *s = state;

    model_name_of(s->table.first);
    model_name_of(s->table.running);
    model_name_of(s->events[0].sent);
}

static void setup_one(void *state)
{
    scene *s = state;

    setup_none(state);
    tni_signal_table_add(&s->table, make(s, 0, tni_signal_bit(2) | tni_signal_bit(15)));
    model_name_of(s->listeners[0]->pending);
}

static void setup_two(void *state)
{
    scene *s = state;

    setup_one(state);
    tni_signal_table_add(&s->table, make(s, 1, tni_signal_bit(15)));
}

static void deliver_15(void *state)
{
    scene *s = state;

    (void)tni_signal_table_deliver(&s->table, 15);
}

static void deliver_2(void *state)
{
    scene *s = state;

    model_check(tni_signal_table_deliver(&s->table, 2));
}

/* As the poll of tn_signal_wait. */
static int wait_for_one(scene *s)
{
    int number;

    while ((number = tni_signal_listener_take(s->listeners[0])) == 0)
        while (tni_a32_exchange(&s->events[0].sent, 0, TNI_ACQUIRE) == 0)
            tni_futex_wait(&s->events[0].sent, 0, TNI_FOREVER);
    return number;
}

static void wait_for_both(void *state)
{
    scene *s = state;
    int first = wait_for_one(s);
    int second = wait_for_one(s);

    model_check(first + second == 17 && first != second);
    model_check(tni_signal_listener_take(s->listeners[0]) == 0);
}

static void remove_listener(scene *s, unsigned which)
{
    tni_signal_listener *listener = s->listeners[which];

    tni_signal_table_unlink(&s->table, listener);
    tni_signal_table_wait(&s->table);
    s->listeners[which] = NULL;
    model_free(listener);
}

static void remover(void *state)
{
    remove_listener(state, 0);
}

/* First the one behind, then the one that led to it. */
static void remover_of_two(void *state)
{
    remove_listener(state, 0);
    remove_listener(state, 1);
}

static void adder(void *state)
{
    scene *s = state;

    tni_signal_table_add(&s->table, make(s, 0, tni_signal_bit(15)));
}

static void finish(void *state)
{
    scene *s = state;

    model_check(tni_a32_load(&s->table.running, TNI_RELAXED) == 0);
    for (unsigned i = 0; i < 2; i++)
        if (s->listeners[i] != NULL)
            model_free(s->listeners[i]);
}

#define CASE(what, before, ...) \
    { \
        .name = "signals." what, .state_bytes = sizeof(scene), .setup = before, .threads = {__VA_ARGS__}, .finish = finish \
    }

const model_scenario model_scenarios[] = {
    CASE("wait", setup_one, wait_for_both, deliver_15, deliver_2),
    CASE("remove", setup_one, remover, deliver_15),
    CASE("remove_two", setup_two, remover_of_two, deliver_15),
    CASE("add", setup_none, adder, deliver_15),
    {0},
};
