/* SPDX-License-Identifier: MIT */
/* HTTP/1.1 for the example servers; see http.h. */
#include "http.h"

#include <string.h>

/* --- Answers: fixed texts ----------------------------------------------------------------------------------------------- */

enum status { OK, NOT_FOUND, NOT_ALLOWED, BAD_REQUEST, TOO_LARGE };

/* What the answer says about the connection. HTTP/1.1 keeps it when nothing is said, an HTTP/1.0 client wants to read it. */
enum connection { KEEP, CLOSE, KEEP_SAID };

struct answer {
    const char *text;
    uint16_t head_size; /* without the body: the answer to HEAD */
    uint16_t size;
};

#define HEAD(status, length, more) "HTTP/1.1 " status "\r\nContent-Type: text/plain\r\nContent-Length: " length "\r\n" more "\r\n"
/* clang-format off */
#define ANSWER(head, body) {head body, sizeof(head) - 1, sizeof(head body) - 1}
/* clang-format on */
#define ANSWERS(status, length, more, body) \
    { \
        [KEEP] = ANSWER(HEAD(status, length, more), body), \
        [CLOSE] = ANSWER(HEAD(status, length, more "Connection: close\r\n"), body), \
        [KEEP_SAID] = ANSWER(HEAD(status, length, more "Connection: keep-alive\r\n"), body), \
    }

static const struct answer answers[][3] = {
    [OK] = ANSWERS("200 OK", "14", "", "Hello, world!\n"),
    [NOT_FOUND] = ANSWERS("404 Not Found", "10", "", "Not found\n"),
    [NOT_ALLOWED] = ANSWERS("405 Method Not Allowed", "19", "Allow: GET, HEAD\r\n", "Method not allowed\n"),
    [BAD_REQUEST] = ANSWERS("400 Bad Request", "12", "", "Bad request\n"),
    [TOO_LARGE] = ANSWERS("431 Request Header Fields Too Large", "17", "", "Headers too long\n"),
};

/* A queued answer is one byte, so that a connection needs no buffer for what it is about to say. */
#define PACK(status, connection, head_only) ((uint8_t)((status) << 3 | (connection) << 1 | (head_only)))

static size_t answer_text(uint8_t packed, const char **text)
{
    const struct answer *answer = &answers[packed >> 3][packed >> 1 & 3];

    *text = answer->text;
    return packed & 1 ? answer->head_size : answer->size;
}

static void queue_answer(http_session *session, enum status status, enum connection connection)
{
    bool head_only = session->parser.method == HTTP_HEAD && !session->failed;

    session->answers[session->count++] = PACK(status, connection, head_only);
    session->closing = connection == CLOSE;
}

/* --- The request target, as it comes in pieces -------------------------------------------------------------------------- */

/* "/" and "/?query" are the page; so is "http://host/", which a server has to understand too. */
enum target {
    TARGET_START,
    TARGET_SCHEME,    /* http: */
    TARGET_SLASH,     /* http:/ */
    TARGET_AUTHORITY, /* http://host, which means its root */
    TARGET_ROOT,
    TARGET_QUERY,
    TARGET_OTHER,
};

static enum target next_target(enum target target, char c)
{
    switch (target) {
    case TARGET_START:
        return c == '/' ? TARGET_ROOT : c == '*' ? TARGET_OTHER : TARGET_SCHEME;
    case TARGET_SCHEME:
        return c == '/' ? TARGET_SLASH : TARGET_SCHEME;
    case TARGET_SLASH:
        return TARGET_AUTHORITY;
    case TARGET_AUTHORITY:
        return c == '/' ? TARGET_ROOT : c == '?' ? TARGET_QUERY : TARGET_AUTHORITY;
    case TARGET_ROOT:
        return c == '?' || c == '#' ? TARGET_QUERY : TARGET_OTHER;
    case TARGET_QUERY:
    case TARGET_OTHER:
        break;
    }
    return target;
}

/* --- What the parser calls ---------------------------------------------------------------------------------------------- */

static int on_message_begin(http_parser *parser)
{
    http_session *session = parser->data;

    session->target = TARGET_START;
    return 0;
}

static int on_url(http_parser *parser, const char *at, size_t length)
{
    http_session *session = parser->data;
    enum target target = session->target;

    for (size_t i = 0; i < length && target < TARGET_QUERY; i++)
        target = next_target(target, at[i]);
    session->target = (uint8_t)target;
    return 0;
}

