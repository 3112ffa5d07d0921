/* SPDX-License-Identifier: MIT */
/* HTTP/1.1 of the admin server: reading a request, and writing its response. */
#include "admin/admin_http.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int tni_admin_http_read(tn_stream *stream, tni_admin_request *out)
{
    tni_admin_parsing parsing;
    char buffer[1024];
    int rc = 0;

    tni_admin_request_begin(&parsing, out);
    while (rc == 0) {
        ssize_t n = tn_read(stream, buffer, sizeof buffer);
        if (n <= 0)
            return n == 0 ? TN_ECONNRESET : (int)n;
        rc = tni_admin_request_feed(&parsing, buffer, (size_t)n);
    }
    return rc == 1 ? 0 : rc;
}

/* --- Writing ------------------------------------------------------------------------------------------------------------- */

static void write_out(tni_admin_response *self, const char *text, size_t size)
{
    if (self->rc == 0)
        self->rc = tn_write_all(self->stream, text, size);
}

void tni_admin_http_begin(tni_admin_response *self, tn_stream *stream, const tni_admin_request *request, const char *status,
                          const char *type)
{
    char head[512];
    int length = snprintf(head, sizeof head,
                          "HTTP/1.1 %s\r\nContent-Type: %s\r\nAllow: GET, HEAD\r\nCache-Control: no-store\r\n"
                          "X-Content-Type-Options: nosniff\r\n"
                          "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n"
                          "Connection: close\r\n%s\r\n",
                          status, type, request->is_old ? "" : "Transfer-Encoding: chunked\r\n");

    self->stream = stream;
    self->head_only = request->is_head;
    self->in_chunks = !request->is_old;
    self->rc = 0;
    self->used = 0;
    write_out(self, head, (size_t)length);
}

static void flush(tni_admin_response *self)
{
    char size[24];

    if (self->used > 0 && !self->head_only && self->in_chunks) {
        write_out(self, size, (size_t)snprintf(size, sizeof size, "%zx\r\n", self->used));
        memcpy(self->buffer + self->used, "\r\n", 2);
        write_out(self, self->buffer, self->used + 2);
    } else if (self->used > 0 && !self->head_only) {
        write_out(self, self->buffer, self->used);
    }
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
    if (!self->head_only && self->in_chunks)
        write_out(self, "0\r\n\r\n", 5);
}
