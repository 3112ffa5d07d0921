/* SPDX-License-Identifier: MIT */
/* Intervals: periodic ticks that a task waits for. */
#include <tn/combine.h>

#include "task/budget.h"
#include "time/deadline.h"

static uint64_t add(uint64_t a_ns, uint64_t b_ns)
{
    uint64_t sum_ns;

    return __builtin_add_overflow(a_ns, b_ns, &sum_ns) ? TNI_FOREVER : sum_ns;
}

/* The time of the next tick, after the current one has been delivered. */
static uint64_t next_after(const tn_interval *interval, uint64_t now_ns)
{
    uint64_t next_ns = add(interval->next_ns, interval->period_ns);

    if (next_ns > now_ns)
        return next_ns; /* none was missed */
    switch (interval->missed) {
    case TN_MISSED_DELAY:
        return add(now_ns, interval->period_ns);
    case TN_MISSED_SKIP:
        return add(next_ns, ((now_ns - next_ns) / interval->period_ns + 1) * interval->period_ns);
    case TN_MISSED_BURST:
        break;
    }
    return next_ns;
}

static int tick_poll(tn_future *self, tn_waker *waker)
{
    tn_interval_future *future = tni_container_of(self, tn_interval_future, base);
    tn_interval *interval = future->interval;
    uint64_t now_ns = tni_task_clock_ns();

    if (now_ns < interval->next_ns) {
        tni_deadline_ask(waker, interval->next_ns);
        return TN_PENDING;
    }
    if (!tni_budget_poll_enter(waker))
        return TN_PENDING;
    future->due_ns = interval->next_ns;
    interval->next_ns = next_after(interval, now_ns);
    return tni_budget_poll_leave(waker, 0);
}

static void tick_drop(tn_future *self)
{
    (void)self; /* the timer belongs to the task, and a late wake is spurious */
}

static const tn_future_ops tick_ops = {.poll = tick_poll, .drop = tick_drop, .name = "interval"};

void tn_interval_init(tn_interval *interval, uint64_t first_ns, uint64_t period_ns, tn_missed missed)
{
    tni_assert(period_ns > 0, "tn_interval_init: the period is 0");
    interval->next_ns = first_ns;
    interval->period_ns = period_ns;
    interval->missed = missed;
}

void tn_interval_tick_init(tn_interval_future *future, tn_interval *interval)
{
    future->base.ops = &tick_ops;
    future->interval = interval;
    future->due_ns = 0;
}

int tn_interval_tick(tn_interval *interval, uint64_t *due_ns)
{
    tn_interval_future future;
    int rc;

    tn_interval_tick_init(&future, interval);
    rc = tn_await(&future.base);
    if (rc == 0 && due_ns != NULL)
        *due_ns = future.due_ns;
    return rc;
}
