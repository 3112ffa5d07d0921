/* SPDX-License-Identifier: MIT */
/* RESP: requests and replies. A request is read in straight-line code: where bytes are missing, the reader waits for them. */
#include "resp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES_MAX = 64 * 1024, COUNT_MAX = 1024 * 1024, BULK_MAX = 512 * 1024 * 1024 };

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

typedef struct resp_block {
    struct resp_block *next;
    char bytes[];
} resp_block;

void resp_init(resp_request *request)
{
    *request = (resp_request){.free = request->small, .free_size = RESP_SMALL};
}

void resp_free(resp_request *request)
{
    for (resp_block *block = request->blocks, *next; block != NULL; block = next) {
        next = block->next;
        free(block);
    }
    free(request->arguments);
    resp_init(request);
}

static int bad(resp_request *request, const char *error)
{
    request->error = error;
    return TN_EBADMSG;
}

/* Makes space for `size` bytes. What is there already stays where it is. */
static bool make_space(resp_request *request, size_t size)
{
    size_t block_size = size > 4096 ? size : 4096;
    resp_block *block;

    if (size <= request->free_size)
        return true;
    block = malloc(sizeof *block + block_size);
    if (block == NULL)
        return false;
    block->next = request->blocks;
    request->blocks = block;
    request->free = block->bytes;
    request->free_size = block_size;
    return true;
}

/* Copies an argument: the bytes of the reader are valid only until it reads on. Memory grows as arguments arrive, because their
 * number is the client's. */
static int add(resp_request *request, tn_bytes argument)
{
    if (request->count == request->capacity) {
        size_t capacity = request->capacity == 0 ? 8 : 2 * request->capacity;
        tn_bytes *arguments = realloc(request->arguments, capacity * sizeof *arguments);
        if (arguments == NULL)
            return TN_ENOMEM;
        request->arguments = arguments;
        request->capacity = capacity;
    }
    if (!make_space(request, argument.size))
        return TN_ENOMEM;
    request->arguments[request->count++] = (tn_bytes){memcpy(request->free, argument.data, argument.size), argument.size};
    request->free += argument.size;
    request->free_size -= argument.size;
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
            rc = add(request, (tn_bytes){line.data + begin, i - begin});
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
        snprintf(request->message, sizeof request->message, "expected '$', got '%c'", bytes.size > 0 ? bytes.data[0] : '\r');
        return bad(request, request->message);
    }
    if (!resp_number((tn_bytes){bytes.data + 1, bytes.size - 1}, &size) || size < 0 || size > BULK_MAX)
        return bad(request, "invalid bulk length");
    rc = tn_reader_exact(from, &bytes, (size_t)size + 2);
    return rc == 1 ? add(request, (tn_bytes){bytes.data, (size_t)size}) : rc == 0 ? TN_EBADMSG : rc;
}

int resp_read(resp_request *request, tn_reader *from)
{
    int64_t count;
    tn_bytes line;
    int rc;

    resp_free(request);
    rc = tn_reader_line(from, &line, LINE_BYTES_MAX);
    if (rc == TN_EMSGSIZE)
        return bad(request, "too big inline request");
    if (rc != 1)
        return rc;
    if (line.size == 0 || line.data[0] != '*')
        return read_words(request, line);
    if (!resp_number((tn_bytes){line.data + 1, line.size - 1}, &count) || count > COUNT_MAX)
        return bad(request, "invalid multibulk length");
    for (; count > 0 && rc == 1; count--)
        rc = read_argument(request, from);
    return rc;
}

/* --- Replies ------------------------------------------------------------------------------------------------------------- */

int resp_text(tn_writer *to, const char *line)
{
    int rc = tn_writer_write(to, line, strlen(line));

    return rc != 0 ? rc : tn_writer_write(to, "\r\n", 2);
}

int resp_head(tn_writer *to, char kind, int64_t value)
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
    return tn_writer_write(to, at, (size_t)(text + sizeof text - at));
}

int resp_bulk(tn_writer *to, tn_bytes bytes)
{
    int rc = resp_head(to, '$', (int64_t)bytes.size);

    if (rc == 0)
        rc = tn_writer_write(to, bytes.data, bytes.size);
    return rc != 0 ? rc : tn_writer_write(to, "\r\n", 2);
}
