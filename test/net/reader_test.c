/* SPDX-License-Identifier: MIT */
/* Readers: lines, delimiters, frames, limits, the end, calls that are cut short, and that an idle one has no buffer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tn.h>

#include "support/allocator.h"
#include "support/runtime.h"
#include "task/task.h"

/* --- A stream that returns given bytes in pieces ------------------------------------------------------------------------- */

typedef struct {
    const char *bytes;
    size_t size;
    size_t done;
    size_t piece;    /* bytes per read */
    ssize_t at_end;  /* what a read returns behind the bytes */
    tn_reader *seen; /* not NULL: it has no buffer when the stream waits */
    unsigned waits;
} source;

static ssize_t source_read(void *object, void *buf, size_t size)
{
    source *s = object;
    size_t n = size < s->piece ? size : s->piece;

    if (n > s->size - s->done)
        n = s->size - s->done;
    if (n == 0)
        return s->at_end;
    memcpy(buf, s->bytes + s->done, n);
    s->done += n;
    return (ssize_t)n;
}

static int source_wait(void *object, tn_direction direction)
{
    source *s = object;

    tt_check_eq(direction, TN_READABLE);
    tt_check(s->seen == NULL || s->seen->buffer.bytes == NULL);
    s->waits++;
    return 0;
}

static const tn_io_ops source_ops = {.size = sizeof source_ops, .read = source_read, .wait = source_wait};

static source source_of(const char *text, size_t piece)
{
    return (source){.bytes = text, .size = strlen(text), .piece = piece};
}

static void reader_init(tn_reader *reader, source *s, size_t size)
{
    tn_buffer_options options = tn_buffer_options_default();

    options.buffer_size = size;
    cr_assert_eq(tn_reader_init(reader, (tn_io){&source_ops, s}, &options), 0);
    s->seen = reader;
}

