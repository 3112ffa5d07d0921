/* SPDX-License-Identifier: MIT */
/* Reading lines, frames and exact numbers of bytes. A call consumes only what it returns, so one that is cut short has left all
 * bytes in the buffer. */
#include <tn/reader.h>

#include <string.h>

#include "io/io.h"
#include "reader/buffer.h"
#include "sched/budget_fiber.h"

int tn_reader_init(tn_reader *reader, tn_io io, const tn_buffer_options *options)
{
    *reader = (tn_reader){.io = io};
    return tni_buffer_init(&reader->buffer, options, "tn_reader_init");
}

void tn_reader_fini(tn_reader *reader)
{
    tni_buffer_free(&reader->buffer);
}

/* The buffer is empty, and has memory. */
static ssize_t take_in(tn_reader *reader, ssize_t n)
{
    if (n > 0)
        reader->buffer.end = (size_t)n;
    else
        tni_buffer_free(&reader->buffer);
    return n;
}

/* The buffer is empty, and not held while the call waits. */
static ssize_t fill_after_wait(tn_reader *reader)
{
    tn_buffer *buffer = &reader->buffer;
    int rc;

    tni_buffer_free(buffer);
    rc = tn_io_wait(reader->io, TN_READABLE);
    if (rc == 0)
        rc = tni_buffer_make_space(buffer, buffer->usual);
    return rc != 0 ? rc : take_in(reader, tn_io_read(reader->io, buffer->bytes, buffer->capacity));
}

/* The buffer is empty. Its memory may be used for a try. Returns how many bytes; 0 at the end; or an error. */
static ssize_t fill_empty(tn_reader *reader)
{
    tn_buffer *buffer = &reader->buffer;
    ssize_t n = tni_budget_enter_inline(); /* a try is no cancellation point */

    if (n != 0)
        return take_in(reader, n);
    buffer->begin = buffer->end = 0;
    if (buffer->capacity != buffer->usual) { /* there is none, or it has grown for one line or frame */
        tni_buffer_free(buffer);
        n = tni_buffer_make_space(buffer, buffer->usual);
        if (n != 0)
            return n;
    }
    n = tn_io_try_read(reader->io, buffer->bytes, buffer->capacity);
    if (n == TN_EAGAIN || n == TN_ENOTSUP)
        return fill_after_wait(reader);
    return take_in(reader, n);
}

/* Reads more behind what is in the buffer, which may grow to `most` bytes. Returns how many bytes; 0 at the end; or an error. */
static ssize_t fill(tn_reader *reader, size_t most)
{
    tn_buffer *buffer = &reader->buffer;
    ssize_t n;

    if (tni_buffer_used(buffer) == 0)
        return fill_empty(reader);
    n = tni_buffer_make_space(buffer, most);
    if (n == 0)
        n = tn_io_read(reader->io, buffer->bytes + buffer->end, tni_buffer_space(buffer));
    if (n > 0)
        buffer->end += (size_t)n;
    return n;
}

/* As fill; a buffer that is not empty stays as it is. */
static ssize_t fill_if_empty(tn_reader *reader)
{
    return tni_buffer_used(&reader->buffer) == 0 ? fill_empty(reader) : 1;
}

/* The result of a call that needs more bytes than the stream has. */
static int at_the_end(const tn_reader *reader)
{
    return tni_buffer_used(&reader->buffer) == 0 ? 0 : TN_EBADMSG;
}

/* Reads until the buffer has `least` bytes. Returns 1; 0 or TN_EBADMSG at the end; or an error. */
static int need(tn_reader *reader, size_t least)
{
    while (tni_buffer_used(&reader->buffer) < least) {
        ssize_t n = fill(reader, least);
        if (n < 0)
            return (int)n;
        if (n == 0)
            return at_the_end(reader);
    }
    return 1;
}

static tn_bytes bytes_at(const tn_reader *reader, size_t offset, size_t size)
{
    tn_bytes bytes = {"", 0};

    if (reader->buffer.bytes != NULL)
        bytes = (tn_bytes){reader->buffer.bytes + reader->buffer.begin + offset, size};
    return bytes;
}

static void consume(tn_reader *reader, size_t size)
{
    reader->buffer.begin += size;
    reader->searched = 0;
}

/* --- Up to a delimiter --------------------------------------------------------------------------------------------------- */

/* What find returns if the stream has ended inside a part. It is no error code: a stream may fail with any. */
#define ENDED_INSIDE 2

/* Searches the first `most` bytes for the delimiter, and reads until it is there. `*length`: of what is before it. Returns 1; 0
 * at the end; ENDED_INSIDE; or an error. */
