/* SPDX-License-Identifier: MIT */
/* tn_reader: any calls on any bytes, in pieces of any size, return what a simple description of each call says.
 *
 * Input: bytes per read; the number of calls; two bytes for each; the stream. */
#include "fuzz.h"

typedef struct {
    const uint8_t *at; /* what has not been consumed */
    size_t size;
} rest;

static void consume(rest *r, size_t size)
{
    r->at += size;
    r->size -= size;
}

/* The result of a call that needs more than the stream has. */
static int at_the_end(const rest *r)
{
    return r->size == 0 ? 0 : TN_EBADMSG;
}

static void same(tn_bytes got, const uint8_t *expected, size_t size)
{
    fuzz_check(got.size == size && memcmp(got.data, expected, size) == 0);
}

/* Lines may end with CRLF; parts up to another delimiter are not trimmed. */
static void up_to(tn_reader *reader, rest *r, bool line, char delimiter, size_t limit)
{
    size_t most = limit + (line ? 2 : 1);
    size_t there = r->size < most ? r->size : most;
    const uint8_t *found = there > 0 ? memchr(r->at, delimiter, there) : NULL;
    tn_bytes bytes;
    int rc = line ? tn_reader_line(reader, &bytes, limit) : tn_reader_until(reader, &bytes, delimiter, limit);

    if (found != NULL) {
        size_t length = (size_t)(found - r->at);
        size_t shown = line && length > 0 && found[-1] == '\r' ? length - 1 : length;
        fuzz_check(rc == (shown <= limit ? 1 : TN_EMSGSIZE));
        if (rc == 1) {
            same(bytes, r->at, shown);
            consume(r, length + 1);
        }
    } else if (r->size > limit) {
        fuzz_check(rc == TN_EMSGSIZE);
    } else {
        fuzz_check(rc == at_the_end(r));
        same(bytes, r->at, r->size);
        consume(r, r->size);
    }
}

static void frame(tn_reader *reader, rest *r, unsigned choice, size_t limit)
{
    static const struct {
        tn_frame_length length;
        size_t size;
        bool big;
    } kinds[] = {{TN_FRAME_8, 1, true},      {TN_FRAME_16_BE, 2, true}, {TN_FRAME_16_LE, 2, false}, {TN_FRAME_32_BE, 4, true},
                 {TN_FRAME_32_LE, 4, false}, {TN_FRAME_64_BE, 8, true}, {TN_FRAME_64_LE, 8, false}};
    size_t prefix = kinds[choice % 7].size;
    uint64_t size = 0;
    tn_bytes bytes;
    int rc = tn_reader_frame(reader, &bytes, kinds[choice % 7].length, limit);

    for (size_t i = 0; i < prefix && r->size >= prefix; i++)
        size = size << 8 | r->at[kinds[choice % 7].big ? i : prefix - 1 - i];
    if (r->size < prefix) {
        fuzz_check(rc == at_the_end(r));
    } else if (size > limit) {
        fuzz_check(rc == TN_EMSGSIZE);
    } else if (r->size - prefix < size) {
        fuzz_check(rc == TN_EBADMSG);
    } else {
        fuzz_check(rc == 1);
        same(bytes, r->at + prefix, (size_t)size);
        consume(r, prefix + (size_t)size);
    }
}

static void by_number(tn_reader *reader, rest *r, unsigned choice, size_t size)
{
    uint8_t buf[256];
    tn_bytes bytes = {"", 0};
    ssize_t n;

    if (choice % 3 == 0) {
        n = tn_reader_exact(reader, &bytes, size);
        fuzz_check(n == (r->size >= size ? 1 : at_the_end(r)));
        if (n == 1) {
            same(bytes, r->at, size);
            consume(r, size);
        }
    } else if (choice % 3 == 1) {
        n = tn_reader_peek(reader, &bytes, size);
        fuzz_check(n == (r->size >= size ? 1 : at_the_end(r)));
        fuzz_check(bytes.size <= r->size && bytes.size >= (n == 1 ? size : r->size));
        same(bytes, r->at, bytes.size);
        size = bytes.size / 2;
        tn_reader_consume(reader, size);
        consume(r, size);
    } else {
        n = tn_reader_read(reader, buf, size);
        fuzz_check(n >= 0 && (size_t)n <= size && (size_t)n <= r->size && (n > 0 || size == 0 || r->size == 0));
        same((tn_bytes){(const char *)buf, (size_t)n}, r->at, (size_t)n);
        consume(r, (size_t)n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tn_buffer_options options = tn_buffer_options_default();
    uint8_t piece = fuzz_take(&data, &size);
    uint8_t calls = fuzz_take(&data, &size);
    const uint8_t *script = data;
    size_t script_size = size < 2u * calls ? size : 2u * calls;
    fuzz_source source = {data + script_size, size - script_size, 0, piece + 1u};
    rest r = {source.bytes, source.size};
    tn_reader reader;

    options.buffer_size = 64;
    fuzz_check(tn_reader_init(&reader, fuzz_source_io(&source), &options) == 0);
    while (script_size > 0) {
        uint8_t call = fuzz_take(&script, &script_size);
        uint8_t number = fuzz_take(&script, &script_size);
        if (call % 4 == 0)
            up_to(&reader, &r, true, '\n', number);
        else if (call % 4 == 1)
            up_to(&reader, &r, false, (char)(call / 4), number);
        else if (call % 4 == 2)
            frame(&reader, &r, call / 4, number);
        else
            by_number(&reader, &r, call / 4, number);
        fuzz_check(reader.buffer.capacity <= 300); /* the largest limit and its framing, or twice the first size */
    }
    tn_reader_fini(&reader);
    return 0;
}
