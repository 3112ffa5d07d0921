/* SPDX-License-Identifier: MIT */
/* chat_server: what one says, all hear; who listens too slowly is told what was missed, and holds nobody up.
 *
 * It shows tn_broadcast: each connection has a fiber that reads lines and sends them to all, and one that receives from all and
 * writes. A client that does not read blocks only its own writer, which falls behind; the channel keeps the last lines and
 * counts the others.
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
    char text[LINE_MAX_BYTES + 32]; /* with the speaker's number */
} line;

typedef struct guest {
    tn_stream *conn;
    tn_broadcast *room; /* a sender's end */
    tn_broadcast_receiver ears;
    unsigned number;
} guest;

static int tell(guest *me)
{
    char text[64];
    uint64_t missed;
    line heard;
    int rc = tn_broadcast_recv(&me->ears, &heard, &missed);

    if (rc == TN_EOVERFLOW) {
        int size = snprintf(text, sizeof text, "*** %llu lines missed\n", (unsigned long long)missed);
        return tn_write_all(me->conn, text, (size_t)size);
    }
    return rc != 0 ? rc : tn_write_all(me->conn, heard.text, heard.size);
}

static void *write_what_is_said(void *arg)
{
    guest *me = arg;

    while (tell(me) == 0)
        ;
    return NULL; /* cancelled, or the client is gone: then its reader sees it too */
}

static void say(guest *me, const char *text, size_t size)
{
    line spoken;

    spoken.size = (unsigned)snprintf(spoken.text, sizeof spoken.text, "[%u] %.*s\n", me->number, (int)size, text);
    (void)tn_broadcast_send(me->room, &spoken);
}

/* Says each line of the client's; a longer one is said in pieces. */
static void listen_to(guest *me)
{
    char text[LINE_MAX_BYTES];
    size_t have = 0;
    ssize_t n;

    while ((n = tn_read(me->conn, text + have, sizeof text - have)) > 0) {
        char *end;
        have += (size_t)n;
        while ((end = memchr(text, '\n', have)) != NULL) {
            size_t size = (size_t)(end - text);
            say(me, text, size);
            have -= size + 1;
            memmove(text, end + 1, have);
        }
        if (have == sizeof text) {
            say(me, text, have);
            have = 0;
        }
    }
}

static void *session(void *arg)
{
    guest *me = arg;
    tn_task *writer;

    tn_broadcast_subscribe(me->room, &me->ears);
    if (tn_spawn(&writer, write_what_is_said, me) == 0) {
        listen_to(me);
        tn_cancel(writer); /* it waits for a line, or for a client that does not read */
        tn_join(writer, NULL);
    }
    tn_broadcast_unsubscribe(&me->ears);
    tn_broadcast_release_sender(me->room);
    tn_stream_close(me->conn);
    free(me);
    return NULL;
}

static void welcome(tn_broadcast *room, tn_stream *conn)
{
    static unsigned guests; /* the accepting task's alone */
    guest *one = malloc(sizeof *one);

    if (one == NULL) {
        tn_stream_close(conn);
        return;
    }
    *one = (guest){.conn = conn, .room = room, .number = ++guests};
    tn_broadcast_retain_sender(room);
    if (tn_spawn(NULL, session, one) != 0) {
        tn_broadcast_release_sender(room);
        tn_stream_close(conn);
        free(one);
    }
}

static void *serve(void *arg)
{
    const server_options *options = arg;
    char address[TN_ADDRESS_SIZE];
    tn_broadcast *room;
    tn_listener *listener;
    tn_stream *conn;

    snprintf(address, sizeof address, "127.0.0.1:%u", options->port);
    int rc = tn_tcp_listen(&listener, address, NULL);
    if (rc < 0) {
        server_cannot_listen(options, tn_strerror(rc));
        return NULL;
    }
    rc = tn_broadcast_create(&room, sizeof(line), KEPT_LINES, NULL);
    if (rc < 0) {
        server_cannot_listen(options, tn_strerror(rc));
        return NULL;
    }
    tn_listener_address(listener, address, sizeof address);
    fprintf(stderr, "%s: listening on %s\n", options->name, address);
    while ((rc = tn_accept(listener, &conn)) == 0)
        welcome(room, conn);
    fprintf(stderr, "%s: accept: %s\n", options->name, tn_strerror(rc));
    tn_broadcast_release_sender(room);
    tn_listener_close(listener);
    return NULL;
}

int main(int argc, char **argv)
{
    server_options options = {
        .name = "chat_server",
        .summary = "what one says, all hear",
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
    return 1; /* it serves until it is killed */
}