static int find(tn_reader *reader, char delimiter, size_t most, size_t *length)
{
    if (reader->delimiter != (unsigned char)delimiter)
        reader->searched = 0;
    reader->delimiter = (unsigned char)delimiter;
    for (;;) {
        size_t used = tni_buffer_used(&reader->buffer);
        size_t there = used < most ? used : most;
        if (there > reader->searched) {
            const char *begin = reader->buffer.bytes + reader->buffer.begin;
            const char *found = memchr(begin + reader->searched, delimiter, there - reader->searched);
            if (found != NULL) {
                *length = (size_t)(found - begin);
                return 1;
            }
            reader->searched = there;
        }
        if (used >= most)
            return TN_EMSGSIZE;
        ssize_t n = fill(reader, most);
        if (n < 0)
            return (int)n;
        if (n == 0)
            return tni_buffer_used(&reader->buffer) == 0 ? 0 : ENDED_INSIDE;
    }
}

/* `slack`: bytes behind the part of `limit` bytes, the delimiter included. */
static size_t most_of(size_t limit, size_t slack)
{
    return limit < SIZE_MAX - slack ? limit + slack : SIZE_MAX;
}

/* The end of a call that has searched, with the result `rc`. The stream has ended inside the part: that is all there is. */
static int give_rest(tn_reader *reader, tn_bytes *part, int rc)
{
    if (rc == ENDED_INSIDE) {
        size_t size = tni_buffer_used(&reader->buffer);
        *part = bytes_at(reader, 0, size);
        consume(reader, size);
        return TN_EBADMSG;
    }
    return rc; /* TN_EBADMSG too, which may be an error of the stream: more of the part may follow */
}

static int until(tn_reader *reader, tn_bytes *part, char delimiter, size_t limit)
{
    size_t length = 0;
    int rc = find(reader, delimiter, most_of(limit, 1), &length);

    *part = bytes_at(reader, 0, 0);
    if (rc != 1)
        return give_rest(reader, part, rc);
    *part = bytes_at(reader, 0, length);
    consume(reader, length + 1);
    return 1;
}

static int line_until(tn_reader *reader, tn_bytes *line, size_t limit)
{
    size_t length = 0;
    int rc = find(reader, '\n', most_of(limit, 2), &length);

    *line = bytes_at(reader, 0, 0);
    if (rc == ENDED_INSIDE && tni_buffer_used(&reader->buffer) > limit)
        return TN_EMSGSIZE; /* the stream has ended, so the byte beyond the limit is no CR of a CRLF */
    if (rc != 1)
        return give_rest(reader, line, rc);
    *line = bytes_at(reader, 0, length);
    if (length > 0 && line->data[length - 1] == '\r')
        line->size--;
    if (line->size > limit) {
        *line = bytes_at(reader, 0, 0);
        return TN_EMSGSIZE;
    }
    consume(reader, length + 1);
    return 1;
}

int tn_reader_until_(tn_reader *reader, tn_bytes *part, char delimiter, size_t limit)
{
    ssize_t n = fill_if_empty(reader);

    if (n <= 0) {
        *part = bytes_at(reader, 0, 0);
        return (int)n;
    }
    return tn_reader_take_until_(reader, part, delimiter, limit, false) ? 1 : until(reader, part, delimiter, limit);
}

int tn_reader_line_(tn_reader *reader, tn_bytes *line, size_t limit)
{
    ssize_t n = fill_if_empty(reader);

    if (n <= 0) {
        *line = bytes_at(reader, 0, 0);
        return (int)n;
    }
    return tn_reader_take_until_(reader, line, '\n', limit, true) ? 1 : line_until(reader, line, limit);
}

/* --- By number ----------------------------------------------------------------------------------------------------------- */

static int frame_of(tn_reader *reader, tn_bytes *frame, tn_frame_length length, size_t limit)
{
    size_t prefix = tn_frame_prefix_(length);
    uint64_t size;
    int rc = need(reader, prefix);

    *frame = bytes_at(reader, 0, 0);
    if (rc <= 0)
        return rc;
    size = tn_frame_value_(length, reader->buffer.bytes + reader->buffer.begin);
    if (size > limit || size > SIZE_MAX - prefix)
        return TN_EMSGSIZE;
    rc = need(reader, prefix + (size_t)size);
    if (rc <= 0)
        return rc;
    *frame = bytes_at(reader, prefix, (size_t)size);
    consume(reader, prefix + (size_t)size);
    return 1;
}

