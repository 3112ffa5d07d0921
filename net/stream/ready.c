/* SPDX-License-Identifier: MIT */
/* The future of a stream's readiness. While it waits, it is the stream's reader or writer. So no other task is, and a close
 * leaves the fd open until the future is ready or dropped. */
#include "endpoint/attempt.h"
#include "stream/stream.h"
#include "task/budget.h"

static tni_side side_of(const tn_ready_future *future)
{
    return future->direction == TN_READABLE ? TNI_READ : TNI_WRITE;
}

static void stop_waiting(tn_ready_future *future)
{
    future->waiting = false;
    tni_endpoint_end(future->endpoint, tni_endpoint_operation(side_of(future)));
}

static ssize_t run_is_ready(tni_endpoint *endpoint, void *arg)
{
    return tni_os_socket_ready(endpoint->fd, *(const tni_side *)arg == TNI_WRITE);
}

/* Polls until the socket itself says that it is ready. A program that knows the fd may have used it since the report. */
static int poll_given(tni_endpoint *endpoint, tni_side side, tn_waker *waker)
{
    tni_attempt is_ready = {run_is_ready, &side, 0};
    int rc;

    do {
        rc = tni_endpoint_poll(endpoint, side, waker);
        if (rc == 0)
            rc = (int)tni_attempt_once(endpoint, side, &is_ready);
    } while (rc == TN_EAGAIN);
    return rc;
}

static int ready_poll(tn_future *self, tn_waker *waker)
{
    tn_ready_future *future = tni_container_of(self, tn_ready_future, base);
    int rc;

    if (!tni_budget_poll_enter(waker))
        return TN_PENDING;
    if (!future->waiting) {
        rc = tni_endpoint_begin(future->endpoint, tni_endpoint_operation(side_of(future)));
        if (rc != 0)
            return rc;
        future->waiting = true;
    }
    if (future->endpoint->given)
        rc = poll_given(future->endpoint, side_of(future), waker);
    else
        rc = tni_endpoint_poll(future->endpoint, side_of(future), waker);
    if (rc != TN_PENDING)
        stop_waiting(future);
    return tni_budget_poll_leave(waker, rc);
}

static void ready_drop(tn_future *self)
{
    tn_ready_future *future = tni_container_of(self, tn_ready_future, base);

    if (!future->waiting)
        return;
    tni_endpoint_unregister(future->endpoint, side_of(future));
    stop_waiting(future);
}

static const tn_future_ops ready_ops = {ready_poll, ready_drop, "socket"};

void tni_ready_init(tn_ready_future *future, tni_endpoint *endpoint, tn_direction direction)
{
    future->base.ops = &ready_ops;
    future->endpoint = endpoint;
    future->direction = direction;
    future->waiting = false;
}

void tn_ready_init(tn_ready_future *future, tn_stream *stream, tn_direction direction)
{
    tni_ready_init(future, &stream->endpoint, direction);
}
