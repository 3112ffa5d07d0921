/* SPDX-License-Identifier: MIT */
/* chat_server: each line that a client sends goes to all clients. A slow client is informed of the lines it missed, and delays
 * no other client.
 *
 * It shows tn_broadcast. Each connection has two fibers: one reads lines and sends them to the channel, the other receives from
 * the channel and writes. A client that does not read blocks only its own writer, which falls behind. The channel keeps the
 * last lines, and counts those that a receiver missed.
 *
 * Run:   chat_server --port 7000
 * See:   chat_server: listening on 127.0.0.1:7000
 *        and with `socat - TCP:127.0.0.1:7000` in two terminals, each shows the lines of both: `[1] hello`
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tn.h>

#include "server_options.h"

enum { LINE_MAX_BYTES = 200, KEPT_LINES = 64 };

typedef struct line {
    unsigned size;
    char text[LINE_MAX_BYTES + 32]; /* with the number of its sender */
} line;

typedef struct client {
    tn_stream *conn;
    tn_broadcast *channel; /* a sender's reference */
    tn_broadcast_receiver receiver;
    unsigned number;
} client;

static int write_next(client *self)
{
    char text[64];
    uint64_t missed;
    line received;
    int rc = tn_broadcast_recv(&self->receiver, &received, &missed);

    if (rc == TN_EOVERFLOW) {
        int size = snprintf(text, sizeof text, "*** %llu lines missed\n", (unsigned long long)missed);
        return tn_write_all(self->conn, text, (size_t)size);
    }
    return rc != 0 ? rc : tn_write_all(self->conn, received.text, received.size);
}

static void *write_lines(void *arg)
{
    client *self = arg;

    while (write_next(self) == 0)
        ;
    return NULL; /* cancelled, or the client is gone: then its reader ends too */
}

static void send_line(client *self, const char *text, size_t size)
{
    line sent;

    sent.size = (unsigned)snprintf(sent.text, sizeof sent.text, "[%u] %.*s\n", self->number, (int)size, text);
    (void)tn_broadcast_send(self->channel, &sent);
}

/* Sends each line of the client to the channel. A line that is too long is sent in pieces. */
static void read_lines(client *self)
{
    char text[LINE_MAX_BYTES];
    size_t have = 0;
    ssize_t n;

    while ((n = tn_read(self->conn, text + have, sizeof text - have)) > 0) {
        char *end;
        have += (size_t)n;
        while ((end = memchr(text, '\n', have)) != NULL) {
            size_t size = (size_t)(end - text);
            send_line(self, text, size);
            have -= size + 1;
            memmove(text, end + 1, have);
        }
        if (have == sizeof text) {
            send_line(self, text, have);
            have = 0;
        }
    }
}

static void *session(void *arg)
{
    client *self = arg;
    tn_task *writer;

    tn_broadcast_subscribe(self->channel, &self->receiver);
    if (tn_spawn(&writer, write_lines, self) == 0) {
        read_lines(self);
        tn_cancel(writer); /* it waits for a line, or for a client that does not read */
        tn_join(writer, NULL);
    }
    tn_broadcast_unsubscribe(&self->receiver);
    tn_broadcast_release_sender(self->channel);
    tn_stream_close(self->conn);
    free(self);
    return NULL;
}

static void start_session(tn_broadcast *channel, tn_stream *conn)
{
    static unsigned clients; /* used only by the accepting task */
    client *self = malloc(sizeof *self);

    if (self == NULL) {
        tn_stream_close(conn);
        return;
    }
    *self = (client){.conn = conn, .channel = channel, .number = ++clients};
    tn_broadcast_retain_sender(channel);
    if (tn_spawn(NULL, session, self) != 0) {
        tn_broadcast_release_sender(channel);
        tn_stream_close(conn);
        free(self);
    }
}

static void *serve(void *arg)
{
    const server_options *options = arg;
    char address[TN_ADDRESS_SIZE];
    tn_broadcast *channel;
    tn_listener *listener;
    tn_stream *conn;

    snprintf(address, sizeof address, "127.0.0.1:%u", options->port);
    int rc = tn_tcp_listen(&listener, address, NULL);
    if (rc < 0) {
        server_cannot_listen(options, tn_strerror(rc));
        return NULL;
    }
    rc = tn_broadcast_create(&channel, sizeof(line), KEPT_LINES, NULL);
    if (rc < 0) {
        server_cannot_listen(options, tn_strerror(rc));
        return NULL;
    }
    tn_listener_address(listener, address, sizeof address);
    fprintf(stderr, "%s: listening on %s\n", options->name, address);
    while ((rc = tn_accept(listener, &conn)) == 0)
        start_session(channel, conn);
    fprintf(stderr, "%s: accept: %s\n", options->name, tn_strerror(rc));
    tn_broadcast_release_sender(channel);
    tn_listener_close(listener);
    return NULL;
}

int main(int argc, char **argv)
{
    server_options options = {
        .name = "chat_server",
        .summary = "each line that a client sends goes to all clients",
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
