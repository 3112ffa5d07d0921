/* SPDX-License-Identifier: MIT */
/* HTTP/1.1 of the admin server. */
#include "admin/admin_http.h"

#include <http_parser.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- Reading ------------------------------------------------------------------------------------------------------------- */

/* A head may have this many bytes. */
#define HEAD_MAX 16384

typedef struct {
    http_parser parser;
    tni_admin_request *request;
    size_t target_length;
    size_t host_length;
    char field[8]; /* the beginning of the present header's name */
    size_t field_length;
    bool in_value;
    bool done;
} reading;

static void append(char *text, size_t size, size_t *length, const char *at, size_t more)
{
    if (*length + more < size) {
        memcpy(text + *length, at, more);
        text[*length + more] = '\0';
    } else {
        text[0] = '\0'; /* too long: as if it were not there */
    }
    *length += more;
}

static int on_url(http_parser *parser, const char *at, size_t length)
{
    reading *r = parser->data;

    append(r->request->target, sizeof r->request->target, &r->target_length, at, length);
    return 0;
}

static int on_header_field(http_parser *parser, const char *at, size_t length)
{
    reading *r = parser->data;

    if (r->in_value)
        r->field_length = 0;
    r->in_value = false;
    for (size_t i = 0; i < length && r->field_length + i < sizeof r->field; i++)
        r->field[r->field_length + i] = at[i];
    r->field_length += length;
    return 0;
}

static int on_header_value(http_parser *parser, const char *at, size_t length)
{
    reading *r = parser->data;
    bool begins = !r->in_value;

    r->in_value = true;
    if (r->field_length != 4 || strncasecmp(r->field, "host", 4) != 0)
        return 0;
    r->request->hosts += begins;
    append(r->request->host, sizeof r->request->host, &r->host_length, at, length);
    return 0;
}

/* The body, if there is one, is not read: the connection is closed behind the response. */
static int on_headers_complete(http_parser *parser)
{
    reading *r = parser->data;

    r->request->is_get = parser->method == HTTP_GET;
    r->request->is_head = parser->method == HTTP_HEAD;
    r->done = true;
    http_parser_pause(parser, 1);
    return 0;
}

static const http_parser_settings settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
};

int tni_admin_http_read(tn_stream *stream, tni_admin_request *out)
{
    reading r = {.request = out};
    char buffer[1024];
    size_t total = 0;

    memset(out, 0, sizeof *out);
    http_parser_init(&r.parser, HTTP_REQUEST);
    r.parser.data = &r;
    while (!r.done) {
        ssize_t n = tn_read(stream, buffer, sizeof buffer);
        if (n <= 0)
            return n == 0 ? 1 : (int)n;
        total += (size_t)n;
        (void)http_parser_execute(&r.parser, &settings, buffer, (size_t)n);
        if (!r.done && (HTTP_PARSER_ERRNO(&r.parser) != HPE_OK || total > HEAD_MAX))
            return TN_EBADMSG;
    }
    return 0;
}

/* --- Writing ------------------------------------------------------------------------------------------------------------- */

static void write_out(tni_admin_response *self, const char *text, size_t size)
{
    if (self->rc == 0)
        self->rc = tn_write_all(self->stream, text, size);
}

void tni_admin_http_begin(tni_admin_response *self, tn_stream *stream, bool head_only, const char *status, const char *type)
{
    char head[512];
    int length = snprintf(head, sizeof head,
                          "HTTP/1.1 %s\r\nContent-Type: %s\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
                          "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n"
                          "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
                          status, type);

    self->stream = stream;
    self->head_only = head_only;
    self->rc = 0;
    self->used = 0;
    write_out(self, head, (size_t)length);
}

static void flush(tni_admin_response *self)
{
    char size[24];

    if (self->used == 0 || self->head_only) {
        self->used = 0;
        return;
    }
    write_out(self, size, (size_t)snprintf(size, sizeof size, "%zx\r\n", self->used));
    memcpy(self->buffer + self->used, "\r\n", 2);
    write_out(self, self->buffer, self->used + 2);
    self->used = 0;
}

void tni_admin_http_print(tni_admin_response *self, const char *format, ...)
{
    size_t space = sizeof self->buffer - 2 - self->used;
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(self->buffer + self->used, space, format, args); /* NOLINT(clang-analyzer-valist.Uninitialized) */
    va_end(args);
    if ((size_t)length >= space) {
        flush(self);
        space = sizeof self->buffer - 2;
        va_start(args, format);
        length = vsnprintf(self->buffer, space, format, args); /* NOLINT(clang-analyzer-valist.Uninitialized) */
        va_end(args);
    }
    self->used += (size_t)length < space ? (size_t)length : space - 1;
}

void tni_admin_http_end(tni_admin_response *self)
{
    flush(self);
    if (!self->head_only)
        write_out(self, "0\r\n\r\n", 5);
}

/* --- The target ---------------------------------------------------------------------------------------------------------- */

bool tni_admin_http_is_path(const tni_admin_request *request, const char *path)
{
    size_t length = strlen(path);

    return strncmp(request->target, path, length) == 0 && (request->target[length] == '\0' || request->target[length] == '?');
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes one character at `at`, and moves behind it. */
static char decoded(const char **at)
{
    char c = *(*at)++;

    if (c == '+')
        return ' ';
    if (c == '%' && digit_of((*at)[0]) >= 0 && digit_of((*at)[1]) >= 0) {
        c = (char)(digit_of((*at)[0]) * 16 + digit_of((*at)[1]));
        *at += 2;
    }
    return c;
}

/* The value of a parameter, as sent; NULL: there is none. */
static const char *value_of(const tni_admin_request *request, const char *name)
{
    size_t length = strlen(name);
    const char *at = strchr(request->target, '?');

    while (at != NULL && !(strncmp(at + 1, name, length) == 0 && at[1 + length] == '='))
        at = strchr(at + 1, '&');
    return at != NULL ? at + 1 + length + 1 : NULL;
}

bool tni_admin_http_has(const tni_admin_request *request, const char *name)
{
    return value_of(request, name) != NULL;
}

bool tni_admin_http_parameter(const tni_admin_request *request, const char *name, char *out, size_t size)
{
    const char *at = value_of(request, name);

    if (at == NULL)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (*at == '\0' || *at == '&' || *at == '#') {
            out[i] = '\0';
            return true;
        }
        out[i] = decoded(&at);
    }
    out[size - 1] = '\0';
    return false;
}

/* Whether `rest` of a host is nothing, or a port. */
static bool is_port(const char *rest)
{
    return *rest == '\0' || (*rest == ':' && strspn(rest + 1, "0123456789") == strlen(rest + 1));
}

bool tni_admin_http_is_local(const tni_admin_request *request)
{
    static const char *const names[] = {"localhost", "[::1]"};
    const char *host = request->host;

    if (request->hosts != 1)
        return false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strncasecmp(host, names[i], strlen(names[i])) == 0 && is_port(host + strlen(names[i])))
            return true;
    /* Any address that begins with 127. A name of digits and dots alone is none of the DNS. */
    return strncmp(host, "127.", 4) == 0 && is_port(host + strspn(host, "0123456789."));
}
