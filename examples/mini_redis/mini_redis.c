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
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "server.h"
#include "session.h"
#include "table.h"

enum { SHOWN_MAX = 128 }; /* bytes of a request in an error */

static atomic_ulong connections, clients;
static command_fn ping, info, command;

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

static bool is(tn_bytes text, const char *word)
{
    return text.size == strlen(word) && strncasecmp(text.data, word, text.size) == 0;
}

static int wrong_count(session *s, const char *name)
{
    return tn_writer_printf(&s->writer, "-ERR wrong number of arguments for '%s' command\r\n", name);
}

static int ping(session *s, const tn_bytes *arg, size_t count)
{
    if (count > 2)
        return wrong_count(s, "ping");
    if (s->queue == NULL)
        return count == 2 ? resp_bulk(&s->writer, arg[1]) : resp_text(&s->writer, "+PONG");
    int rc = resp_text(&s->writer, "*2\r\n$4\r\npong");
    return rc != 0 ? rc : resp_bulk(&s->writer, count == 2 ? arg[1] : (tn_bytes){"", 0});
}

static int info(session *s, const tn_bytes *arg, size_t count)
{
    char text[256];
    int size = snprintf(
        text, sizeof text,
        "# Server\r\nredis_version:7.0.0\r\nredis_mode:standalone\r\n\r\n# Clients\r\nconnected_clients:%lu\r\n\r\n"
        "# Stats\r\ntotal_connections_received:%lu\r\n\r\n# Keyspace\r\ndb0:keys=%zu\r\n",
        atomic_load(&clients), atomic_load(&connections), table_count());

    (void)arg, (void)count;
    return resp_bulk(&s->writer, (tn_bytes){text, (size_t)size});
}

/* COMMAND; for clients that ask for the documentation of commands, there is none. */
static int command(session *s, const tn_bytes *arg, size_t count)
{
    int rc = resp_head(&s->writer, '*', count == 1 ? COMMANDS : 0);

    (void)arg;
    if (count > 1)
        return rc;
    for (int i = 0; i < COMMANDS && rc == 0; i++)
        rc = tn_writer_printf(&s->writer, "*6\r\n$%zu\r\n%s\r\n:%d\r\n*0\r\n:0\r\n:0\r\n:0\r\n", strlen(commands[i].name),
                              commands[i].name, commands[i].arity);
    return rc;
}

/* Appends to an error what a client has sent, which may not end the line. */
static size_t append(char *text, size_t used, size_t most, tn_bytes bytes)
{
    for (size_t i = 0; i < bytes.size && i < most; i++)
        text[used++] = bytes.data[i] == '\r' || bytes.data[i] == '\n' ? ' ' : bytes.data[i];
    return used;
}

static int unknown(session *s, const tn_bytes *arg, size_t count)
{
    char name[SHOWN_MAX], rest[2 * SHOWN_MAX];
    size_t name_size = append(name, 0, SHOWN_MAX, arg[0]), used = 0;

    for (size_t i = 1; i < count && used < SHOWN_MAX; i++) {
        size_t left = SHOWN_MAX - used;
        rest[used++] = '\'';
        used = append(rest, used, left, arg[i]);
        rest[used++] = '\'';
        rest[used++] = ' ';
    }
    return tn_writer_printf(&s->writer, "-ERR unknown command '%.*s', with args beginning with: %.*s\r\n", (int)name_size, name,
                            (int)used, rest);
}

static int run(session *s, const tn_bytes *arg, size_t count)
{
    const struct command *found = commands;

    while (found < commands + COMMANDS && !is(arg[0], found->name))
        found++;
    if (found == commands + COMMANDS)
        return unknown(s, arg, count);
    if (found->arity < 0 ? count < (size_t)-found->arity : count != (size_t)found->arity)
        return wrong_count(s, found->name);
    if (s->queue != NULL && !found->while_subscribed)
        return tn_writer_printf(&s->writer,
                                "-ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are "
                                "allowed in this context\r\n",
                                found->name);
    return found->run(s, arg, count);
}

/* --- Connections --------------------------------------------------------------------------------------------------------- */

/* The reader has no complete request, so the replies are sent before the client is waited for. Between two requests a connection
 * may be idle for ever, but not when the server is to end. */
static int before_read(session *s)
{
    int rc = tn_writer_flush(&s->writer);

    while (rc == 0 && s->between) {
        rc = tn_session_wait_request(s->self);
        if (rc == 0)
            s->between = false;
        else if (rc == TN_ESHUTDOWN && !tn_session_is_ending(s->self))
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
    bool waits = s->between; /* for the first byte */
    int rc = before_read(s);

    return rc != 0 || waits ? rc : tn_io_wait(tn_stream_io(s->stream), direction);
}

static int next_request(session *s)
{
    tn_bytes ahead;

    s->between = tn_reader_peek(&s->reader, &ahead, 0) == 1 && ahead.size == 0;
    return resp_read(&s->request, &s->reader);
}

/* Returns when the connection or the server ends, or the client breaks the protocol. */
static void serve(session *s)
{
    int rc = 0;

    while (rc == 0 && next_request(s) == 1) {
        if (s->request.count > 0)
            rc = run(s, s->request.arguments, s->request.count);
    }
    if (s->request.error != NULL)
        (void)tn_writer_printf(&s->writer, "-ERR Protocol error: %s\r\n", s->request.error);
    (void)tn_writer_flush(&s->writer);
}

static void session_main(tn_session *self, tn_stream *conn, void *arg)
{
    static const tn_io_ops input = {.size = sizeof input, .read = read_more, .wait = wait_for_more};
    session s = {.self = self, .stream = conn};

    (void)arg;
    if (atomic_fetch_add(&connections, 1) == 0)
        (void)tn_spawn(NULL, table_sweep, NULL); /* once; without it, only what is asked for expires */
    atomic_fetch_add(&clients, 1);
    resp_init(&s.request);
    (void)tn_reader_init(&s.reader, (tn_io){&input, &s}, NULL);
    (void)tn_writer_init(&s.writer, tn_stream_io(conn), NULL);
    serve(&s);
    pubsub_leave(&s);
    tn_writer_fini(&s.writer);
    tn_reader_fini(&s.reader);
    resp_free(&s.request);
    atomic_fetch_sub(&clients, 1);
}

int main(int argc, char **argv)
{
    server_options options = {.name = "mini_redis", .summary = "a server for Redis clients", .port = 6379};

    pubsub_init();
    table_init();
    return server_main(&options, argc, argv, "", session_main, NULL);
}
