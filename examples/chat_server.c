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
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <tn.h>

#include "server.h"

enum { LINE_MAX_BYTES = 200, KEPT_LINES = 64 };

typedef struct line {
    unsigned size;
    char text[LINE_MAX_BYTES + 32]; /* with the number of its sender */
} line;

typedef struct client {
    tn_stream *conn;
    tn_broadcast_receiver receiver;
    unsigned number;
} client;

static tn_broadcast *channel;
static atomic_uint clients; /* how many there have been */

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
    (void)tn_broadcast_send(channel, &sent);
}

/* Sends each line of the client to the channel. A line that is too long is sent in pieces. */
static void read_lines(client *self, tn_session *session)
{
    char text[LINE_MAX_BYTES];
    size_t have = 0;
    ssize_t n;

    while (tn_session_wait_request(session) == 0 && (n = tn_read(self->conn, text + have, sizeof text - have)) > 0) {
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

static void chat(tn_session *session, tn_stream *conn, void *arg)
{
    client self = {.conn = conn, .number = atomic_fetch_add(&clients, 1) + 1};
    tn_task *writer;

    (void)arg;
    tn_broadcast_subscribe(channel, &self.receiver);
    if (tn_spawn(&writer, write_lines, &self) == 0) {
        tn_scope shield; /* the writer uses this frame, so it is joined also when the server ends all */
        read_lines(&self, session);
        tn_cancel(writer); /* it waits for a line, or for a client that does not read */
        tn_shield_enter(&shield, TN_NEVER);
        tn_join(writer, NULL);
        tn_scope_leave(&shield);
    }
    tn_broadcast_unsubscribe(&self.receiver);
}

int main(int argc, char **argv)
{
    server_options options = {
        .name = "chat_server",
        .summary = "each line that a client sends goes to all clients",
        .port = 7000,
    };
    int rc = tn_broadcast_create(&channel, sizeof(line), KEPT_LINES, NULL);

    if (rc < 0) {
        fprintf(stderr, "%s: cannot make the channel: %s\n", options.name, tn_strerror(rc));
        return 1;
    }
    rc = server_main(&options, argc, argv, "", chat, NULL);
    tn_broadcast_release_sender(channel);
    return rc;
}
