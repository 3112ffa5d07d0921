/* SPDX-License-Identifier: MIT */
/* http_server: an HTTP server with one fiber per connection.
 *
 * It shows how a server is written: tn_serve accepts connections (server.c), and each connection has its own task, which reads
 * and writes in straight-line code. A few worker threads run all tasks. An idle connection costs only memory. When the server is
 * to end, no client sees an error: each response says that it is the last one, and a connection is closed after it.
 *
 * Run:   http_server --port 8080
 * See:   http_server: listening on http://127.0.0.1:8080/
 *        and with `curl -i http://127.0.0.1:8080/` the page "Hello, world!"
 */
#include <tn.h>

#include "http.h"
#include "server.h"

typedef struct connection {
    tn_session *session;
    tn_stream *stream;
} connection;

static ssize_t connection_read(void *conn, void *buf, size_t size)
{
    return tn_read(((connection *)conn)->stream, buf, size);
}

static int connection_write_all(void *conn, const void *buf, size_t size)
{
    return tn_write_all(((connection *)conn)->stream, buf, size);
}

static int connection_wait_request(void *conn)
{
    return tn_session_wait_request(((connection *)conn)->session);
}

/* While the server drains, each response has the header "Connection: close". */
static bool connection_is_ending(void *conn)
{
    return tn_session_is_ending(((connection *)conn)->session);
}

static const http_io connection_io = {
    .read = connection_read,
    .write_all = connection_write_all,
    .wait_request = connection_wait_request,
    .is_ending = connection_is_ending,
};

/* One connection. Its errors affect no other connection. It is closed by tn_serve. */
static void handle(tn_session *session, tn_stream *stream, void *arg)
{
    connection conn = {session, stream};

    (void)arg;
    http_serve(&connection_io, &conn);
}

int main(int argc, char **argv)
{
    server_options options = {
        .name = "http_server",
        .summary = "an HTTP server with one fiber per connection",
        .port = 8080,
    };

    return server_main(&options, argc, argv, "http://", handle, NULL);
}
