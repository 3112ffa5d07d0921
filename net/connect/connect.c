/* SPDX-License-Identifier: MIT */
/* Connecting streams: tn_tcp_connect and tn_unix_connect. No other task knows a stream before it is connected, so an attempt
 * that fails just closes it. */
#include <string.h>

#include "endpoint/attempt.h"
#include "names/names.h"
#include "sched/runtime.h"
#include "scope/scope.h"
#include "stream/stream.h"

#define PAUSE_MIN_NS (1 * TN_MS)
#define PAUSE_MAX_NS (50 * TN_MS)

/* Returns 0: connected; TN_EAGAIN: not yet, the readiness report had another cause; or the error of the connection. */
static ssize_t run_is_connected(tni_endpoint *endpoint, void *arg)
{
    tni_address peer = {.length = sizeof peer.socket};
    int error;
    int rc = tni_os_get_option(endpoint->fd, SOL_SOCKET, SO_ERROR, &error);

    (void)arg;
    if (rc != 0)
        return rc;
    if (error != 0)
        return -error;
    rc = tni_os_peer_address(endpoint->fd, &peer.socket.any, &peer.length);
    return rc == TN_ENOTCONN ? TN_EAGAIN : rc;
}

static int wait_connected(tn_stream *stream)
{
    tni_attempt is_connected = {run_is_connected, NULL, 0};
    int rc = tni_endpoint_begin(&stream->endpoint, TNI_OPERATION_WRITE);

    if (rc != 0)
        return rc;
    rc = tni_endpoint_wait(&stream->endpoint, TNI_WRITE); /* it has just begun: no try before a report */
    if (rc == 0)
        rc = (int)tni_attempt_waiting(&stream->endpoint, TNI_WRITE, &is_connected);
    tni_endpoint_end(&stream->endpoint, TNI_OPERATION_WRITE);
    return rc;
}

/* A Unix listener with a full backlog refuses at once, and no event reports when a slot is free. So retry after a pause. */
static int connect_with_retries(int fd, const tni_address *address)
{
    uint64_t pause_ns = PAUSE_MIN_NS;

    for (;;) {
        int rc = tni_os_connect(fd, &address->socket.any, address->length);
        if (rc != TN_EAGAIN || address->socket.any.sa_family != AF_UNIX)
            return rc;
        rc = tn_sleep(pause_ns);
        if (rc != 0)
            return rc;
        pause_ns = pause_ns < PAUSE_MAX_NS / 2 ? pause_ns * 2 : PAUSE_MAX_NS;
    }
}

/* The kernel may choose the port that the socket connects to as its own port. The socket is then connected to itself, and would
 * keep the port from the server that is about to start there. */
static bool is_connected_to_itself(int fd)
{
    tni_address local = {.length = sizeof local.socket};
    tni_address peer = {.length = sizeof peer.socket};

    return tni_os_local_address(fd, &local.socket.any, &local.length) == 0 &&
           tni_os_peer_address(fd, &peer.socket.any, &peer.length) == 0 && tni_address_equal(&local, &peer);
}

static int open_socket(tn_runtime *runtime, tn_stream **out, int domain)
{
    bool tcp = domain != AF_UNIX;
    tn_stream *stream = tni_stream_alloc(runtime);
    int fd;

    if (stream == NULL)
        return TN_ENOMEM;
    fd = tni_os_socket(domain, SOCK_STREAM, 0);
    if (fd < 0) {
        tni_stream_free(runtime, stream);
        return fd;
    }
    if (tcp)
        (void)tni_os_set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* if it fails, writes are only slower */
    tni_stream_init(stream, runtime, fd, tcp);
    *out = stream;
    return 0;
}

/* A connection attempt. If the fiber is abandoned, the stream is closed. */
typedef struct {
    tn_scope scope;
    tn_stream *stream;
} attempt;

static void end_attempt(tn_scope *scope, bool abandoned)
{
    if (abandoned)
        tn_stream_close(tni_container_of(scope, attempt, scope)->stream);
}

static int connect_stream(tn_stream *stream, const tni_address *address)
{
    attempt self = {.stream = stream};
    int rc;

    tn_scope_enter(&self.scope, TN_NEVER);
    tni_scope_on_end(&self.scope, end_attempt);
    rc = connect_with_retries(stream->endpoint.fd, address);
    if (rc == -EINPROGRESS)
        rc = wait_connected(stream);
    tn_scope_leave(&self.scope);
    return rc;
}

static int connect_to(tn_runtime *runtime, tn_stream **out, const tni_address *address)
{
    tn_stream *stream;
    int rc = tni_budget_enter();

    if (rc == 0)
        rc = open_socket(runtime, &stream, address->socket.any.sa_family);
    if (rc != 0)
        return rc;
    rc = connect_stream(stream, address);
    if (rc == 0 && stream->endpoint.tcp && is_connected_to_itself(stream->endpoint.fd))
        rc = TN_ECONNREFUSED;
    if (rc != 0) {
        tn_stream_close(stream);
        return rc;
    }
    *out = stream;
    return 0;
}

/* The addresses of a name. They are also freed if the fiber is abandoned. */
typedef struct {
    tn_scope scope;
    tn_names names;
} candidates;

static void free_candidates(tn_scope *scope, bool abandoned)
{
    (void)abandoned;
    tn_names_fini(&tni_container_of(scope, candidates, scope)->names);
}

/* Tries the addresses one after the other. */
static int connect_to_name(tn_runtime *runtime, tn_stream **out, const char *host, const char *port)
{
    candidates self;
    int rc = tn_resolve(runtime, host, port, &self.names);

    if (rc != 0)
        return rc;
    tn_scope_enter(&self.scope, TN_NEVER);
    tni_scope_on_end(&self.scope, free_candidates);
    for (size_t i = 0; i < self.names.count; i++) {
        tni_address address;
        rc = tni_address_parse_tcp(&address, self.names.text[i], TNI_TO_CONNECT, &runtime->log);
        if (rc == 0)
            rc = connect_to(runtime, out, &address);
        if (rc == 0 || rc == TN_ECANCELED)
            break;
    }
    tn_scope_leave(&self.scope);
    return rc;
}

int tn_tcp_connect(tn_runtime *runtime, tn_stream **out, const char *address)
{
    char host[TNI_HOST_BYTES];
    const char *port;
    tni_address parsed;
    int rc;

    runtime = tni_endpoint_runtime(runtime, "tn_tcp_connect");
    if (runtime == NULL)
        return TN_EINVAL;
    if (tni_address_is_name(address, host, sizeof host, &port))
        return connect_to_name(runtime, out, host, port);
    rc = tni_address_parse_tcp(&parsed, address, TNI_TO_CONNECT, &runtime->log);
    return rc != 0 ? rc : connect_to(runtime, out, &parsed);
}

int tn_unix_connect(tn_runtime *runtime, tn_stream **out, const char *path)
{
    tni_address parsed;
    int rc;

    runtime = tni_endpoint_runtime(runtime, "tn_unix_connect");
    if (runtime == NULL)
        return TN_EINVAL;
    rc = tni_address_parse_unix(&parsed, path, &runtime->log);
    return rc != 0 ? rc : connect_to(runtime, out, &parsed);
}
