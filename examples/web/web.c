/* SPDX-License-Identifier: MIT */
/* Requests of HTTP/1.1 over any byte stream; see web.h. */
#include "web.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HEAD_MAX = 512 };

static web_conn *conn_of(http_parser *parser)
{
    return parser->data;
}

static int on_url(http_parser *parser, const char *data, size_t length)
{
    web_request *request = conn_of(parser)->request;
    size_t used = strlen(request->target);

    if (length >= sizeof request->target - used) {
        request->too_long = true;
        return 0;
    }
    memcpy(request->target + used, data, length);
    return 0;
}

/* A header is complete. Those that no server here uses are skipped, however long they are. */
static void take_header(web_conn *conn)
{
    web_request *request = conn->request;
    struct {
        const char *name;
        char *to;
    } texts[] = {
        {"range", request->range},
        {"if-none-match", request->if_none_match},
        {"if-modified-since", request->if_modified_since},
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(conn->field, texts[i].name) == 0)
            memcpy(texts[i].to, conn->value, sizeof conn->value);
    }
    if (strcmp(conn->field, "accept-encoding") == 0)
        request->accepts_gzip = strstr(conn->value, "gzip") != NULL;
    if (strcmp(conn->field, "expect") == 0)
        conn->expects_continue = strcasecmp(conn->value, "100-continue") == 0;
    conn->field_size = conn->value_size = 0;
    memset(conn->field, 0, sizeof conn->field);
    memset(conn->value, 0, sizeof conn->value);
}

static int on_field(http_parser *parser, const char *data, size_t length)
{
    web_conn *conn = conn_of(parser);

    if (conn->in_value)
        take_header(conn);
    conn->in_value = false;
    for (size_t i = 0; i < length && conn->field_size < sizeof conn->field - 1; i++)
        conn->field[conn->field_size++] = (char)(data[i] | (data[i] >= 'A' && data[i] <= 'Z' ? 0x20 : 0));
    return 0;
}

static int on_value(http_parser *parser, const char *data, size_t length)
{
    web_conn *conn = conn_of(parser);
    size_t space = sizeof conn->value - 1 - conn->value_size;

    conn->in_value = true;
    if (length > space)
        length = space;
    memcpy(conn->value + conn->value_size, data, length);
    conn->value_size += length;
    return 0;
}

static int on_head(http_parser *parser)
{
    web_conn *conn = conn_of(parser);

    if (conn->in_value)
        take_header(conn);
    conn->in_value = false;
    conn->head_complete = true;
    conn->request->method = parser->method;
    return 0;
}

static int on_body(http_parser *parser, const char *data, size_t length)
{
    web_request *request = conn_of(parser)->request;

    if (request->body == NULL)
        request->body = malloc(WEB_BODY_MAX);
    if (request->body == NULL || length > WEB_BODY_MAX - request->body_size) {
        request->too_long = true;
        return 0;
    }
    memcpy(request->body + request->body_size, data, length);
    request->body_size += length;
    return 0;
}

static int on_complete(http_parser *parser)
{
    web_conn *conn = conn_of(parser);

    conn->complete = true;
    conn->request->keep_alive = http_should_keep_alive(parser) != 0 && parser->upgrade == 0;
    http_parser_pause(parser, 1); /* the next request stays in the buffer */
    return 0;
}

static const http_parser_settings callbacks = {
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_head,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

void web_init(web_conn *conn, tn_io io)
{
    memset(conn, 0, sizeof *conn);
    conn->io = io;
    http_parser_init(&conn->parser, HTTP_REQUEST);
    conn->parser.data = conn;
}

bool web_has_input(const web_conn *conn)
{
    return conn->begin < conn->end;
}

/* Parses what is in the buffer. */
static int parse(web_conn *conn)
{
    bool had_head = conn->head_complete;

    conn->begin += http_parser_execute(&conn->parser, &callbacks, conn->buf + conn->begin, conn->end - conn->begin);
    if (conn->complete) {
        http_parser_pause(&conn->parser, 0);
        return 0;
    }
    if (HTTP_PARSER_ERRNO(&conn->parser) != HPE_OK)
        return TN_EBADMSG;
    if (conn->head_complete && !had_head && conn->expects_continue && conn->request->body_size == 0)
        return tn_io_write_all(conn->io, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    return 0;
}

int web_read(web_conn *conn, web_request *request)
{
    bool begun = conn->begin < conn->end;
    int rc = 0;

    memset(request, 0, sizeof *request);
    conn->request = request;
    conn->complete = conn->head_complete = conn->expects_continue = conn->in_value = false;
    for (;;) {
        if (conn->begin < conn->end)
            rc = parse(conn);
        if (rc != 0)
            return rc;
        if (conn->complete)
            return 1;
        ssize_t n = tn_io_read(conn->io, conn->buf, sizeof conn->buf);
        if (n <= 0)
            return n < 0 ? (int)n : begun ? TN_EBADMSG : 0;
        begun = true;
        conn->begin = 0;
        conn->end = (size_t)n;
    }
}

void web_request_fini(web_request *request)
{
    free(request->body);
    request->body = NULL;
}

int web_respond(web_conn *conn, const web_request *request, const char *status, const char *more, const void *body, size_t size)
{
    char head[HEAD_MAX];
    int length = snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s%s\r\n", status, size, more,
                          request->keep_alive ? "" : "Connection: close\r\n");
    struct iovec iov[2] = {{head, (size_t)length}, {(void *)(uintptr_t)body, body != NULL ? size : 0}};

    return tn_io_writev_all(conn->io, iov, 2);
}

bool web_number(const char **text, uint64_t *out)
{
    size_t digits = strspn(*text, "0123456789");

    if (digits == 0 || digits > 18)
        return false;
    *out = strtoull(*text, NULL, 10);
    *text += digits;
    return true;
}
