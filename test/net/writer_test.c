/* SPDX-License-Identifier: MIT */
/* Writers: what is sent when, pieces that are taken whole or not at all, and that an idle one has no buffer. */
#include <stdio.h>
#include <string.h>

#include <tn.h>

#include "support/allocator.h"
#include "support/runtime.h"

/* --- A stream that keeps what is written --------------------------------------------------------------------------------- */

typedef struct {
    char bytes[1024];
    size_t used;
    size_t most; /* per call */
    unsigned calls;
    unsigned fail; /* the call with this number fails, counted from 1 */
} sink;

static ssize_t sink_write(void *object, const void *buf, size_t size)
{
    sink *s = object;
    size_t n = size < s->most ? size : s->most;

    if (++s->calls == s->fail)
        return TN_ECANCELED;
    tt_check(n <= sizeof s->bytes - s->used);
    memcpy(s->bytes + s->used, buf, n);
    s->used += n;
    return (ssize_t)n;
}

static const tn_io_ops sink_ops = {.size = sizeof sink_ops, .write = sink_write};

static void writer_init(tn_writer *writer, sink *s)
{
    tn_buffer_options options = tn_buffer_options_default();

    options.buffer_size = 64;
    cr_assert_eq(tn_writer_init(writer, (tn_io){&sink_ops, s}, &options), 0);
}

static bool has(const sink *s, const char *text)
{
    return s->used == strlen(text) && memcmp(s->bytes, text, s->used) == 0;
}

Test(writer, collects_until_it_is_flushed)
{
    sink s = {.most = 1024};
    tn_writer writer;

    writer_init(&writer, &s);
    cr_assert_null(writer.buffer.bytes);
    cr_assert_eq(tn_writer_flush(&writer), 0);
    cr_assert_eq(tn_writer_write(&writer, "GET ", 4), 0);
    cr_assert_eq(tn_writer_printf(&writer, "/%d HTTP/1.%d\r\n", 42, 1), 0);
    cr_assert_eq(s.calls, 0);
    cr_assert_eq(tn_writer_flush(&writer), 0);
    cr_assert_eq(s.calls, 1);
    cr_assert(has(&s, "GET /42 HTTP/1.1\r\n"));
    cr_assert_null(writer.buffer.bytes);
    cr_assert_eq(tn_writer_printf(&writer, "%s", ""), 0);
    cr_assert_null(writer.buffer.bytes);
    tn_writer_fini(&writer);
}

/* A slice that cannot be sent is taken out again, and nothing is left allocated. */
Test(writer, a_slice_that_is_not_taken_leaves_nothing)
{
    static const char text[100];
    sink s = {.most = 1024, .fail = 1};
    tn_writer writer;

    writer_init(&writer, &s);
    cr_assert_eq(tn_writer_slice(&writer, tn_slice_static(text, sizeof text)), TN_ECANCELED);
    cr_assert_null(writer.slices);
    cr_assert_null(writer.buffer.bytes);
    tn_writer_fini(&writer);
}

Test(writer, a_cork_keeps_flushes_back)
{
    sink s = {.most = 1024};
    tn_writer writer;

    writer_init(&writer, &s);
    tn_writer_cork(&writer);
    tn_writer_cork(&writer);
    cr_assert_eq(tn_writer_write(&writer, "a", 1), 0);
    cr_assert_eq(tn_writer_flush(&writer), 0);
    cr_assert_eq(tn_writer_uncork(&writer), 0);
    cr_assert_eq(tn_writer_write(&writer, "b", 1), 0);
    cr_assert_eq(tn_writer_flush(&writer), 0);
    cr_assert_eq(s.calls, 0);
    cr_assert_eq(tn_writer_uncork(&writer), 0);
    cr_assert(has(&s, "ab"));
    cr_assert_eq(s.calls, 1);
    tn_writer_fini(&writer);
}

/* Pieces of all sizes around that of the buffer, to a stream that takes a few bytes at a time. */
static void pieces(size_t most, bool formatted)
{
    char text[150];
    sink s = {.most = most};
    tn_writer writer;
    size_t total = 0;

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + i % 26);
    writer_init(&writer, &s);
    for (size_t size = 1; size < sizeof text; size += 37) {
        if (formatted)
            cr_assert_eq(tn_writer_printf(&writer, "%.*s", (int)size, text), 0);
        else
            cr_assert_eq(tn_writer_write(&writer, text, size), 0);
        total += size;
    }
    cr_assert_eq(tn_writer_flush(&writer), 0);
    cr_assert_eq(s.used, total);
    for (size_t size = 1, at = 0; size < sizeof text; at += size, size += 37)
        cr_assert_arr_eq(s.bytes + at, text, size);
    tn_writer_fini(&writer);
}

Test(writer, pieces_of_any_size)
{
    for (size_t most = 1; most < 200; most += 9) {
        pieces(most, false);
        pieces(most, true);
    }
}