static int on_message_complete(http_parser *parser)
{
    http_session *session = parser->data;
    bool found = session->target >= TARGET_AUTHORITY && session->target <= TARGET_QUERY;
    enum status status = found ? OK : NOT_FOUND;
    enum connection connection = KEEP;

    if (parser->method != HTTP_GET && parser->method != HTTP_HEAD)
        status = NOT_ALLOWED;
    if (!http_should_keep_alive(parser))
        connection = CLOSE;
    else if (parser->http_major < 1 || (parser->http_major == 1 && parser->http_minor < 1))
        connection = KEEP_SAID;
    queue_answer(session, status, connection);
    if (session->closing || session->count == HTTP_ANSWERS_MAX)
        http_parser_pause(parser, 1);
    return 0;
}

static const http_parser_settings settings = {
    .on_message_begin = on_message_begin,
    .on_url = on_url,
    .on_message_complete = on_message_complete,
};

/* --- The session -------------------------------------------------------------------------------------------------------- */

void http_session_init(http_session *session)
{
    memset(session, 0, sizeof *session);
    http_parser_init(&session->parser, HTTP_REQUEST);
    session->parser.data = session;
}

size_t http_feed(http_session *session, const char *data, size_t size)
{
    size_t used = 0;

    /* More than one turn only when the client asks for another protocol: the parser stops there, we go on in this one. */
    while (used < size && !session->closing && session->count < HTTP_ANSWERS_MAX) {
        used += http_parser_execute(&session->parser, &settings, data + used, size - used);
        enum http_errno error = HTTP_PARSER_ERRNO(&session->parser);
        if (error == HPE_PAUSED) {
            http_parser_pause(&session->parser, 0);
        } else if (error != HPE_OK) {
            session->failed = true;
            queue_answer(session, error == HPE_HEADER_OVERFLOW ? TOO_LARGE : BAD_REQUEST, CLOSE);
        }
    }
    return used;
}

size_t http_take(http_session *session, char *out)
{
    size_t size = 0;

    for (size_t i = 0; i < session->count; i++) {
        const char *text;
        size_t length = answer_text(session->answers[i], &text);

        memcpy(out + size, text, length);
        size += length;
    }
    session->count = 0;
    return size;
}

/* --- Straight-line servers ---------------------------------------------------------------------------------------------- */

/* Apart from write_answers, and never inlined there: the stack of a connection whose requests come one by one stays small. */
__attribute__((noinline)) static int write_many(http_session *session, const http_io *io, void *conn)
{
    char out[HTTP_OUTPUT_MAX];
    size_t size = http_take(session, out);

    return io->write_all(conn, out, size);
}

static int write_answers(http_session *session, const http_io *io, void *conn)
{
    const char *text;

    if (session->count == 0)
        return 0;
    if (session->count > 1)
        return write_many(session, io, conn);
    session->count = 0;
    size_t size = answer_text(session->answers[0], &text);
    return io->write_all(conn, text, size);
}

/* Closing a socket with unread bytes resets the connection, and the client may lose the last answer: read what is on the way,
 * within reason. */
static void drain(const http_io *io, void *conn, char *buf)
{
    size_t left = 64 * HTTP_READ_SIZE;
    ssize_t n;

    io->shutdown_write(conn);
    while (left > 0 && (n = io->read(conn, buf, HTTP_READ_SIZE)) > 0)
        left -= (size_t)n < left ? (size_t)n : left;
}

/* Everything from the first byte on. What is used at each request lies together, at the low end, next to the frames of what is
 * called from here: a connection that waits has left the processor's caches, and each of its lines has to come back. */
__attribute__((noinline)) static void serve_requests(const http_io *io, void *conn)
{
    struct {
        http_session session;
        char buf[HTTP_READ_SIZE];
    } c;
    ssize_t n;

    http_session_init(&c.session);
    while (!c.session.closing && (n = io->read(conn, c.buf, sizeof c.buf)) > 0) {
        size_t used = 0;
        while (used < (size_t)n && !c.session.closing) {
            used += http_feed(&c.session, c.buf + used, (size_t)n - used);
            if (write_answers(&c.session, io, conn) < 0)
                return;
        }
        if (c.session.closing && (c.session.failed || used < (size_t)n))
            drain(io, conn, c.buf);
    }
}

void http_serve(const http_io *io, void *conn)
{
    /* Outside of serve_requests, so that a client that has not sent anything yet holds no buffer. Later it would spare nothing:
     * stack that has been used once stays. */
    if (io->wait_readable == NULL || io->wait_readable(conn) == 0)
        serve_requests(io, conn);
}
