/* SPDX-License-Identifier: MIT */
/* RESP: requests and replies. A request is read in straight-line code: where bytes are missing, the reader waits for them. */
#include "resp.h"

#include <string.h>
#include <strings.h>

enum { LINE_BYTES_MAX = 64 * 1024, COUNT_MAX = 1024 * 1024, BULK_MAX = 512 * 1024 * 1024, REQUEST_MAX = 1024 * 1024 * 1024 };
enum { KEPT_MAX = 4096 }; /* bytes that a connection keeps for its next request */

bool resp_is(tn_bytes text, const char *word)
{
    return text.size == strlen(word) && strncasecmp(text.data, word, text.size) == 0;
}

bool resp_number(tn_bytes text, int64_t *out)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    size_t i = negative ? 1 : 0;
    int64_t value = 0; /* counted downwards: the least number has no positive one */

    if (i == text.size || (text.data[i] == '0' && text.size > 1))
        return false;
    for (; i < text.size; i++) {
        int digit = text.data[i] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(value, 10, &value) || __builtin_sub_overflow(value, digit, &value))
            return false;
    }
    if (!negative && value == INT64_MIN)
        return false;
    *out = negative ? value : -value;
    return true;
}

void resp_init(resp_request *request)
{
    *request = (resp_request){.arguments = g_array_new(false, false, sizeof(tn_bytes)), .bytes = g_byte_array_new()};
}

void resp_free(resp_request *request)
{
    g_array_unref(request->arguments);
    g_byte_array_unref(request->bytes);
}

/* GLib ends the program if there is no memory, as redis-server does; so a request has a limit. The bytes of the reader are valid
 * only until it reads on. Those of the request move as it grows, so resp_read finds them. */
static int add(resp_request *request, const char *data, size_t size)
{
    tn_bytes argument = {NULL, size};

    if (size > REQUEST_MAX - request->bytes->len) {
        request->error = "too large request";
        return TN_EBADMSG;
    }
    g_byte_array_append(request->bytes, (const guint8 *)data, (guint)size);
    g_array_append_val(request->arguments, argument);
    return 1;
}

/* A command that was typed: words between spaces. */
static int read_words(resp_request *request, tn_bytes line)
{
    int rc = 1;

    for (size_t i = 0, begin = 0; i <= line.size && rc == 1; i++) {
        if (i < line.size && line.data[i] != ' ' && line.data[i] != '\t')
            continue;
        if (i > begin)
            rc = add(request, line.data + begin, i - begin);
        begin = i + 1;
    }
    return rc;
}

static int read_argument(resp_request *request, tn_reader *from)
{
    int64_t size;
    tn_bytes bytes;
    int rc = tn_reader_line(from, &bytes, LINE_BYTES_MAX);

    if (rc != 1)
        return rc == 0 ? TN_EBADMSG : rc;
    if (bytes.size == 0 || bytes.data[0] != '$') {
        g_snprintf(request->message, sizeof request->message, "expected '$', got '%c'", bytes.size > 0 ? bytes.data[0] : '\r');
        request->error = request->message;
    } else if (!resp_number((tn_bytes){bytes.data + 1, bytes.size - 1}, &size) || size < 0 || size > BULK_MAX) {
        request->error = "invalid bulk length";
    } else {
        rc = tn_reader_exact(from, &bytes, (size_t)size + 2);
        return rc == 1 ? add(request, bytes.data, (size_t)size) : rc == 0 ? TN_EBADMSG : rc;
    }
    return TN_EBADMSG;
}

static int read_request(resp_request *request, tn_reader *from)
{
    int64_t count = 0;
    tn_bytes line;
    int rc = tn_reader_line(from, &line, LINE_BYTES_MAX);

    if (rc == 1 && (line.size == 0 || line.data[0] != '*'))
        return read_words(request, line);
    if (rc == TN_EMSGSIZE)
        request->error = "too big inline request";
    else if (rc == 1 && (!resp_number((tn_bytes){line.data + 1, line.size - 1}, &count) || count > COUNT_MAX))
        request->error = "invalid multibulk length";
    if (request->error != NULL)
        return TN_EBADMSG;
    for (; count > 0 && rc == 1; count--)
        rc = read_argument(request, from);
    return rc;
}

int resp_read(resp_request *request, tn_reader *from)
{
    const char *at;
    int rc;

    if (request->bytes->len > KEPT_MAX || request->arguments->len > KEPT_MAX / sizeof(tn_bytes)) {
        resp_free(request);
        resp_init(request);
    }
    g_array_set_size(request->arguments, 0);
    g_byte_array_set_size(request->bytes, 0);
    rc = read_request(request, from);
    at = request->bytes->len > 0 ? (const char *)request->bytes->data : ""; /* an empty array has no data */
    for (guint i = 0; i < request->arguments->len; i++) {
        tn_bytes *argument = &g_array_index(request->arguments, tn_bytes, i);
        argument->data = at;
        at += argument->size;
    }
    return rc;
}

/* --- Replies ------------------------------------------------------------------------------------------------------------- */

static void write_bytes(resp_replies *to, const void *bytes, size_t size)
{
    if (to->rc == 0)
        to->rc = tn_writer_write(&to->writer, bytes, size);
}

void resp_text(resp_replies *to, const char *text)
{
    write_bytes(to, text, strlen(text));
}

void resp_error(resp_replies *to, const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = g_strdelimit(g_strdup_vprintf(format, arguments), "\r\n", ' ');
    va_end(arguments);
    resp_text(to, "-ERR ");
    resp_text(to, text);
    resp_text(to, "\r\n");
    g_free(text);
}

void resp_head(resp_replies *to, char kind, int64_t value)
{
    char text[24];
    char *at = text + sizeof text;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;

    *--at = '\n';
    *--at = '\r';
    do
        *--at = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (value < 0)
        *--at = '-';
    *--at = kind;
    write_bytes(to, at, (size_t)(text + sizeof text - at));
}

void resp_bulk(resp_replies *to, tn_bytes bytes)
{
    resp_head(to, '$', (int64_t)bytes.size);
    write_bytes(to, bytes.data, bytes.size);
    write_bytes(to, "\r\n", 2);
}

int resp_flush(resp_replies *to)
{
    if (to->rc == 0)
        to->rc = tn_writer_flush(&to->writer);
    return to->rc;
}
