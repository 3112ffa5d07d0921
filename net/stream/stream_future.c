/* SPDX-License-Identifier: MIT */
/* The futures that read and write a stream. From its first poll to its end such a future is the stream's reader or writer; only
 * its last poll moves bytes, except that one that writes all bytes counts those of each poll. */
#include <tn/stream_future.h>

#include "endpoint/attempt_poll.h"
#include "stream/stream.h"

static size_t at_most(size_t size)
{
    return size < TNI_ATTEMPT_BYTES_MAX ? size : TNI_ATTEMPT_BYTES_MAX;
}

/* --- Reading --------------------------------------------------------------------------------------------------------------- */

static ssize_t run_receive(tni_endpoint *endpoint, void *arg)
{
    tn_read_future *future = arg;

    endpoint->read_may_be_stale = true;
    return tni_os_recv(endpoint->fd, future->buf, at_most(future->size));
}

static int read_poll(tn_future *self, tn_waker *waker)
{
    tn_read_future *future = tni_container_of(self, tn_read_future, base);
    tni_endpoint *endpoint = &future->stream->endpoint;
    tni_attempt receive = {run_receive, future, at_most(future->size)};
    int rc;

    if (!tni_budget_poll_enter(waker))
        return TN_PENDING;
    rc = tni_attempt_poll_begin(endpoint, TNI_READ, &future->in_flight);
    if (rc == 0 && future->size > 0)
        rc = tni_attempt_poll(endpoint, TNI_READ, &receive, &future->waiting, waker);
    if (rc != TN_PENDING)
        tni_attempt_poll_end(endpoint, TNI_READ, &future->in_flight, &future->waiting);
    return tni_budget_poll_leave(waker, rc);
}

static void read_drop(tn_future *self)
{
    tn_read_future *future = tni_container_of(self, tn_read_future, base);

    tni_attempt_poll_end(&future->stream->endpoint, TNI_READ, &future->in_flight, &future->waiting);
}

void tn_read_init(tn_read_future *future, tn_stream *stream, void *buf, size_t size)
{
    static const tn_future_ops ops = {read_poll, read_drop, "socket"};

    *future = (tn_read_future){{&ops}, stream, buf, size, false, false};
}

/* --- Writing --------------------------------------------------------------------------------------------------------------- */

static ssize_t run_send(tni_endpoint *endpoint, void *arg)
{
    const tn_write_future *future = arg;

    return tni_os_send(endpoint->fd, (const char *)future->buf + future->done, at_most(future->size - future->done));
}

/* In flight: writes once, or until all is written. Spends a unit of the budget for each part. */
static int write_parts(tn_write_future *future, tn_waker *waker)
{
    tni_endpoint *endpoint = &future->stream->endpoint;

    for (;;) {
        tni_attempt send = {run_send, future, at_most(future->size - future->done)};
        int rc;

        if (future->done > 0 && tni_endpoint_is_closing(endpoint))
            return TN_EBADF;
        rc = tni_attempt_poll(endpoint, TNI_WRITE, &send, &future->waiting, waker);
        if (rc < 0)
            return rc;
        future->done += (size_t)rc;
        if (!future->all)
            return rc;
        if (future->done == future->size)
            return 0;
        (void)tni_budget_poll_leave(waker, rc);
        if (!tni_budget_poll_enter(waker))
            return TN_PENDING;
    }
}

static int write_poll(tn_future *self, tn_waker *waker)
{
    tn_write_future *future = tni_container_of(self, tn_write_future, base);
    tni_endpoint *endpoint = &future->stream->endpoint;
    int rc;

    if (!tni_budget_poll_enter(waker))
        return TN_PENDING;
    rc = tni_attempt_poll_begin(endpoint, TNI_WRITE, &future->in_flight);
    if (rc == 0 && future->size > 0)
        rc = write_parts(future, waker);
    if (rc != TN_PENDING)
        tni_attempt_poll_end(endpoint, TNI_WRITE, &future->in_flight, &future->waiting);
    return tni_budget_poll_leave(waker, rc);
}

static void write_drop(tn_future *self)
{
    tn_write_future *future = tni_container_of(self, tn_write_future, base);

    tni_attempt_poll_end(&future->stream->endpoint, TNI_WRITE, &future->in_flight, &future->waiting);
}

static void init_write(tn_write_future *future, tn_stream *stream, const void *buf, size_t size, bool all)
{
    static const tn_future_ops ops = {write_poll, write_drop, "socket"};

    *future = (tn_write_future){{&ops}, stream, buf, size, 0, all, false, false};
}

void tn_write_init(tn_write_future *future, tn_stream *stream, const void *buf, size_t size)
{
    init_write(future, stream, buf, size, false);
}

void tn_write_all_init(tn_write_future *future, tn_stream *stream, const void *buf, size_t size)
{
    init_write(future, stream, buf, size, true);
}
