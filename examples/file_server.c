/* SPDX-License-Identifier: MIT */
/* file_server: serves the files of the folder in which it is started, over HTTP/1.1.
 *
 * It shows that blocking calls on files look like any other call in a fiber. A thread of the blocking pool makes them, and the
 * other connections continue meanwhile. The bytes go from the file to the socket without a copy through the program
 * (tn_sendfile). It also serves parts of a file ("Range: bytes=0-99"), one range per request. A request for several ranges gets
 * the whole file.
 *
 * Run:   cd /usr/share/doc && file_server --port 8080
 * See:   file_server: listening on http://127.0.0.1:8080/
 *        and with `curl -r 0-9 http://127.0.0.1:8080/...` the first ten bytes of a file
 *
 * Left out, to stay small: lists of folders, types of files, dates and conditional requests, time limits for slow clients. A
 * symbolic link is followed wherever it leads.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tn.h>

#include "http.h"
#include "server.h"

enum { READ_SIZE = 4096, TARGET_MAX = 1024, RANGE_MAX = 100, HEAD_MAX = 256 };

/* --- A request -------------------------------------------------------------------------------------------------------------
 * */

typedef struct {
    http_parser parser;
    char target[TARGET_MAX];
    char range[RANGE_MAX]; /* value of the header Range */
    size_t target_size;
    size_t range_size;
    char field[6]; /* the beginning of a header's name */
    size_t field_size;
    bool in_value;
    bool too_long;
    bool complete;
    bool begun; /* a part of a request has been parsed */
} request;

static int on_begin(http_parser *parser)
{
    request *self = parser->data;

    self->target_size = self->range_size = self->field_size = 0;
    self->in_value = self->too_long = self->complete = false;
    self->begun = true;
    return 0;
}

static void append(char *to, size_t *size, size_t max, const char *data, size_t length, bool *too_long)
{
    if (length >= max - *size) {
        *too_long = true;
        return;
    }
    memcpy(to + *size, data, length);
    *size += length;
    to[*size] = '\0';
}

static int on_url(http_parser *parser, const char *data, size_t length)
{
    request *self = parser->data;

    append(self->target, &self->target_size, sizeof self->target, data, length, &self->too_long);
    return 0;
}

static int on_field(http_parser *parser, const char *data, size_t length)
{
    request *self = parser->data;

    if (self->in_value)
        self->field_size = 0;
    self->in_value = false;
    for (size_t i = 0; i < length; i++, self->field_size++)
        if (self->field_size < sizeof self->field)
            self->field[self->field_size] = (char)(data[i] | 0x20);
    return 0;
}

static int on_value(http_parser *parser, const char *data, size_t length)
{
    request *self = parser->data;
    bool ignored = false;

    self->in_value = true;
    if (self->field_size == 5 && memcmp(self->field, "range", 5) == 0)
        append(self->range, &self->range_size, sizeof self->range, data, length, &ignored);
    return 0;
}

static int on_complete(http_parser *parser)
{
    ((request *)parser->data)->complete = true;
    http_parser_pause(parser, 1); /* one request at a time: the next one stays in the buffer */
    return 0;
}

static const http_parser_settings callbacks = {
    .on_message_begin = on_begin,
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_message_complete = on_complete,
};

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

/* Sets `path` to the file that the target names, relative to the folder. Returns false if no file may have that name. */
static bool find_path(const char *target, char *path)
{
    size_t size = 0;

    if (*target++ != '/')
        return false;
    for (; *target != '\0' && *target != '?'; target++) {
        char c = *target;
        if (c == '%') {
            if (hex(target[1]) < 0 || hex(target[2]) < 0)
                return false;
            c = (char)(hex(target[1]) << 4 | hex(target[2]));
            target += 2;
        }
        if (c == '\0')
            return false;
        path[size++] = c;
    }
    path[size] = '\0';
    for (const char *part = path; part != NULL; part = strchr(part, '/')) {
        part += part != path;
        if (path[0] == '/' || (part[0] == '.' && part[1] == '.' && (part[2] == '/' || part[2] == '\0')))
            return false; /* outside of the folder */
    }
    if (size == 0 || path[size - 1] == '/')
        memcpy(path + size, "index.html", sizeof "index.html");
    return true;
}

/* Reads the digits at *text, and moves it behind them. Returns false if there are none, or too many. */
static bool read_number(const char **text, uint64_t *out)
{
    size_t digits = strspn(*text, "0123456789");

    if (digits == 0 || digits > 18)
        return false;
    *out = strtoull(*text, NULL, 10);
    *text += digits;
    return true;
}

typedef enum { WHOLE, PART, NO_PART } range_kind;

/* Parses "bytes=FIRST-LAST", "bytes=FIRST-", "bytes=-COUNT". Any other text is not a range. */
static range_kind find_range(const request *self, uint64_t size, uint64_t *first, uint64_t *count)
{
    const char *text = self->range;
    uint64_t from = 0;
    uint64_t to = UINT64_MAX;
    bool has_from;
    bool has_to;

    *first = 0;
    *count = size;
    if (self->range_size == 0 || strncmp(text, "bytes=", 6) != 0)
        return WHOLE;
    text += 6;
    has_from = read_number(&text, &from);
    if (*text++ != '-')
        return WHOLE;
    has_to = read_number(&text, &to);
    if (*text != '\0' || (!has_from && !has_to) || (has_from && to < from))
        return WHOLE;
    if (!has_from) {
        *count = to < size ? to : size;
        *first = size - *count;
        return *count > 0 ? PART : NO_PART;
    }
    if (from >= size)
        return NO_PART;
    *first = from;
    *count = (to < size ? to + 1 : size) - from;
    return PART;
}

