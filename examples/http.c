/* SPDX-License-Identifier: MIT */
/* HTTP/1.1 for the example servers; see http.h. */
#include "http.h"

#include <string.h>

/* --- Responses: fixed texts --------------------------------------------------------------------------------------------- */

enum status { OK, NOT_FOUND, NOT_ALLOWED, BAD_REQUEST, TOO_LARGE };

/* What the response states about the connection. By default HTTP/1.1 keeps it; an HTTP/1.0 client needs a header for that. */
enum connection { KEEP, CLOSE, KEEP_ALIVE };

struct response {
    const char *text;
    uint16_t head_size; /* without the body: the response to HEAD */
    uint16_t size;
};

#define HEAD(status, length, more) "HTTP/1.1 " status "\r\nContent-Type: text/plain\r\nContent-Length: " length "\r\n" more "\r\n"
/* clang-format off */
#define RESPONSE(head, body) {head body, sizeof(head) - 1, sizeof(head body) - 1}
/* clang-format on */
#define RESPONSES(status, length, more, body) \
    { \
        [KEEP] = RESPONSE(HEAD(status, length, more), body), \
        [CLOSE] = RESPONSE(HEAD(status, length, more "Connection: close\r\n"), body), \
        [KEEP_ALIVE] = RESPONSE(HEAD(status, length, more "Connection: keep-alive\r\n"), body), \
    }

static const struct response responses[][3] = {
    [OK] = RESPONSES("200 OK", "14", "", "Hello, world!\n"),
    [NOT_FOUND] = RESPONSES("404 Not Found", "10", "", "Not found\n"),
    [NOT_ALLOWED] = RESPONSES("405 Method Not Allowed", "19", "Allow: GET, HEAD\r\n", "Method not allowed\n"),
    [BAD_REQUEST] = RESPONSES("400 Bad Request", "12", "", "Bad request\n"),
    [TOO_LARGE] = RESPONSES("431 Request Header Fields Too Large", "17", "", "Headers too long\n"),
};

/* A queued response is one byte, so that a connection needs no buffer for its output. */
#define PACK(status, connection, head_only) ((uint8_t)((status) << 3 | (connection) << 1 | (head_only)))

static size_t response_text(uint8_t packed, const char **text)
{
    const struct response *response = &responses[packed >> 3][packed >> 1 & 3];

    *text = response->text;
    return packed & 1 ? response->head_size : response->size;
}

static void queue_response(http_session *session, enum status status, enum connection connection)
{
    bool head_only = session->parser.method == HTTP_HEAD && !session->failed;

    session->responses[session->count++] = PACK(status, connection, head_only);
    session->closing = connection == CLOSE;
}

/* --- The request target, which arrives in pieces ------------------------------------------------------------------------ */

/* "/" and "/?query" name the page. So does "http://host/", a form that a server must also accept. */
enum target {
    TARGET_START,
    TARGET_SCHEME,    /* http: */
    TARGET_SLASH,     /* http:/ */
    TARGET_AUTHORITY, /* http://host, which names its root */
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

/* --- Callbacks of the parser -------------------------------------------------------------------------------------------- */

static int on_message_begin(http_parser *parser)
{
    http_session *session = parser->data;

    session->target = TARGET_START;
    session->in_request = true;
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
    session->in_request = false;
    if (!http_should_keep_alive(parser) || (session->is_ending != NULL && session->is_ending(session->conn)))
        connection = CLOSE;
    else if (parser->http_major < 1 || (parser->http_major == 1 && parser->http_minor < 1))
        connection = KEEP_ALIVE;
    queue_response(session, status, connection);
    if (session->closing || session->count == HTTP_RESPONSES_MAX)
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

    /* More than one iteration only if the client asks for another protocol: the parser stops there, and we keep this one. */
    while (used < size && !session->closing && session->count < HTTP_RESPONSES_MAX) {
        used += http_parser_execute(&session->parser, &settings, data + used, size - used);
        enum http_errno error = HTTP_PARSER_ERRNO(&session->parser);
        if (error == HPE_PAUSED) {
            http_parser_pause(&session->parser, 0);
        } else if (error != HPE_OK) {
            session->failed = true;
            queue_response(session, error == HPE_HEADER_OVERFLOW ? TOO_LARGE : BAD_REQUEST, CLOSE);
        }
    }
    return used;
}

size_t http_take(http_session *session, char *out)
{
    size_t size = 0;

    for (size_t i = 0; i < session->count; i++) {
        const char *text;
        size_t length = response_text(session->responses[i], &text);

        memcpy(out + size, text, length);
        size += length;
    }
    session->count = 0;
    return size;
}

/* --- Straight-line servers ---------------------------------------------------------------------------------------------- */

/* Not in write_responses, and never inlined there: so the stack stays small while requests arrive one by one. */
__attribute__((noinline)) static int write_many(http_session *session, const http_io *io, void *conn)
{
    char out[HTTP_OUTPUT_MAX];
    size_t size = http_take(session, out);

    return io->write_all(conn, out, size);
}

static int write_responses(http_session *session, const http_io *io, void *conn)
{
    const char *text;

    if (session->count == 0)
        return 0;
    if (session->count > 1)
        return write_many(session, io, conn);
    session->count = 0;
    size_t size = response_text(session->responses[0], &text);
    return io->write_all(conn, text, size);
}

/* Closing a socket with unread bytes resets the connection, and the client may lose the last response. So this reads what is
 * under way, up to a limit. */
static void drain(const http_io *io, void *conn, char *buf)
{
    size_t left = 64 * HTTP_READ_SIZE;
    ssize_t n;

    io->shutdown_write(conn);
    while (left > 0 && (n = io->read(conn, buf, HTTP_READ_SIZE)) > 0)
        left -= (size_t)n < left ? (size_t)n : left;
}

/* Reads more of a request, or the next one. Returns what a read does; 0: there is no request any more. */
static ssize_t read_more(const http_io *io, void *conn, const http_session *session, char *buf)
{
    if (io->wait_request != NULL && !session->in_request && io->wait_request(conn) != 0)
        return 0;
    return io->read(conn, buf, HTTP_READ_SIZE);
}

/* What each request uses is together at the low end of the frame, next to the frames of the functions that are called from here.
 * While a connection waits, its memory leaves the processor's caches, and each of its cache lines must be loaded again. */
void http_serve(const http_io *io, void *conn)
{
    struct {
        http_session session;
        char buf[HTTP_READ_SIZE];
    } c;
    ssize_t n;

    http_session_init(&c.session);
    c.session.is_ending = io->is_ending;
    c.session.conn = conn;
    while (!c.session.closing && (n = read_more(io, conn, &c.session, c.buf)) > 0) {
        size_t used = 0;
        while (used < (size_t)n && !c.session.closing) {
            used += http_feed(&c.session, c.buf + used, (size_t)n - used);
            if (write_responses(&c.session, io, conn) < 0)
                return;
        }
        if (io->shutdown_write != NULL && c.session.closing && (c.session.failed || used < (size_t)n))
            drain(io, conn, c.buf);
    }
}
