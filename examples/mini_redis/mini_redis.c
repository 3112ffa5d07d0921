/* SPDX-License-Identifier: MIT */
/* mini_redis: a server that Redis clients talk to: PING ECHO GET SET (EX, NX) DEL INCR EXPIRE TTL MGET PUBLISH SUBSCRIBE
 * INFO COMMAND.
 *
 * It shows a fiber per connection with tn_reader and tn_writer. Requests are read in straight-line code, and those that have
 * arrived together are replied to together: the replies are sent when the reader needs more bytes than it has. An idle
 * connection holds no buffer. Values and messages are counted slices, which connections share.
 *
 * Run:   mini_redis --port 6379
 * See:   redis-cli set greeting hello; redis-cli get greeting
 */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "server.h"
#include "session.h"

enum { SHOWN_MAX = 128 }; /* bytes of a request in an error */

static atomic_ulong connections, clients;
static command_fn ping, echo, info, command;

/* `arity`: arguments with the name; if negative, so many or more. */
static const struct command {
    const char *name;
    int arity;
    command_fn *run;
    bool while_subscribed;
} commands[] = {
    {"get", 2, get, false},          {"set", -3, set, false},
    {"incr", 2, incr, false},        {"ping", -1, ping, true},
    {"mget", -2, mget, false},       {"del", -2, del, false},
    {"expire", 3, expire, false},    {"ttl", 2, ttl, false},
    {"publish", 3, publish, false},  {"subscribe", -2, subscribe, true},
    {"echo", 2, echo, false},        {"info", -1, info, false},
    {"command", -1, command, false},
};

enum { COMMANDS = sizeof commands / sizeof *commands };

static void wrong_count(session *s, const char *name)
{
    resp_error(&s->out, "wrong number of arguments for '%s' command", name);
}

static void ping(session *s)
{
    if (s->count > 2)
        return wrong_count(s, "ping");
    if (s->queue != NULL)
        resp_text(&s->out, "*2\r\n$4\r\npong\r\n");
    if (s->count == 2 || s->queue != NULL)
        resp_bulk(&s->out, s->count == 2 ? s->arg[1] : (tn_bytes){"", 0});
    else
        resp_text(&s->out, "+PONG\r\n");
}

static void echo(session *s)
{
    resp_bulk(&s->out, s->arg[1]);
}

static void info(session *s)
{
    char text[256];
    int size = snprintf(
        text, sizeof text,
        "# Server\r\nredis_version:7.0.0\r\nredis_mode:standalone\r\n\r\n# Clients\r\nconnected_clients:%lu\r\n\r\n"
        "# Stats\r\ntotal_connections_received:%lu\r\n\r\n# Keyspace\r\ndb0:keys=%zu\r\n",
        atomic_load(&clients), atomic_load(&connections), keys_count());

    resp_bulk(&s->out, (tn_bytes){text, (size_t)size});
}

/* COMMAND; for clients that ask for the documentation of commands, there is none. */
static void command(session *s)
{
    resp_head(&s->out, '*', s->count == 1 ? COMMANDS : 0);
    for (const struct command *each = commands; s->count == 1 && each < commands + COMMANDS; each++) {
        resp_text(&s->out, "*6\r\n");
        resp_bulk(&s->out, (tn_bytes){each->name, strlen(each->name)});
        resp_head(&s->out, ':', each->arity);
        resp_text(&s->out, "*0\r\n:0\r\n:0\r\n:0\r\n");
    }
}

static void unknown(session *s)
{
    GString *rest = g_string_new(NULL);
    tn_bytes name = s->arg[0];

    for (size_t i = 1; i < s->count && rest->len < SHOWN_MAX; i++)
        g_string_append_printf(rest, "'%.*s' ", (int)MIN(s->arg[i].size, SHOWN_MAX - rest->len), s->arg[i].data);
    resp_error(&s->out, "unknown command '%.*s', with args beginning with: %s", (int)MIN(name.size, SHOWN_MAX), name.data,
               rest->str);
    g_string_free(rest, true);
}

static void run(session *s)
{
    const struct command *found = commands;

    while (found < commands + COMMANDS && !resp_is(s->arg[0], found->name))
        found++;
    if (found == commands + COMMANDS)
        unknown(s);
    else if (found->arity < 0 ? s->count < (size_t)-found->arity : s->count != (size_t)found->arity)
        wrong_count(s, found->name);
    else if (s->queue != NULL && !found->while_subscribed)
        resp_error(&s->out,
                   "Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
                   found->name);
    else
        found->run(s);
}

/* --- Connections --------------------------------------------------------------------------------------------------------- */

/* The reader has no complete request, so the replies are sent before the client is waited for. Between two requests a connection
 * may be idle for ever, but not when the server is to end. */
static int before_read(session *s)
{
    int rc = resp_flush(&s->out);

    if (rc == 0 && s->queue != NULL)
        return pubsub_wait(s);
    while (rc == 0 && s->between) {
        rc = tn_session_wait_request(s->self);
        s->between = rc != 0;
        if (rc == TN_ESHUTDOWN && !tn_session_is_ending(s->self))
            rc = 0;
    }
    return rc;
}

/* Below the reader. */
static ssize_t read_more(void *arg, void *buf, size_t size)
{
    session *s = arg;
    int rc = before_read(s);

    return rc != 0 ? rc : tn_read(s->stream, buf, size);
}

static int wait_for_more(void *arg, tn_direction direction)
{
    session *s = arg;
    bool waits = s->between || s->queue != NULL;
    int rc = before_read(s);

    return rc != 0 || waits ? rc : tn_io_wait(tn_stream_io(s->stream), direction);
}

/* Returns when the connection or the server ends, or the client breaks the protocol. */
static void serve(session *s)
{
    resp_request request;
    tn_bytes ahead;

    resp_init(&request);
    do {
        s->between = tn_reader_peek(&s->reader, &ahead, 0) == 1 && ahead.size == 0;
        if (resp_read(&request, &s->reader) != 1)
            break;
        s->arg = (const tn_bytes *)(void *)request.arguments->data;
        s->count = request.arguments->len;
        if (s->count > 0)
            run(s);
    } while (s->out.rc == 0);
    if (request.error != NULL)
        resp_error(&s->out, "Protocol error: %s", request.error);
    pubsub_leave(s);
    (void)resp_flush(&s->out);
    resp_free(&request);
}

static void session_main(tn_session *self, tn_stream *conn, void *arg)
{
    static const tn_io_ops input = {.size = sizeof input, .read = read_more, .wait = wait_for_more};
    session s = {.self = self, .stream = conn};

    (void)arg;
    if (atomic_fetch_add(&connections, 1) == 0)
        (void)tn_spawn(NULL, keys_sweep, NULL); /* once; without it, only what is asked for expires */
    atomic_fetch_add(&clients, 1);
    (void)tn_reader_init(&s.reader, (tn_io){&input, &s}, NULL);
    (void)tn_writer_init(&s.out.writer, tn_stream_io(conn), NULL);
    serve(&s);
    tn_writer_fini(&s.out.writer);
    tn_reader_fini(&s.reader);
    atomic_fetch_sub(&clients, 1);
}

int main(int argc, char **argv)
{
    server_options options = {.name = "mini_redis", .summary = "a server for Redis clients", .port = 6379};

    pubsub_init();
    keys_init();
    return server_main(&options, argc, argv, "", session_main, NULL);
}