/* --- Responses ----------------------------------------------------------------------------------------------------------- */

static const char *connection_header(bool keep)
{
    return keep ? "" : "Connection: close\r\n";
}

static int respond_empty(tn_stream *conn, const char *status, const char *more, bool keep)
{
    char head[HEAD_MAX];
    int length = snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Length: 0\r\n%s%s\r\n", status, more,
                          connection_header(keep));

    return tn_write_all(conn, head, (size_t)length);
}

/* The length has already been sent to the client. If the file has become shorter, only closing the connection remains. */
static int send_file(tn_stream *conn, tn_file *file, uint64_t first, uint64_t count)
{
    while (count > 0) {
        ssize_t n = tn_sendfile(conn, file, (int64_t)first, count < SSIZE_MAX ? (size_t)count : SSIZE_MAX);
        if (n <= 0)
            return n < 0 ? (int)n : TN_ECONNRESET;
        first += (uint64_t)n;
        count -= (uint64_t)n;
    }
    return 0;
}

static int respond_file(tn_stream *conn, const request *self, tn_file *file, const tn_stat *status, bool keep)
{
    char head[HEAD_MAX];
    char more[HEAD_MAX / 2];
    uint64_t size = status->size_bytes;
    uint64_t first;
    uint64_t count;
    range_kind kind = find_range(self, size, &first, &count);
    int rc;

    snprintf(more, sizeof more, "Content-Range: bytes */%" PRIu64 "\r\n", size);
    if (kind == NO_PART)
        return respond_empty(conn, "416 Range Not Satisfiable", more, keep);
    if (kind == PART)
        snprintf(more, sizeof more, "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n", first, first + count - 1,
                 size);
    rc = snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Length: %" PRIu64 "\r\nAccept-Ranges: bytes\r\n%s%s\r\n",
                  kind == PART ? "206 Partial Content" : "200 OK", count, kind == PART ? more : "", connection_header(keep));
    rc = tn_write_all(conn, head, (size_t)rc);
    if (rc == 0 && self->parser.method == HTTP_GET)
        rc = send_file(conn, file, first, count);
    return rc;
}

static int respond(tn_stream *conn, const request *self, bool keep)
{
    char path[TARGET_MAX + sizeof "index.html"];
    tn_stat status;
    tn_file *file;
    int rc;

    if (self->parser.method != HTTP_GET && self->parser.method != HTTP_HEAD)
        return respond_empty(conn, "405 Method Not Allowed", "Allow: GET, HEAD\r\n", keep);
    if (self->too_long)
        return respond_empty(conn, "414 URI Too Long", "", keep);
    /* Non-blocking: otherwise opening a FIFO would wait for a writer. */
    if (!find_path(self->target, path) || tn_file_open(&file, path, O_RDONLY | O_NONBLOCK, 0) != 0)
        return respond_empty(conn, "404 Not Found", "", keep);
    if (tn_file_stat(file, &status) != 0 || !status.is_file)
        rc = respond_empty(conn, "404 Not Found", "", keep);
    else
        rc = respond_file(conn, self, file, &status, keep);
    tn_file_close(file);
    return rc;
}

/* --- The server ---------------------------------------------------------------------------------------------------------- */

/* One connection: one request after the other. */
static void handle(tn_session *session, tn_stream *conn, void *arg)
{
    request self = {.begun = false};
    char buf[READ_SIZE];
    ssize_t n;
    int rc = 0;

    (void)arg;
    http_parser_init(&self.parser, HTTP_REQUEST);
    self.parser.data = &self;
    while (rc == 0 && (self.begun || tn_session_wait_request(session) == 0) && (n = tn_read(conn, buf, sizeof buf)) > 0) {
        size_t used = 0;
        while (rc == 0 && used < (size_t)n) {
            used += http_parser_execute(&self.parser, &callbacks, buf + used, (size_t)n - used);
            if (self.complete) {
                bool keep = http_should_keep_alive(&self.parser) != 0 && self.parser.upgrade == 0 &&
                            !tn_session_is_ending(session);
                rc = respond(conn, &self, keep);
                if (!keep)
                    rc = TN_ECANCELED;
                self.complete = self.begun = false;
                http_parser_pause(&self.parser, 0);
            } else if (HTTP_PARSER_ERRNO(&self.parser) != HPE_OK) {
                (void)respond_empty(conn, "400 Bad Request", "", false); /* the connection ends in any case */
                rc = TN_EINVAL;
            }
        }
    }
}

int main(int argc, char **argv)
{
    server_options options = {
        .name = "file_server",
        .summary = "serves the files of the folder in which it is started, over HTTP",
        .port = 8080,
    };

    return server_main(&options, argc, argv, "http://", handle, NULL);
}
