/* SPDX-License-Identifier: MIT */
/* http_server: an HTTP server with one fiber per connection.
 *
 * It shows how a server is written: one task accepts connections (server.c), and each connection has its own task, which reads
 * and writes in straight-line code. A few worker threads run all tasks. An idle connection costs only memory.
 *
 * Run:   http_server --port 8080
 * See:   http_server: listening on http://127.0.0.1:8080/
 *        and with `curl -i http://127.0.0.1:8080/` the page "Hello, world!"
 */
#include <tn.h>

#include "http.h"
#include "server.h"

static ssize_t stream_read(void *conn, void *buf, size_t size)
{
    return tn_read(conn, buf, size);
}

static int stream_write_all(void *conn, const void *buf, size_t size)
{
    return tn_write_all(conn, buf, size);
}

static void stream_shutdown_write(void *conn)
{
    tn_stream_shutdown_write(conn); /* fails only if the client is already gone */
}

static int stream_wait_readable(void *conn)
{
    return tn_wait_readable(conn);
}

static const http_io stream_io = {
    .read = stream_read,
    .write_all = stream_write_all,
    .shutdown_write = stream_shutdown_write,
    .wait_readable = stream_wait_readable, /* NULL would mean: wait in the read, with a buffer allocated */
};

/* One connection. Its errors affect no other connection. */
static void *session(void *conn)
{
    http_serve(&stream_io, conn);
    tn_stream_close(conn);
    return NULL;
}

int main(int argc, char **argv)
{
    server_options options = {
        .name = "http_server",
        .summary = "an HTTP server with one fiber per connection",
        .port = 8080,
    };

    return server_main(&options, argc, argv, "http://", session);
}
