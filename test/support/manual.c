/* SPDX-License-Identifier: MIT */
#include "manual.h"

static int manual_poll(tn_future *self, tn_waker *waker)
{
    tt_manual *m = (tt_manual *)(void *)self;
    tn_waker *old;

    atomic_fetch_add(&m->polls, 1);
    old = atomic_exchange(&m->waker, tn_waker_retain(waker));
    if (old != NULL)
        tn_waker_release(old);
    return atomic_load(&m->result);
}

static void manual_drop(tn_future *self)
{
    tt_manual *m = (tt_manual *)(void *)self;
    tn_waker *old = atomic_exchange(&m->waker, NULL);

    atomic_fetch_add(&m->drops, 1);
    if (old != NULL)
        tn_waker_release(old);
}

void tt_manual_init(tt_manual *m)
{
    static const tn_future_ops ops = {.poll = manual_poll, .drop = manual_drop};

    m->base.ops = &ops;
    atomic_init(&m->result, TN_PENDING);
    atomic_init(&m->waker, NULL);
    atomic_init(&m->polls, 0);
    atomic_init(&m->drops, 0);
}

void tt_manual_set(tt_manual *m, int result)
{
    atomic_store(&m->result, result);
}

void tt_manual_wake(tt_manual *m)
{
    tn_waker *waker = atomic_exchange(&m->waker, NULL);

    if (waker != NULL)
        tn_waker_wake(waker);
}

void tt_manual_ready(tt_manual *m, int result)
{
    tt_manual_set(m, result);
    tt_manual_wake(m);
}

bool tt_manual_was_polled(void *manual)
{
    return atomic_load(&((tt_manual *)manual)->polls) > 0;
}
