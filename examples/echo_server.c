/* SPDX-License-Identifier: MIT */
/* echo_server: sends back all that it receives, one fiber per connection.
 *
 * It shows a complete server in a few lines: accept, spawn, read, write.
 *
 * Run:   echo_server --port 7000
 * See:   echo_server: listening on 127.0.0.1:7000
 *        and each line typed into `nc 127.0.0.1 7000` comes back
 */
#include <stdio.h>
#include <tn.h>

#include "server_options.h"

/* One connection, until its end or an error. The error affects no other connection. */
static void *session(void *arg)
{
    tn_stream *conn = arg;
    char buf[4096];
    ssize_t n;

    while ((n = tn_read(conn, buf, sizeof buf)) > 0 && tn_write_all(conn, buf, (size_t)n) == 0)
        ;
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
    fprintf(stderr, "%s: listening on %s\n", options->name, address);

    while ((rc = tn_accept(listener, &conn)) == 0) { /* waits while the file table is full */
        if (tn_spawn(NULL, session, conn) != 0)      /* NULL: it is never joined */
            tn_stream_close(conn);                   /* after a failed spawn the connection is still ours */
    }
    fprintf(stderr, "%s: accept: %s\n", options->name, tn_strerror(rc));
    tn_listener_close(listener);
    return NULL;
}

int main(int argc, char **argv)
{
    server_options options = {
        .name = "echo_server",
        .summary = "sends back all that it receives, one fiber per connection",
        .workers_option = "workers",
        .workers_help = "run on N worker threads",
        .port = 7000,
    };
    tn_options runtime = tn_options_default();

    server_options_parse(&options, argc, argv);
    runtime.workers = options.workers;
    int rc = tn_run(serve, &options, &runtime);
    if (rc < 0)
        fprintf(stderr, "%s: cannot start: %s\n", options.name, tn_strerror(rc));
    return 1; /* it runs until it is killed */
}
