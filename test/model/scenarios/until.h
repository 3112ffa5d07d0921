/* SPDX-License-Identifier: MIT */
/* A future that is ready when its bell has been rung, or when its registration can be read. */
#ifndef UNTIL_H
#define UNTIL_H

#include <tn/future.h>

#include "io/driver.h"
#include "model.h"

typedef struct {
    tn_future base;
    tni_registration *registration; /* waits on its readiness; NULL: on the bell */
    tni_wait *bell;
    tni_a32 *rung;
} until_future;

static int poll_until(tn_future *self, tn_waker *waker)
{
    until_future *future = tni_container_of(self, until_future, base);

    if (future->registration != NULL)
        return tni_registration_poll(future->registration, TNI_READ, waker);
    tni_wait_arm(future->bell, waker);
    if (tni_a32_load(future->rung, TNI_ACQUIRE) == 0)
        return TN_PENDING;
    (void)tni_wait_disarm(future->bell);
    return 0;
}

static void drop_until(tn_future *self)
{
    until_future *future = tni_container_of(self, until_future, base);

    if (future->registration != NULL)
        tni_registration_unregister(future->registration, TNI_READ);
    else
        (void)tni_wait_disarm(future->bell);
}

static const tn_future_ops until_ops = {poll_until, drop_until};

#endif
