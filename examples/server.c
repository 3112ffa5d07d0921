/* SPDX-License-Identifier: MIT */
/* Listening and accepting, once for all servers of the library; see server.h. */
#include "server.h"

#include <stdio.h>

typedef struct server {
    const server_options *options;
    const char *scheme;
    tn_entry_fn session;
} server;

static void *serve(void *arg)
{
    const server *self = arg;
    const char *name = self->options->name;
    char address[TN_ADDRESS_SIZE];
    tn_listener *listener;
    tn_stream *conn;

    snprintf(address, sizeof address, "127.0.0.1:%u", self->options->port);
    int rc = tn_tcp_listen(&listener, address, NULL);
    if (rc < 0) {
        server_cannot_listen(self->options, tn_strerror(rc));
        return NULL;
    }
    tn_listener_address(listener, address, sizeof address);
    fprintf(stderr, "%s: listening on %s%s%s\n", name, self->scheme, address, *self->scheme != '\0' ? "/" : "");

    while ((rc = tn_accept(listener, &conn)) == 0) {  /* waits while the file table is full */
        if (tn_spawn(NULL, self->session, conn) != 0) /* NULL: it is never joined */
            tn_stream_close(conn);                    /* after a failed spawn the connection is still ours */
    }
    fprintf(stderr, "%s: accept: %s\n", name, tn_strerror(rc));
    tn_listener_close(listener);
    return NULL;
}

int server_main(server_options *options, int argc, char **argv, const char *scheme, tn_entry_fn session)
{
    server self = {options, scheme, session};
    tn_options runtime = tn_options_default();

    options->workers_option = "workers";
    options->workers_help = "run on N worker threads";
    server_options_parse(options, argc, argv);
    runtime.workers = options->workers;
    int rc = tn_run(serve, &self, &runtime);
    if (rc < 0)
        fprintf(stderr, "%s: cannot start: %s\n", options->name, tn_strerror(rc));
    return 1; /* it runs until it is killed */
}
