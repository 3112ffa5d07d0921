/* SPDX-License-Identifier: MIT */
/* TCP connection attempts, one after the other or beside each other, as one future. Its poll starts the attempts that are due,
 * and asks each one that is in flight. No other task knows a stream before it is connected, so an attempt that fails just closes
 * it. */
#include "connect/staggered.h"

#include <string.h>

#include "endpoint/attempt.h"
#include "time/deadline.h"

/* So many attempts are in flight at most; one more waits until one fails. */
#define IN_FLIGHT_MAX 16

typedef struct {
    tn_stream *stream; /* its writer is in flight; NULL: none */
    size_t address;
} attempt;

typedef struct {
    tn_future base;
    tn_runtime *runtime;
    const tni_address *addresses;
    size_t count;
    size_t next;      /* the first address that has not been tried */
    uint64_t next_ns; /* when it is tried, if an attempt is in flight then */
    attempt attempts[IN_FLIGHT_MAX];
    unsigned in_flight;
    int error;     /* of the attempt that failed first; 0: none has */
    size_t failed; /* its address */
    tn_stream *connected;
} staggered;

/* --- One attempt ------------------------------------------------------------------------------------------------------------ */

/* The kernel may choose the port that the socket connects to as its own port. The socket is then connected to itself, and would
 * keep the port from the server that is about to start there. */
static bool is_connected_to_itself(int fd)
{
    tni_address local = {.length = sizeof local.socket};
    tni_address peer = {.length = sizeof peer.socket};

    return tni_os_local_address(fd, &local.socket.any, &local.length) == 0 &&
           tni_os_peer_address(fd, &peer.socket.any, &peer.length) == 0 && tni_address_equal(&local, &peer);
}

/* Returns 0: connected; TN_EAGAIN: not yet, the readiness report had another cause; or the error of the connection. */
static ssize_t run_is_connected(tni_endpoint *endpoint, void *arg)
{
    tni_address peer = {.length = sizeof peer.socket};
    int rc = tni_os_take_error(endpoint->fd);

    (void)arg;
    if (rc != 0)
        return rc;
    rc = tni_os_peer_address(endpoint->fd, &peer.socket.any, &peer.length);
    return rc == TN_ENOTCONN ? TN_EAGAIN : rc;
}

/* In flight. Returns 0: connected; TN_PENDING: the waker is registered; or the error of the connection. */
static int poll_connected(tni_endpoint *endpoint, tn_waker *waker)
{
    tni_attempt is_connected = {run_is_connected, NULL, 0};
    int rc;

    do {
        rc = tni_endpoint_poll(endpoint, TNI_WRITE, waker);
        if (rc == 0)
            rc = (int)tni_attempt_once(endpoint, TNI_WRITE, &is_connected);
    } while (rc == TN_EAGAIN);
    return rc;
}

static void close_attempt(staggered *self, attempt *one)
{
    tni_endpoint_unregister(&one->stream->endpoint, TNI_WRITE);
    tni_endpoint_end(&one->stream->endpoint, TNI_OPERATION_WRITE);
    tn_stream_close(one->stream);
    one->stream = NULL;
    self->in_flight--;
}

/* --- All of them ------------------------------------------------------------------------------------------------------------ */

/* The next attempt begins at once. */
static void record_failure(staggered *self, size_t address, int error)
{
    self->next_ns = 0;
    if (self->error != 0)
        return;
    self->error = error;
    self->failed = address;
}

static attempt *find_unused(staggered *self)
{
    attempt *one = self->attempts;

    while (one->stream != NULL)
        one++;
    return one;
}

/* Starts an attempt. It may be connected at once; its poll finds out. */
static void start_next(staggered *self)
{
    size_t address = self->next++;
    const tni_address *to = &self->addresses[address];
    attempt *one = find_unused(self);
    int rc = tni_stream_open_socket(self->runtime, &one->stream, to->socket.any.sa_family);

    if (rc == 0) {
        one->address = address;
        self->in_flight++;
        rc = tni_endpoint_begin(&one->stream->endpoint, TNI_OPERATION_WRITE);
        tni_assert(rc == 0, "a stream is used before it is connected");
        rc = tni_os_connect(one->stream->endpoint.fd, &to->socket.any, to->length);
        if (rc != 0 && rc != -EINPROGRESS)
            close_attempt(self, one);
        else
            rc = 0;
    }
    self->next_ns = tni_clock_ns() + TNI_STAGGERED_PAUSE_NS;
    if (rc != 0)
        record_failure(self, address, rc);
}

static void start_due(staggered *self)
{
    while (self->next < self->count && self->in_flight < IN_FLIGHT_MAX &&
           (self->in_flight == 0 || tni_clock_ns() >= self->next_ns))
        start_next(self);
}

/* Returns 0: one is connected; TN_PENDING: all that are left wait; TN_EAGAIN: one has failed, so another one may be due. */
static int poll_attempts(staggered *self, tn_waker *waker)
{
    int result = TN_PENDING;

    for (attempt *one = self->attempts; one < self->attempts + IN_FLIGHT_MAX; one++) {
        int rc = one->stream != NULL ? poll_connected(&one->stream->endpoint, waker) : TN_PENDING;
        if (rc == TN_PENDING)
            continue;
        if (rc == 0 && is_connected_to_itself(one->stream->endpoint.fd))
            rc = TN_ECONNREFUSED;
        if (rc == 0) {
            tni_endpoint_end(&one->stream->endpoint, TNI_OPERATION_WRITE);
            self->connected = one->stream;
            one->stream = NULL;
            self->in_flight--;
            return 0;
        }
        close_attempt(self, one);
        record_failure(self, one->address, rc);
        result = TN_EAGAIN;
    }
    return result;
}

static int staggered_poll(tn_future *future, tn_waker *waker)
{
    staggered *self = tni_container_of(future, staggered, base);
    int rc;

    do {
        start_due(self);
        rc = poll_attempts(self, waker);
    } while (rc == TN_EAGAIN);
    if (rc == 0)
        return 0;
    if (self->in_flight == 0)
        return self->error;
    if (self->next < self->count && self->in_flight < IN_FLIGHT_MAX)
        tni_deadline_ask(waker, self->next_ns);
    return TN_PENDING;
}

static void staggered_drop(tn_future *future)
{
    staggered *self = tni_container_of(future, staggered, base);

    for (attempt *one = self->attempts; one < self->attempts + IN_FLIGHT_MAX; one++)
        if (one->stream != NULL)
            close_attempt(self, one);
}

static void staggered_abandon(tn_future *future, tn_task *task)
{
    (void)task;
    staggered_drop(future);
}

static const tn_future_ops staggered_ops = {staggered_poll, staggered_drop, "connection", staggered_abandon};

int tni_staggered_connect(tn_runtime *runtime, tn_stream **out, const tni_address *addresses, size_t count, size_t *failed)
{
    staggered self = {.base = {&staggered_ops}, .runtime = runtime, .addresses = addresses, .count = count};
    int rc = tn_await(&self.base);

    if (rc == 0)
        *out = self.connected;
    else if (rc == self.error && self.in_flight == 0 && self.next == count)
        *failed = self.failed;
    return rc;
}

void tni_staggered_order(tni_address *addresses, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        size_t other = i;
        tni_address moved;

        while (other < count && addresses[other].socket.any.sa_family == addresses[i - 1].socket.any.sa_family)
            other++;
        if (other == i || other == count)
            continue;
        moved = addresses[other];
        memmove(&addresses[i + 1], &addresses[i], (other - i) * sizeof *addresses);
        addresses[i] = moved;
    }
}
