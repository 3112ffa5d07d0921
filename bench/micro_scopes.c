/* SPDX-License-Identifier: MIT */
/* What it costs to be ready to be cut short: a deadline that is not used, a select that need not wait. */
#include <stdint.h>

#include "measure.h"
#include "micro_cases.h"

/* A future that is always ready. */
static int ready_poll(tn_future *self, tn_waker *waker)
{
    (void)self;
    (void)waker;
    return 1;
}

static void ready_drop(tn_future *self)
{
    (void)self;
}

static const tn_future_ops ready_ops = {.poll = ready_poll, .drop = ready_drop};

/* --- Awaits ----------------------------------------------------------------------------------------------------------------- */

static void *await_alone(void *arg)
{
    tn_future ready = {&ready_ops};

    for (long left = *(long *)arg; left > 0; left--)
        measure_check(tn_await(&ready) == 1);
    return NULL;
}

/* One deadline for many operations, as a server computes one a request. */
static void *await_until(void *arg)
{
    tn_future ready = {&ready_ops};
    uint64_t deadline_ns = tn_now() + 3600 * TN_S;

    for (long left = *(long *)arg; left > 0; left--) {
        tn_scope scope;
        tn_scope_enter(&scope, deadline_ns);
        measure_check(tn_await(&ready) == 1);
        tn_scope_leave(&scope);
    }
    return NULL;
}

/* A second from now each time. */
static void *call_with_timeout(void *arg)
{
    tn_future ready = {&ready_ops};

    for (long left = *(long *)arg; left > 0; left--)
        measure_check(tn_timeout_for(&ready, TN_S) == 1);
    return NULL;
}

/* The same by a scope, whose second begins when it is entered: that needs the clock. */
static void *await_for(void *arg)
{
    tn_future ready = {&ready_ops};

    for (long left = *(long *)arg; left > 0; left--) {
        tn_scope scope;
        tn_scope_enter_for(&scope, TN_S);
        measure_check(tn_await(&ready) == 1);
        tn_scope_leave(&scope);
    }
    return NULL;
}

static void *select_two(void *arg)
{
    tn_future ready = {&ready_ops};
    tn_future *const futures[2] = {&ready, &ready};

    for (long left = *(long *)arg; left > 0; left--)
        measure_check(tn_select(futures, 2, NULL) >= 0);
    return NULL;
}

/* --- Cases ------------------------------------------------------------------------------------------------------------------ */

static void measure(const micro_settings *settings, const char *name, tn_entry_fn entry)
{
    micro_loop loop = {
        .name = name,
        .unit = "ns/op",
        .entry = entry,
        .times = 2000000,
        .quick_times = 20000,
        .warm_times = 10000,
        .operations = 1,
    };

    micro_measure_loop(settings, &loop);
}

void micro_await_ready(const micro_settings *settings)
{
    measure(settings, "await_ready", await_alone);
    measure(settings, "await_until", await_until);
}

void micro_timeout_unused(const micro_settings *settings)
{
    measure(settings, "timeout_unused", call_with_timeout);
}

void micro_await_for(const micro_settings *settings)
{
    measure(settings, "await_for", await_for);
}

void micro_select_ready(const micro_settings *settings)
{
    measure(settings, "select_ready", select_two);
}
