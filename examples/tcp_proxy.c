/* SPDX-License-Identifier: MIT */
/* tcp_proxy: passes each connection on to another server, TCP or Unix.
 *
 * It shows tn_copy_both: both directions at once, half-closes passed on, and an end when a connection has been idle for too long.
 * An idle connection holds no buffer.
 *
 * Run:   tcp_proxy 127.0.0.1:8000 127.0.0.1:8080          port 0: any free one
 *        tcp_proxy --idle 60 127.0.0.1:8000 /run/some.socket
 * See:   tcp_proxy: listening on 127.0.0.1:8000
 *        and with `curl -i http://127.0.0.1:8000/` what the server at port 8080 sends
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tn.h>

enum { WORKERS_MAX = 1024, IDLE_MAX_S = 1000000000 };

static const char *listen_address;
static const char *target;
static uint64_t idle_ns; /* 0: no limit */

static bool is_unix(const char *text)
{
    return text[0] == '@' || strchr(text, '/') != NULL;
}

/* One connection. Its errors affect no other connection. */
static void *session(void *arg)
{
    tn_stream *client = arg;
    tn_copy_options options = tn_copy_options_default();
    tn_stream *server;
    tn_scope end;
    int rc = is_unix(target) ? tn_unix_connect(NULL, &server, target) : tn_tcp_connect(NULL, &server, target);

    if (rc == 0) {
        options.idle_ns = idle_ns;
        (void)tn_copy_both(tn_stream_io(client), tn_stream_io(server), &options, NULL);
        tn_stream_close(server);
    } else {
        (void)fprintf(stderr, "tcp_proxy: %s: %s\n", target, tn_strerror(rc));
    }
    /* To close a socket with unread bytes resets the connection, and the client may lose the end of the reply. */
    tn_scope_enter_for(&end, 5 * TN_S);
    (void)tn_stream_finish(client);
    tn_scope_leave(&end);
    return NULL;
}

static void *serve(void *arg)
{
    char address[TN_ADDRESS_SIZE];
    tn_listener *listener;
    tn_stream *client;
    int rc = is_unix(listen_address) ? tn_unix_listen(&listener, listen_address, NULL)
                                     : tn_tcp_listen(&listener, listen_address, NULL);

    (void)arg;
    if (rc != 0)
        return NULL; /* the log has said why */
    (void)tn_listener_address(listener, address, sizeof address);
    (void)fprintf(stderr, "tcp_proxy: listening on %s\n", address);
    while (tn_accept(listener, &client) == 0)     /* waits while the file table is full */
        if (tn_spawn(NULL, session, client) != 0) /* NULL: it is never joined */
            tn_stream_close(client);
    tn_listener_close(listener);
    return NULL;
}

/* An option and its number. Returns whether `text` is a number from 1 to `max`. */
static bool parse_number(const char *text, long max, long *out)
{
    char *end;

    *out = strtol(text, &end, 10);
    return end != text && *end == '\0' && *out >= 1 && *out <= max;
}

static bool parse(int argc, char **argv, tn_options *options)
{
    long number;
    int next = 1;

    for (; next + 1 < argc && strncmp(argv[next], "--", 2) == 0; next += 2) {
        if (strcmp(argv[next], "--workers") == 0 && parse_number(argv[next + 1], WORKERS_MAX, &number))
            options->workers = (unsigned)number;
        else if (strcmp(argv[next], "--idle") == 0 && parse_number(argv[next + 1], IDLE_MAX_S, &number))
            idle_ns = (uint64_t)number * TN_S;
        else
            return false;
    }
    if (argc - next != 2)
        return false;
    listen_address = argv[next];
    target = argv[next + 1];
    return true;
}

int main(int argc, char **argv)
{
    tn_options options = tn_options_default();
    int rc;

    if (!parse(argc, argv, &options)) {
        (void)fprintf(stderr, "usage: tcp_proxy [--workers N] [--idle SECONDS] LISTEN-ADDRESS TARGET-ADDRESS\n");
        return 2;
    }
    rc = tn_run(serve, NULL, &options);
    if (rc < 0)
        (void)fprintf(stderr, "tcp_proxy: cannot start: %s\n", tn_strerror(rc));
    return 1; /* it runs until it is killed */
}
