/* SPDX-License-Identifier: MIT */
/* The parker: no notification is lost, whatever the sleeper sleeps in. */
#include "base/parker.h"

#include "model.h"
#include "os/os_loop.h"

typedef struct {
    tni_parker parker;
    tni_a32 ready; /* what the sleeper waits for */
    uint32_t data[2];
    tni_os_loop loop;
    tni_os_fetched fetched;
} sleepers;

static void setup(void *state)
{
    sleepers *s = state;

    tni_parker_init(&s->parker);
    tni_a32_init(&s->ready, 0);
    (void)tni_os_loop_open(&s->loop);
    model_name_of(s->parker);
    model_name_of(s->ready);
    model_name_of(s->data);
}

static void notify(void *state)
{
    sleepers *s = state;
    unsigned self = model_self() - 2;

    s->data[self] = 1;
    (void)tni_a32_fetch_or(&s->ready, 1u << self, TNI_RELAXED);
    if (tni_parker_notify(&s->parker))
        tni_os_loop_wake(&s->loop);
}

/* The notification orders the data. */
static void take(sleepers *s, uint32_t wanted)
{
    for (unsigned i = 0; wanted >> i != 0; i++)
        model_check(s->data[i] == 1);
}

static void sleep_on_futex(void *state)
{
    sleepers *s = state;

    while (tni_a32_load(&s->ready, TNI_RELAXED) != 3)
        tni_parker_wait(&s->parker, TNI_FOREVER);
}

static void sleep_once(void *state)
{
    sleepers *s = state;

    while (tni_a32_load(&s->ready, TNI_RELAXED) == 0)
        tni_parker_wait(&s->parker, TNI_FOREVER);
}

/* Apart from spurious returns of the futex, a sleeper that returns has been notified, and sees what came before. */
static void sleep_in_loop(void *state)
{
    sleepers *s = state;

    while (tni_a32_load(&s->ready, TNI_RELAXED) != 3) {
        if (!tni_parker_prepare(&s->parker, TNI_PARK_LOOP))
            continue;
        tni_os_loop_sleep(&s->loop, UINT64_MAX, &s->fetched);
        tni_parker_finish(&s->parker);
    }
}

static void sleep_in_loop_once(void *state)
{
    sleepers *s = state;

    if (tni_parker_prepare(&s->parker, TNI_PARK_LOOP)) {
        tni_os_loop_sleep(&s->loop, UINT64_MAX, &s->fetched);
        tni_parker_finish(&s->parker);
    }
    take(s, 1);
}

static void finish(void *state)
{
    sleepers *s = state;

    tni_os_loop_close(&s->loop);
}

#define CASE(what, ...) \
    { \
        .name = "park." what, .state_bytes = sizeof(sleepers), .setup = setup, .threads = {__VA_ARGS__}, .finish = finish \
    }

const model_scenario model_scenarios[] = {
    CASE("futex", sleep_once, notify),
    CASE("futex_two", sleep_on_futex, notify, notify),
    CASE("loop", sleep_in_loop_once, notify),
    CASE("loop_two", sleep_in_loop, notify, notify),
    {0},
};