static bool is(tn_bytes bytes, const char *text)
{
    return bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

/* --- Lines --------------------------------------------------------------------------------------------------------------- */

static void read_lines(size_t piece)
{
    source s = source_of("one\r\ntwo\n\n\r\nthr\ree\r\nrest", piece);
    tn_reader reader;
    tn_bytes line;
    static const char *lines[] = {"one", "two", "", "", "thr\ree"};

    reader_init(&reader, &s, 64);
    for (unsigned i = 0; i < 5; i++) {
        cr_assert_eq(tn_reader_line(&reader, &line, 6), 1);
        cr_assert(is(line, lines[i]));
    }
    cr_assert_eq(tn_reader_line(&reader, &line, 6), TN_EBADMSG);
    cr_assert(is(line, "rest"));
    cr_assert_eq(tn_reader_line(&reader, &line, 6), 0);
    cr_assert_eq(line.size, 0);
    cr_assert_null(reader.buffer.bytes);
    tn_reader_fini(&reader);
}

Test(reader, lines_in_pieces_of_any_size)
{
    for (size_t piece = 1; piece < 30; piece++)
        read_lines(piece);
}

static int line_of(const char *text, size_t piece, size_t limit)
{
    source s = source_of(text, piece);
    tn_reader reader;
    tn_bytes line;
    int rc;

    reader_init(&reader, &s, 64);
    rc = tn_reader_line(&reader, &line, limit);
    cr_assert_eq(tn_reader_line(&reader, &line, limit) == rc, rc == TN_EMSGSIZE); /* the error stays, a line does not */
    tn_reader_fini(&reader);
    return rc;
}

Test(reader, a_line_may_have_the_limit_and_no_byte_more)
{
    for (size_t piece = 1; piece < 8; piece++) {
        cr_assert_eq(line_of("abcd\n", piece, 4), 1);
        cr_assert_eq(line_of("abcd\r\n", piece, 4), 1);
        cr_assert_eq(line_of("abcd\r\n", piece, SIZE_MAX), 1);
        cr_assert_eq(line_of("abcde\n", piece, 4), TN_EMSGSIZE);
        cr_assert_eq(line_of("abcde\r\n", piece, 4), TN_EMSGSIZE);
        cr_assert_eq(line_of("abcdefg", piece, 4), TN_EMSGSIZE); /* also without an end */
        cr_assert_eq(line_of("abcde", piece, 4), TN_EMSGSIZE);
        cr_assert_eq(line_of("\n", piece, 0), 1);
        cr_assert_eq(line_of("a\n", piece, 0), TN_EMSGSIZE);
    }
}

Test(reader, a_long_line_grows_the_buffer_up_to_the_limit)
{
    enum { LENGTH = 100000 };
    char *text = malloc(LENGTH + 2);
    source s;
    tn_reader reader;
    tn_bytes line;

    memset(text, 'x', LENGTH);
    memcpy(text + LENGTH, "\n", 2);
    s = source_of(text, 1000);
    reader_init(&reader, &s, 64);
    cr_assert_eq(tn_reader_line(&reader, &line, 500), TN_EMSGSIZE);
    cr_assert_leq(reader.buffer.capacity, 502);
    cr_assert_eq(tn_reader_line(&reader, &line, LENGTH), 1);
    cr_assert_eq(line.size, LENGTH);
    cr_assert_eq(line.data[LENGTH - 1], 'x');
    cr_assert_leq(reader.buffer.capacity, LENGTH + 2);
    cr_assert_eq(tn_reader_line(&reader, &line, LENGTH), 0);
    cr_assert_null(reader.buffer.bytes);
    tn_reader_fini(&reader);
    free(text);
}

Test(reader, other_delimiters)
{
    source s = source_of("a,b;c,\xff"
                         "d",
                         3);
    tn_reader reader;
    tn_bytes part;

    reader_init(&reader, &s, 64);
    cr_assert_eq(tn_reader_until(&reader, &part, ';', 2), TN_EMSGSIZE);
    cr_assert_eq(tn_reader_until(&reader, &part, ',', 1), 1);
    cr_assert(is(part, "a"));
    cr_assert_eq(tn_reader_until(&reader, &part, '\xff', 4), 1);
    cr_assert(is(part, "b;c,"));
    cr_assert_eq(tn_reader_until(&reader, &part, ',', 9), TN_EBADMSG);
    cr_assert(is(part, "d"));
    cr_assert_eq(tn_reader_until(&reader, &part, ',', 9), 0);
    tn_reader_fini(&reader);
}

/* --- Frames and numbers of bytes ----------------------------------------------------------------------------------------- */

static void read_frame(tn_frame_length length, const char *prefix, size_t prefix_size)
{
    char text[64];
    source s = {.bytes = text, .piece = 1};
    tn_reader reader;
    tn_bytes frame;

    memcpy(text, prefix, prefix_size);
    memcpy(text + prefix_size, "hello", 5);
    memcpy(text + prefix_size + 5, prefix, prefix_size);
    s.size = 2 * prefix_size + 5 + 1; /* the second frame is cut off */
    text[s.size - 1] = 'x';
    for (; s.piece < 64; s.piece *= 2) {
        s.done = 0;
        reader_init(&reader, &s, 64);
        cr_assert_eq(tn_reader_frame(&reader, &frame, length, 4), TN_EMSGSIZE);
        cr_assert_eq(tn_reader_frame(&reader, &frame, length, 5), 1);
        cr_assert(is(frame, "hello"));
        cr_assert_eq(tn_reader_frame(&reader, &frame, length, 5), TN_EBADMSG);
        cr_assert_eq(frame.size, 0);
        cr_assert_eq(tn_reader_exact(&reader, &frame, prefix_size + 1), 1); /* nothing of it was consumed */
        cr_assert_eq(frame.data[prefix_size], 'x');
        cr_assert_eq(tn_reader_frame(&reader, &frame, length, 5), 0);
        tn_reader_fini(&reader);
    }
}

Test(reader, frames_of_each_length)
{
    read_frame(TN_FRAME_8, "\5", 1);
    read_frame(TN_FRAME_16_BE, "\0\5", 2);
    read_frame(TN_FRAME_16_LE, "\5\0", 2);
    read_frame(TN_FRAME_32_BE, "\0\0\0\5", 4);
    read_frame(TN_FRAME_32_LE, "\5\0\0\0", 4);
    read_frame(TN_FRAME_64_BE, "\0\0\0\0\0\0\0\5", 8);
    read_frame(TN_FRAME_64_LE, "\5\0\0\0\0\0\0\0", 8);
}

/* The buffer has grown to just the size of the frame, and the read has filled it. source_wait checks that it is gone. */
Test(reader, a_large_frame_leaves_no_buffer)
{
    enum { SIZE = 100 };
    char text[1 + SIZE + 1] = {SIZE};
    source s;
    tn_reader reader;
    tn_bytes frame;

    memset(text + 1, 'x', SIZE);
    s = source_of(text, SIZE_MAX);
    reader_init(&reader, &s, 64);
    cr_assert_eq(tn_reader_frame(&reader, &frame, TN_FRAME_8, SIZE), 1);
    cr_assert_eq(frame.size, SIZE);
    cr_assert_eq(tn_reader_peek(&reader, &frame, 1), 0);
    cr_assert_eq(s.waits, 2);
    tn_reader_fini(&reader);
}

Test(reader, a_length_is_not_trusted)
{
    source s = {.bytes = "\xff\xff\xff\xff\xff\xff\xff\xff", .size = 8, .piece = 8};
    tn_reader reader;
    tn_bytes frame;

    reader_init(&reader, &s, 64);
    cr_assert_eq(tn_reader_frame(&reader, &frame, TN_FRAME_64_LE, SIZE_MAX), TN_EMSGSIZE);
    cr_assert_eq(tn_reader_frame(&reader, &frame, TN_FRAME_32_BE, (size_t)1 << 33), TN_EBADMSG);
    cr_assert_leq(reader.buffer.capacity, 64); /* memory comes with the bytes, not with the length */
    cr_assert_eq(tn_reader_frame(&reader, &frame, (tn_frame_length)3, 9), TN_EINVAL);
    tn_reader_fini(&reader);
}

Test(reader, peek_and_consume)
{
    source s = source_of("abcdefgh", 3);
    tn_reader reader;
    tn_bytes bytes;
    char buf[4];

    reader_init(&reader, &s, 64);
    cr_assert_eq(tn_reader_peek(&reader, &bytes, 0), 1);
    cr_assert_eq(bytes.size, 0);
    cr_assert_eq(tn_reader_peek(&reader, &bytes, 4), 1);
    cr_assert(is(bytes, "abcdef"));
    tn_reader_consume(&reader, 2);
    cr_assert_eq(tn_reader_peek(&reader, &bytes, 1), 1);
    cr_assert(is(bytes, "cdef"));
    cr_assert_eq(tn_reader_read(&reader, buf, 3), 3);
    cr_assert_arr_eq(buf, "cde", 3);
    cr_assert_eq(tn_reader_exact(&reader, &bytes, 0), 1);
    cr_assert_eq(tn_reader_exact(&reader, &bytes, 9), TN_EBADMSG);
    cr_assert_eq(tn_reader_peek(&reader, &bytes, 4), TN_EBADMSG);
    cr_assert(is(bytes, "fgh"));
    cr_assert_eq(tn_reader_read(&reader, buf, 4), 3);
    cr_assert_eq(tn_reader_read(&reader, buf, 4), 0);
    cr_assert_eq(tn_reader_peek(&reader, &bytes, 1), 0);
    tn_reader_fini(&reader);
}

Test(reader, an_error_loses_nothing)
{
    source s = source_of("ab", 8);
    tn_reader reader;
    tn_bytes line;

    s.at_end = TN_ECONNRESET;
    reader_init(&reader, &s, 64);
    cr_assert_eq(tn_reader_line(&reader, &line, 9), TN_ECONNRESET);
    s = source_of("c\n", 8);
    cr_assert_eq(tn_reader_line(&reader, &line, 9), 1);
    cr_assert(is(line, "abc"));
    tn_reader_fini(&reader);
}

/* TLS has this error for a record that is broken. */
Test(reader, an_error_that_reads_like_an_end_loses_nothing)
{
    source s = source_of("ab", 8);
    tn_reader reader;
    tn_bytes line;

    s.at_end = TN_EBADMSG;
    reader_init(&reader, &s, 64);
    cr_assert_eq(tn_reader_line(&reader, &line, 9), TN_EBADMSG);
    cr_assert_eq(line.size, 0);
    cr_assert_eq(tn_reader_until(&reader, &line, ';', 9), TN_EBADMSG);
    s = source_of("c\n", 8);
    cr_assert_eq(tn_reader_line(&reader, &line, 9), 1);
    cr_assert(is(line, "abc"));
    tn_reader_fini(&reader);
}

Test(reader, refuses_options_and_survives_without_memory)
{
    tn_buffer_options options = tn_buffer_options_default();
    source s = source_of("abc\n", 1);
    tt_allocator allocator;
    tn_reader reader;
    tn_bytes line;

    options.buffer_size = 63;
    cr_assert_eq(tn_reader_init(&reader, (tn_io){&source_ops, &s}, &options), TN_EINVAL);
    tt_allocator_init(&allocator);
    options.buffer_size = 64;
    options.allocator = &allocator.as_option;
    cr_assert_eq(tn_reader_init(&reader, (tn_io){&source_ops, &s}, &options), 0);
    tt_allocator_fail(&allocator, 1, 1);
    cr_assert_eq(tn_reader_line(&reader, &line, 9), TN_ENOMEM);
    cr_assert_eq(tn_reader_line(&reader, &line, 9), 1);
    cr_assert(is(line, "abc"));
    tn_reader_fini(&reader);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}

/* --- As a byte stream ---------------------------------------------------------------------------------------------------- */

static int some_descriptor(void *object, tn_direction direction)
{
    (void)object, (void)direction;
    return 77;
}

Test(reader, is_a_byte_stream_too)
{
    static const tn_io_ops ops = {.size = sizeof ops, .read = source_read, .wait = source_wait, .descriptor = some_descriptor};
    source s = source_of("line\nrest", 64);
    tn_reader reader;
    tn_bytes line;
    char buf[8];
    tn_io io;

    cr_assert_eq(tn_reader_init(&reader, (tn_io){&ops, &s}, NULL), 0);
    io = tn_reader_io(&reader);
    cr_assert_eq(tn_io_descriptor(io, TN_READABLE), 77);
    cr_assert_eq(tn_reader_line(&reader, &line, 9), 1);
    cr_assert_eq(tn_io_descriptor(io, TN_READABLE), TN_ENOTSUP); /* "rest" is in the buffer */
    cr_assert_eq(tn_io_descriptor(io, TN_WRITABLE), 77);
    s.waits = 0;
    cr_assert_eq(tn_io_wait(io, TN_READABLE), 0);
    cr_assert_eq(s.waits, 0);
    cr_assert_eq(tn_io_read(io, buf, 8), 4);
    cr_assert_eq(tn_io_descriptor(io, TN_READABLE), 77);
    cr_assert_eq(tn_io_wait(io, TN_READABLE), 0);
    cr_assert_eq(s.waits, 1);
    cr_assert_eq(tn_io_write(io, buf, 1), TN_ENOTSUP);
    tn_reader_fini(&reader);
}

/* --- A stream that can be tried ------------------------------------------------------------------------------------------ */

typedef struct {
    source below;
    unsigned empty; /* so many tries find nothing */
    unsigned tries;
} tried;

static ssize_t tried_try_read(void *object, void *buf, size_t size)
{
    tried *t = object;

    t->tries++;
    if (t->empty == 0)
        return source_read(&t->below, buf, size);
    t->empty--;
    return TN_EAGAIN;
}

static const tn_io_ops tried_ops = {
    .size = sizeof tried_ops, .read = source_read, .wait = source_wait, .try_read = tried_try_read};

/* source_wait checks that the reader holds no buffer then. */
Test(reader, waits_only_if_a_try_finds_nothing)
{
    tried t = {.below = source_of("one\ntwo\nthree\n", 4)};
    tn_reader reader;
    tn_bytes line;

    cr_assert_eq(tn_reader_init(&reader, (tn_io){&tried_ops, &t}, NULL), 0);
    t.below.seen = &reader;
    cr_assert_eq(tn_reader_line(&reader, &line, 9), 1);
    cr_assert_eq(t.below.waits, 0);
    t.empty = 1;
    cr_assert_eq(tn_reader_line(&reader, &line, 9), 1);
    cr_assert(is(line, "two"));
    cr_assert_eq(t.below.waits, 1);
    cr_assert_eq(tn_reader_line(&reader, &line, 9), 1); /* tries once, and then reads */
    cr_assert(is(line, "three"));
    cr_assert_eq(t.tries, 3);
    cr_assert_eq(t.below.waits, 1);
    cr_assert_eq(tn_reader_line(&reader, &line, 9), 0);
    cr_assert_null(reader.buffer.bytes);
    tn_reader_fini(&reader);
}

static void *read_cancelled(void *arg)
{
    tried t = {.below = source_of("one\ntwo\n", 4)};
    tn_reader reader;
    tn_bytes line;
    tn_cancel_source cut;
    tn_scope scope;

    tt_check_eq(tn_reader_init(&reader, (tn_io){&tried_ops, &t}, NULL), 0);
    tn_cancel_source_init(&cut);
    tn_cancel_source_cancel(&cut);
    tn_scope_enter_with(&scope, TN_NEVER, &cut);
    tt_check_eq(tn_reader_line(&reader, &line, 9), TN_ECANCELED);
    tn_scope_leave(&scope);
    tn_cancel_source_fini(&cut);
    tt_check_eq(t.tries, 0);
    tt_check_eq(tn_reader_line(&reader, &line, 9), 1);
    tt_check(is(line, "one"));
    tn_reader_fini(&reader);
    return arg;
}

Test(reader, a_try_is_a_cancellation_point)
{
    tt_run(read_cancelled, NULL);
}

/* A task that reads for ever lets others run: each read of the stream spends a unit, and what is in the buffer is free. */
static void *count_units(void *arg)
{
    tried t = {.below = source_of("one\ntwo\n", 8)};
    tn_reader reader;
    tn_bytes line;

    tt_check_eq(tn_reader_init(&reader, (tn_io){&tried_ops, &t}, NULL), 0);
    for (unsigned i = 0; i < 10; i++, t.below.done = 0) {
        tn_self()->budget = 50;
        tt_check_eq(tn_reader_line(&reader, &line, 9), 1);
        tt_check_eq(tn_self()->budget, 49);
        tt_check_eq(tn_reader_line(&reader, &line, 9), 1);
        tt_check_eq(tn_self()->budget, 49);
    }
    tn_reader_fini(&reader);
    return arg;
}

Test(reader, a_try_spends_a_unit_of_the_budget)
{
    tt_run(count_units, NULL);
}

/* --- Cut short ----------------------------------------------------------------------------------------------------------- */

typedef struct {
    tn_io io;
    unsigned long lines;
} lines;

/* Writes numbered lines in pieces, and waits between them from time to time. */
static void *write_lines(void *arg)
{
    lines *l = arg;
    char text[32];

    for (unsigned long i = 0; i < l->lines; i++) {
        int size = snprintf(text, sizeof text, "line %lu\r\n", i);
        size_t first = (size_t)(i % (unsigned)size);
        tt_check_eq(tn_io_write_all(l->io, text, first), 0);
        if (i % 16 == 0)
            tt_check_eq(tn_sleep(50 * TN_US), 0);
        tt_check_eq(tn_io_write_all(l->io, text + first, (size_t)size - first), 0);
    }
    tt_check_eq(tn_io_close_write(l->io), 0);
    return NULL;
}

static int line_within(tn_reader *reader, tn_bytes *line, uint64_t ns)
{
    TN_SCOPE(scope, tn_now() + ns);

    return tn_reader_line(reader, line, 30);
}

static void *read_with_deadlines(void *arg)
{
    tn_io ends[2];
    lines l = {.lines = tt_scaled(500)};
    tn_task *writer;
    tn_reader reader;
    tn_bytes line;
    int rc;

    (void)arg;
    tt_check_eq(tn_duplex_open(ends, NULL), 0);
    l.io = ends[0];
    tt_check_eq(tn_reader_init(&reader, ends[1], NULL), 0);
    writer = tt_spawn(write_lines, &l);
    for (unsigned long i = 0; i < l.lines; i++) {
        char text[32];
        while ((rc = line_within(&reader, &line, 20 * TN_US)) == TN_ETIMEDOUT)
            ;
        tt_check_eq(rc, 1);
        snprintf(text, sizeof text, "line %lu", i);
        tt_check(is(line, text));
    }
    tt_check_eq(tn_reader_line(&reader, &line, 30), 0);
    tn_reader_fini(&reader);
    tt_join(writer);
    tn_io_close(ends[0]);
    tn_io_close(ends[1]);
    return NULL;
}

Test(reader, deadlines_lose_no_byte)
{
    tt_run(read_with_deadlines, NULL);
}
