/* SPDX-License-Identifier: MIT */
/* The head of a request to the admin server. */
#include "admin/admin_request.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* A head may have this many bytes. */
#define HEAD_MAX 16384

/* --- Parsing ---------------------------------------------------------------------------------------------------------------- */

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
    tni_admin_parsing *r = parser->data;

    append(r->request->target, sizeof r->request->target, &r->target_length, at, length);
    return 0;
}

static int on_header_field(http_parser *parser, const char *at, size_t length)
{
    tni_admin_parsing *r = parser->data;

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
    tni_admin_parsing *r = parser->data;
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
    tni_admin_parsing *r = parser->data;

    r->request->is_get = parser->method == HTTP_GET;
    r->request->is_head = parser->method == HTTP_HEAD;
    r->request->is_old = parser->http_major < 1 || (parser->http_major == 1 && parser->http_minor < 1);
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

void tni_admin_request_begin(tni_admin_parsing *self, tni_admin_request *out)
{
    memset(self, 0, sizeof *self);
    memset(out, 0, sizeof *out);
    self->request = out;
    http_parser_init(&self->parser, HTTP_REQUEST);
    self->parser.data = self;
}

int tni_admin_request_feed(tni_admin_parsing *self, const char *bytes, size_t size)
{
    self->total += size;
    (void)http_parser_execute(&self->parser, &settings, bytes, size);
    if (self->done)
        return 1;
    return HTTP_PARSER_ERRNO(&self->parser) == HPE_OK && self->total <= HEAD_MAX ? 0 : -EBADMSG;
}

/* --- The target ---------------------------------------------------------------------------------------------------------- */

bool tni_admin_request_is_path(const tni_admin_request *request, const char *path)
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

bool tni_admin_request_has(const tni_admin_request *request, const char *name)
{
    return value_of(request, name) != NULL;
}

bool tni_admin_request_parameter(const tni_admin_request *request, const char *name, char *out, size_t size)
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

bool tni_admin_request_is_local(const tni_admin_request *request)
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
