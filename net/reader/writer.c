/* SPDX-License-Identifier: MIT */
/* Writing small pieces. A piece is taken whole or not at all. When a part of it has been sent and the rest cannot be, the buffer
 * takes the rest, so the piece is taken; the next call returns the error. */
#include <tn/writer.h>

#include <stdio.h>
#include <string.h>

#include "base/vector.h"
#include "reader/buffer.h"

int tn_writer_init(tn_writer *writer, tn_io io, const tn_buffer_options *options)
{
    *writer = (tn_writer){.io = io};
    return tni_buffer_init(&writer->buffer, options, "tn_writer_init");
}

void tn_writer_fini(tn_writer *writer)
{
    tni_buffer_free(&writer->buffer);
}

/* Sends all that is in the buffer. */
static int send_buffer(tn_writer *writer)
{
    tn_buffer *buffer = &writer->buffer;

    while (tni_buffer_used(buffer) > 0) {
        ssize_t n = tn_io_write(writer->io, buffer->bytes + buffer->begin, tni_buffer_used(buffer));
        if (n < 0)
            return (int)n;
        buffer->begin += (size_t)n;
    }
    tni_buffer_free(buffer);
    return 0;
}

/* Once: sends some of what is in the buffer, and of the piece in iov[1] and iov[2] behind it. */
static int send_some(tn_writer *writer, struct iovec iov[3])
{
    tn_buffer *buffer = &writer->buffer;
    size_t used = tni_buffer_used(buffer);
    ssize_t n;

    iov[0] = (struct iovec){used > 0 ? buffer->bytes + buffer->begin : NULL, used};
    n = tn_io_writev(writer->io, iov, 3);
    if (n < 0)
        return (int)n;
    tni_vector_advance(iov, (size_t)n);
    buffer->begin += used - iov[0].iov_len;
    return 0;
}

static int append(tn_buffer *buffer, const struct iovec iov[3])
{
    int rc = tni_buffer_reserve(buffer, iov[1].iov_len + iov[2].iov_len);

    if (rc != 0)
        return rc;
    for (unsigned i = 1; i < 3; i++) {
        if (iov[i].iov_len > 0)
            memcpy(buffer->bytes + buffer->end, iov[i].iov_base, iov[i].iov_len);
        buffer->end += iov[i].iov_len;
    }
    return 0;
}

/* Takes a piece, iov[1] and iov[2]; iov[0] is for what is in the buffer. */
static int put(tn_writer *writer, struct iovec iov[3])
{
    const size_t size = iov[1].iov_len + iov[2].iov_len;
    size_t left = size;
    int rc = writer->error;

    while (rc == 0 && tni_buffer_used(&writer->buffer) + left > writer->buffer.usual) {
        rc = send_some(writer, iov);
        left = iov[1].iov_len + iov[2].iov_len;
    }
    if (rc != 0 && left == size)
        return rc;
    if (left > 0) {
        rc = append(&writer->buffer, iov);
        if (rc != 0 && left < size)
            writer->error = rc;
        return rc;
    }
    if (tni_buffer_used(&writer->buffer) == 0)
        tni_buffer_free(&writer->buffer);
    return 0;
}

/* The bytes are only read; iovec has no const because readv uses it too. */
static struct iovec piece_of(const void *data, size_t size)
{
    return (struct iovec){(void *)(uintptr_t)data, size};
}

int tn_writer_write(tn_writer *writer, const void *data, size_t size)
{
    struct iovec iov[3] = {{NULL, 0}, piece_of(data, size), {NULL, 0}};

    if (size > SSIZE_MAX / 2)
        return TN_EINVAL;
    return put(writer, iov);
}

int tn_writer_frame(tn_writer *writer, tn_frame_length length, const void *data, size_t size)
{
    size_t prefix = tni_buffer_length_size(length);
    unsigned char bytes[8];
    struct iovec iov[3] = {{NULL, 0}, {bytes, prefix}, piece_of(data, size)};

    if (prefix == 0)
        return TN_EINVAL;
    if (size > SSIZE_MAX / 2 || (prefix < sizeof size && size >> (8 * prefix) != 0))
        return TN_EMSGSIZE;
    for (size_t i = 0; i < prefix; i++)
        bytes[tni_buffer_length_byte(length, prefix, i)] = (unsigned char)((uint64_t)size >> (8 * i));
    return put(writer, iov);
}

int tn_writer_vprintf(tn_writer *writer, const char *format, va_list arguments)
{
    tn_buffer *buffer = &writer->buffer;
    va_list again;
    int size;
    int rc = writer->error != 0 ? writer->error : tni_buffer_reserve(buffer, 1);

    if (rc != 0)
        return rc;
    va_copy(again, arguments);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): copied above */
    size = vsnprintf(buffer->bytes + buffer->end, tni_buffer_space(buffer), format, again);
    va_end(again);
    if (size < 0)
        return TN_EINVAL;
    if ((size_t)size >= tni_buffer_space(buffer)) { /* with its zero it does not fit */
        rc = tni_buffer_used(buffer) + (size_t)size >= buffer->usual ? send_buffer(writer) : 0;
        if (rc == 0)
            rc = tni_buffer_reserve(buffer, (size_t)size + 1);
        if (rc != 0)
            return rc;
        /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): the caller has started it */
        size = vsnprintf(buffer->bytes + buffer->end, tni_buffer_space(buffer), format, arguments);
        if (size < 0)
            return TN_EINVAL;
    }
    buffer->end += (size_t)size;
    return 0;
}

int tn_writer_printf(tn_writer *writer, const char *format, ...)
{
    va_list arguments;
    int rc;

    va_start(arguments, format);
    rc = tn_writer_vprintf(writer, format, arguments);
    va_end(arguments);
    return rc;
}

int tn_writer_flush(tn_writer *writer)
{
    if (writer->error != 0)
        return writer->error;
    return writer->corks > 0 ? 0 : send_buffer(writer);
}

void tn_writer_cork(tn_writer *writer)
{
    writer->corks++;
}

int tn_writer_uncork(tn_writer *writer)
{
    tni_assert(writer->corks > 0, "tn_writer_uncork: it is not corked");
    writer->corks--;
    return tn_writer_flush(writer);
}