Test(writer, frames_are_what_a_reader_reads)
{
    static const tn_frame_length lengths[] = {TN_FRAME_8,     TN_FRAME_16_BE, TN_FRAME_16_LE, TN_FRAME_32_BE,
                                              TN_FRAME_32_LE, TN_FRAME_64_BE, TN_FRAME_64_LE};
    char payload[256];
    tn_io ends[2];
    tn_writer writer;
    tn_reader reader;
    tn_bytes frame;

    memset(payload, 'p', sizeof payload);
    cr_assert_eq(tn_duplex_open(ends, NULL), 0);
    cr_assert_eq(tn_writer_init(&writer, ends[0], NULL), 0);
    cr_assert_eq(tn_reader_init(&reader, ends[1], NULL), 0);
    for (unsigned i = 0; i < 7; i++) {
        for (size_t size = 0; size < 256; size += 51)
            cr_assert_eq(tn_writer_frame(&writer, lengths[i], payload, size), 0);
        cr_assert_eq(tn_writer_flush(&writer), 0);
        for (size_t size = 0; size < 256; size += 51) {
            cr_assert_eq(tn_reader_frame(&reader, &frame, lengths[i], 256), 1);
            cr_assert_eq(frame.size, size);
            cr_assert_arr_eq(frame.data, payload, size);
        }
    }
    cr_assert_eq(tn_writer_frame(&writer, TN_FRAME_8, payload, 256), TN_EMSGSIZE);
    cr_assert_eq(tn_writer_frame(&writer, TN_FRAME_16_LE, payload, 65536), TN_EMSGSIZE);
    cr_assert_eq(tn_writer_frame(&writer, (tn_frame_length)5, payload, 1), TN_EINVAL);
    tn_writer_fini(&writer);
    tn_reader_fini(&reader);
    tn_io_close(ends[0]);
    tn_io_close(ends[1]);
}

/* Each call of the stream fails once; a piece whose write has failed is written again. */
static void repeated(unsigned fail, bool formatted)
{
    char expected[1024] = "";
    sink s = {.most = 10, .fail = fail};
    tn_writer writer;

    writer_init(&writer, &s);
    for (unsigned i = 0; i < 12; i++) {
        char text[80];
        int rc;
        snprintf(text, sizeof text, "<%u %.*s>", i, (int)(i * 6),
                 "the quick brown fox jumps over the lazy dog and the other one too, too");
        do
            rc = formatted ? tn_writer_printf(&writer, "%s", text) : tn_writer_write(&writer, text, strlen(text));
        while (rc == TN_ECANCELED);
        cr_assert_eq(rc, 0);
        memcpy(expected + strlen(expected), text, strlen(text) + 1);
    }
    while (tn_writer_flush(&writer) == TN_ECANCELED)
        ;
    cr_assert(has(&s, expected), "with a failure of call %u", fail);
    tn_writer_fini(&writer);
}

Test(writer, a_piece_is_taken_whole_or_not_at_all)
{
    for (unsigned fail = 0; fail < 60; fail++) {
        repeated(fail, false);
        repeated(fail, true);
    }
}

Test(writer, without_memory)
{
    tn_buffer_options options = tn_buffer_options_default();
    sink s = {.most = 10, .fail = 2};
    tt_allocator allocator;
    tn_writer writer;
    char text[100] = "text";

    tt_allocator_init(&allocator);
    options.buffer_size = 64;
    options.allocator = &allocator.as_option;
    cr_assert_eq(tn_writer_init(&writer, (tn_io){&sink_ops, &s}, &options), 0);
    tt_allocator_fail(&allocator, 1, 1);
    cr_assert_eq(tn_writer_write(&writer, text, 4), TN_ENOMEM);
    cr_assert_eq(tn_writer_write(&writer, text, 4), 0);
    cr_assert_eq(tn_writer_flush(&writer), 0); /* the first call of the stream */
    s.calls = 0;
    tt_allocator_fail(&allocator, 1, 1);
    cr_assert_eq(tn_writer_write(&writer, text, sizeof text), TN_ENOMEM); /* a part was sent, and the rest has no place */
    cr_assert_eq(tn_writer_write(&writer, text, 1), TN_ENOMEM);
    cr_assert_eq(tn_writer_printf(&writer, "a"), TN_ENOMEM);
    cr_assert_eq(tn_writer_flush(&writer), TN_ENOMEM);
    tn_writer_fini(&writer);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}

/* --- Over a connection that is full -------------------------------------------------------------------------------------- */

static void *read_slowly(void *arg)
{
    char buf[16];
    size_t total = 0;
    ssize_t n;

    while ((n = tn_io_read(*(tn_io *)arg, buf, sizeof buf)) > 0) {
        for (ssize_t i = 0; i < n; i++, total++)
            tt_check_eq(buf[i], "0123456789"[total % 10]);
        tt_check_eq(tn_yield(), 0);
    }
    tt_check_eq(n, 0);
    return (void *)total;
}

static int write_within(tn_writer *writer, uint64_t ns)
{
    TN_SCOPE(scope, tn_now() + ns);

    return tn_writer_write(writer, "0123456789", 10);
}

static void *write_with_deadlines(void *arg)
{
    tn_duplex_options options = tn_duplex_options_default();
    tn_buffer_options small = tn_buffer_options_default();
    unsigned long count = tt_scaled(2000);
    tn_io ends[2];
    tn_writer writer;
    tn_task *reader;

    (void)arg;
    options.capacity = 24;
    small.buffer_size = 64;
    tt_check_eq(tn_duplex_open(ends, &options), 0);
    tt_check_eq(tn_writer_init(&writer, ends[0], &small), 0);
    reader = tt_spawn(read_slowly, &ends[1]);
    for (unsigned long i = 0; i < count; i++) {
        int rc;
        while ((rc = write_within(&writer, 5 * TN_US)) == TN_ETIMEDOUT)
            ;
        tt_check_eq(rc, 0);
    }
    tt_check_eq(tn_writer_flush(&writer), 0);
    tt_check_eq(tn_io_close_write(ends[0]), 0);
    tt_check_eq((uintptr_t)tt_join(reader), 10 * count);
    tn_writer_fini(&writer);
    tn_io_close(ends[0]);
    tn_io_close(ends[1]);
    return NULL;
}

Test(writer, deadlines_neither_lose_nor_repeat_a_piece)
{
    tt_run(write_with_deadlines, NULL);
}