int tn_reader_frame_(tn_reader *reader, tn_bytes *frame, tn_frame_length length, size_t limit)
{
    ssize_t n = tn_frame_prefix_(length) > 0 ? fill_if_empty(reader) : (ssize_t)TN_EINVAL;

    if (n <= 0) {
        *frame = bytes_at(reader, 0, 0);
        return (int)n;
    }
    return tn_reader_take_frame_(reader, frame, length, limit) ? 1 : frame_of(reader, frame, length, limit);
}

int tn_reader_exact_(tn_reader *reader, tn_bytes *bytes, size_t size)
{
    int rc = need(reader, size);

    *bytes = bytes_at(reader, 0, 0);
    if (rc <= 0)
        return rc;
    *bytes = bytes_at(reader, 0, size);
    consume(reader, size);
    return 1;
}

int tn_reader_peek(tn_reader *reader, tn_bytes *bytes, size_t least)
{
    int rc = need(reader, least);

    *bytes = bytes_at(reader, 0, tni_buffer_used(&reader->buffer));
    return rc;
}

void tn_reader_consume(tn_reader *reader, size_t size)
{
    tni_assert(size <= tni_buffer_used(&reader->buffer), "tn_reader_consume: the buffer has fewer bytes");
    consume(reader, size);
}

ssize_t tn_reader_read(tn_reader *reader, void *buf, size_t size)
{
    size_t used = tni_buffer_used(&reader->buffer);

    if (used == 0 && size >= reader->buffer.usual) {
        tni_buffer_free(&reader->buffer);
        return tn_io_read(reader->io, buf, size);
    }
    if (used == 0 && size > 0) {
        ssize_t n = fill(reader, reader->buffer.usual);
        if (n <= 0)
            return n;
        used = tni_buffer_used(&reader->buffer);
    }
    if (size > used)
        size = used;
    if (size > 0) {
        memcpy(buf, reader->buffer.bytes + reader->buffer.begin, size);
        consume(reader, size);
    }
    return (ssize_t)size;
}

/* --- As a byte stream ---------------------------------------------------------------------------------------------------- */

static ssize_t below_read(void *object, void *buf, size_t size)
{
    return tn_reader_read(object, buf, size);
}

static ssize_t below_try_read(void *object, void *buf, size_t size)
{
    tn_reader *reader = object;

    return tni_buffer_used(&reader->buffer) > 0 ? tn_reader_read(reader, buf, size) : tn_io_try_read(reader->io, buf, size);
}

static ssize_t below_write(void *object, const void *buf, size_t size)
{
    return tn_io_write(((tn_reader *)object)->io, buf, size);
}

static ssize_t below_writev(void *object, const struct iovec *iov, int count)
{
    return tn_io_writev(((tn_reader *)object)->io, iov, count);
}

static ssize_t below_try_write(void *object, const void *buf, size_t size)
{
    return tn_io_try_write(((tn_reader *)object)->io, buf, size);
}

static int below_close_write(void *object)
{
    return tn_io_close_write(((tn_reader *)object)->io);
}

static void below_close(void *object)
{
    tn_io_close(((tn_reader *)object)->io);
}

static int below_wait(void *object, tn_direction direction)
{
    tn_reader *reader = object;

    if (direction == TN_READABLE && tni_buffer_used(&reader->buffer) > 0)
        return 0;
    if (direction == TN_READABLE)
        tni_buffer_free(&reader->buffer);
    return tn_io_wait(reader->io, direction);
}

static tn_future *below_wait_init(void *object, tn_direction direction, uint64_t *memory)
{
    tn_reader *reader = object;

    if (direction == TN_READABLE && tni_buffer_used(&reader->buffer) > 0)
        return tni_io_wait_ready();
    if (direction == TN_READABLE)
        tni_buffer_free(&reader->buffer);
    return tni_io_wait_inner(reader->io, direction, memory);
}

static int below_abort(void *object)
{
    return tn_io_abort(((tn_reader *)object)->io);
}

static int below_descriptor(void *object, tn_direction direction)
{
    tn_reader *reader = object;

    if (direction == TN_READABLE && tni_buffer_used(&reader->buffer) > 0)
        return TN_ENOTSUP;
    return tn_io_descriptor(reader->io, direction);
}

tn_io tn_reader_io(tn_reader *reader)
{
    static const tn_io_ops ops = {
        .size = sizeof(tn_io_ops),
        .read = below_read,
        .write = below_write,
        .writev = below_writev,
        .close_write = below_close_write,
        .close = below_close,
        .wait = below_wait,
        .abort = below_abort,
        .descriptor = below_descriptor,
        .try_read = below_try_read,
        .try_write = below_try_write,
        .wait_init = below_wait_init,
    };
    tn_io io = {&ops, reader};

    return io;
}
