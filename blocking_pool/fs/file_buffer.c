/* SPDX-License-Identifier: MIT */
/* Buffered reading and writing of files. */
#include <string.h>

#include <tn/fs.h>

#include "base/defs.h"

/* --- Reading ---------------------------------------------------------------------------------------------------------------- */

void tn_file_reader_init(tn_file_reader *reader, tn_file *file, void *buf, size_t size, int64_t offset)
{
    tni_assert(size > 0, "tn_file_reader_init without a buffer");
    *reader = (tn_file_reader){.file = file, .buf = buf, .capacity = size, .offset = offset};
}

/* Reads more data behind what is in the buffer. Returns the number of bytes; 0 at the end of the file. */
static ssize_t fill(tn_file_reader *reader)
{
    ssize_t n;

    if (reader->begin > 0) {
        memmove(reader->buf, reader->buf + reader->begin, reader->end - reader->begin);
        reader->end -= reader->begin;
        reader->begin = 0;
    }
    n = tn_file_pread(reader->file, reader->buf + reader->end, reader->capacity - reader->end, reader->offset);
    if (n > 0) {
        reader->end += (size_t)n;
        reader->offset += n;
    }
    return n;
}

static size_t copy_buffered(tn_file_reader *reader, char *to, size_t size)
{
    size_t held = reader->end - reader->begin;
    size_t some = held < size ? held : size;

    memcpy(to, reader->buf + reader->begin, some);
    reader->begin += some;
    return some;
}

ssize_t tn_file_reader_read(tn_file_reader *reader, void *buf, size_t size)
{
    char *to = buf;
    size_t done = 0;
    ssize_t n = 0;

    size = size < SSIZE_MAX ? size : SSIZE_MAX;
    while (size > 0) {
        size_t some = copy_buffered(reader, to + done, size - done);
        done += some;
        if (done == size)
            break;
        if (size - done >= reader->capacity) { /* the buffer would only add a copy */
            n = tn_file_pread(reader->file, to + done, size - done, reader->offset);
            if (n > 0) {
                reader->offset += n;
                done += (size_t)n;
            }
            break;
        }
        n = fill(reader);
        if (n <= 0)
            break;
    }
    return done > 0 ? (ssize_t)done : n;
}

ssize_t tn_file_reader_line(tn_file_reader *reader, char **line)
{
    size_t seen = 0; /* bytes after `begin` without a newline */
    ssize_t n;

    for (;;) {
        size_t held = reader->end - reader->begin;
        char *newline = memchr(reader->buf + reader->begin + seen, '\n', held - seen);
        if (newline != NULL) {
            held = (size_t)(newline + 1 - (reader->buf + reader->begin));
        } else if (held == reader->capacity) {
            return -E2BIG;
        } else {
            seen = held;
            n = fill(reader);
            if (n < 0)
                return n;
            if (n > 0)
                continue;
        }
        *line = reader->buf + reader->begin;
        reader->begin += held;
        return (ssize_t)held;
    }
}

/* --- Writing ---------------------------------------------------------------------------------------------------------------- */

void tn_file_writer_init(tn_file_writer *writer, tn_file *file, void *buf, size_t size)
{
    tni_assert(size > 0, "tn_file_writer_init without a buffer");
    *writer = (tn_file_writer){.file = file, .buf = buf, .capacity = size};
}

static bool is_cut_short(ssize_t n)
{
    return n == TN_ECANCELED || n == TN_ETIMEDOUT;
}

/* Writes all of it, or returns the error; *written is the number of bytes written. */
static int write_all(tn_file_writer *writer, const char *data, size_t size, size_t *written)
{
    *written = 0;
    while (*written < size) {
        ssize_t n = tn_file_write(writer->file, data + *written, size - *written);
        if (n <= 0) {
            if (is_cut_short(n))
                return (int)n;
            return writer->error = n < 0 ? (int)n : -EIO;
        }
        *written += (size_t)n;
    }
    return 0;
}

int tn_file_writer_flush(tn_file_writer *writer)
{
    size_t written;
    int rc;

    if (writer->error != 0 || writer->used == 0)
        return writer->error;
    rc = write_all(writer, writer->buf, writer->used, &written);
    memmove(writer->buf, writer->buf + written, writer->used - written);
    writer->used -= written;
    return rc;
}

int tn_file_writer_write(tn_file_writer *writer, const void *data, size_t size)
{
    const char *from = data;
    size_t written;

    if (writer->error != 0)
        return writer->error;
    while (size > 0) {
        size_t free_bytes = writer->capacity - writer->used;
        size_t some = free_bytes < size ? free_bytes : size;
        int rc;
        if (writer->used == 0 && size >= writer->capacity) /* the buffer would only add a copy */
            return write_all(writer, from, size, &written);
        memcpy(writer->buf + writer->used, from, some);
        writer->used += some;
        from += some;
        size -= some;
        if (writer->used < writer->capacity)
            break;
        rc = tn_file_writer_flush(writer);
        if (rc != 0)
            return rc;
    }
    return 0;
}
