/* SPDX-License-Identifier: MIT */
/* http_server: an HTTP server with one fiber per connection.
 *
 * It shows how a server is written: one task accepts connections, and each connection has its own task, which reads and writes
 * in straight-line code. A few worker threads run all tasks. An idle connection costs only memory.
 *
 * Run:   http_server --port 8080
 * See:   http_server: listening on http://127.0.0.1:8080/
 *        and with `curl -i http://127.0.0.1:8080/` the page "Hello, world!"
 */
#include <stdio.h>
#include <tn.h>

#include "http.h"
#include "server_options.h"

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

static void *serve(void *arg)
{
    const server_options *options = arg;
    char address[TN_ADDRESS_SIZE];
    tn_listener *listener;
    tn_stream *conn;

    snprintf(address, sizeof address, "127.0.0.1:%u", options->port);
    int rc = tn_tcp_listen(&listener, address, NULL);
    if (rc < 0) {
        server_cannot_listen(options, tn_strerror(rc));
        return NULL;
    }
    tn_listener_address(listener, address, sizeof address);
    fprintf(stderr, "%s: listening on http://%s/\n", options->name, address);

    while ((rc = tn_accept(listener, &conn)) == 0) {
        if (tn_spawn(NULL, session, conn) != 0) /* NULL: it is never joined */
            tn_stream_close(conn);              /* after a failed spawn the connection is still ours */
    }
    fprintf(stderr, "%s: accept: %s\n", options->name, tn_strerror(rc));
    tn_listener_close(listener);
    return NULL;
}

int main(int argc, char **argv)
{
    server_options options = {
        .name = "http_server",
        .summary = "an HTTP server with one fiber per connection",
        .workers_option = "workers",
        .workers_help = "run on N worker threads",
        .port = 8080,
    };
    tn_options runtime = tn_options_default();

    server_options_parse(&options, argc, argv);
    runtime.workers = options.workers;
    int rc = tn_run(serve, &options, &runtime);
    if (rc < 0)
        fprintf(stderr, "%s: cannot start: %s\n", options.name, tn_strerror(rc));
    return 1; /* it runs until it is killed */
}
