/* SPDX-License-Identifier: MIT */
/* The connections of stock_server: reading requests, writing responses, each under its deadline; see stock.h. */
#include "stock.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 64

typedef struct {
    tn_stream *conn;
    char bytes[LINE_MAX_BYTES];
    size_t count;
} input;

void stock_init(stock *self, unsigned count, int (*fetch)(unsigned count))
{
    tn_mutex_init(&self->lock);
    self->left = count;
    self->fetch = fetch;
}

void stock_fini(stock *self)
{
    tn_mutex_fini(&self->lock);
}

/* Reads more bytes. Returns 0, or -1: the end, an error, or a line that is too long. */
static int read_more(input *in)
{
    ssize_t n = in->count < sizeof in->bytes ? tn_read(in->conn, in->bytes + in->count, sizeof in->bytes - in->count) : 0;

    if (n <= 0)
        return -1;
    in->count += (size_t)n;
    return 0;
}

/* Reads a line without its end into `line`, of LINE_MAX_BYTES. */
static int read_line(input *in, char *line)
{
    char *end;
    size_t length;

    while ((end = memchr(in->bytes, '\n', in->count)) == NULL)
        if (read_more(in) != 0)
            return -1;
    length = (size_t)(end - in->bytes);
    memcpy(line, in->bytes, length);
    line[length] = '\0';
    in->count -= length + 1;
    memmove(in->bytes, end + 1, in->count);
    return 0;
}

static int respond(stock *self, tn_stream *conn, const char *line)
{
    char text[LINE_MAX_BYTES];
    unsigned long count;
    unsigned left = 0;
    char *end;
    int rc;

    if (strncmp(line, "take ", 5) != 0)
        return -1;
    count = strtoul(line + 5, &end, 10);
    if (end == line + 5 || *end != '\0' || count > UINT_MAX)
        return -1;
    rc = stock_take(self, (unsigned)count, &left);
    if (rc < 0)
        return rc;
    if (rc == STOCK_SOLD_OUT)
        snprintf(text, sizeof text, "sold out\n");
    else
        snprintf(text, sizeof text, "left %u\n", left);
    return tn_write_all(conn, text, strlen(text));
}

/* One scope for the whole request: what is read, waited for and written in it shares one deadline. */
static int serve_request(stock *self, tn_session *session, input *in)
{
    char line[LINE_MAX_BYTES];
    tn_scope scope;
    int rc = 0;

    if (in->count == 0)
        rc = tn_session_wait_request(session);
    if (rc != 0)
        return rc;
    tn_scope_enter_for(&scope, STOCK_REQUEST_NS);
    rc = read_line(in, line);
    if (rc == 0)
        rc = respond(self, in->conn, line);
    tn_scope_leave(&scope);
    return rc;
}

void stock_serve(stock *self, tn_session *session, tn_stream *conn)
{
    input in = {.conn = conn};

    while (serve_request(self, session, &in) == 0)
        ;
}
