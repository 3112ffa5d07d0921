/* SPDX-License-Identifier: MIT */
/* Writing small pieces. A piece is taken whole or not at all. When a part of it has been sent and the rest cannot be, the buffer
 * takes the rest, so the piece is taken; the next call returns the error. */
#include <tn/writer.h>

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/vector.h"
#include "reader/buffer.h"
#include "reader/slice_queue.h"

int tn_writer_init(tn_writer *writer, tn_io io, const tn_buffer_options *options)
{
    *writer = (tn_writer){.io = io};
    return tni_buffer_init(&writer->buffer, options, "tn_writer_init");
}

static size_t waiting(const tn_writer *writer)
{
    return tni_buffer_used(&writer->buffer) + (writer->slices != NULL ? writer->slices->bytes : 0);
}

/* Gives the memory back, also that of what was not sent. */
static void free_all(tn_writer *writer)
{
    tn_slice_queue *slices = writer->slices;

    tni_buffer_free(&writer->buffer);
    if (slices == NULL)
        return;
    tni_slice_queue_clear(slices);
    tni_free(&writer->buffer.allocator, slices, sizeof *slices);
    writer->slices = NULL;
}

void tn_writer_fini(tn_writer *writer)
{
    free_all(writer);
}

/* Once: sends some of what waits, and of the piece in piece[0] and piece[1] behind it, which become what is left of it. */
static int send_some(tn_writer *writer, struct iovec piece[2])
{
    tn_buffer *buffer = &writer->buffer;
    size_t used = tni_buffer_used(buffer);
    struct iovec iov[TNI_SLICES_IOV + 2];
    int count = 0;
    size_t sent;
    ssize_t n;

    if (writer->slices != NULL)
        count = tni_slice_queue_gather(writer->slices, used > 0 ? buffer->bytes + buffer->begin : NULL, used, iov);
    else if (used > 0)
        iov[count++] = (struct iovec){buffer->bytes + buffer->begin, used};
    for (unsigned i = 0; i < 2; i++)
        if (piece[i].iov_len > 0)
            iov[count++] = piece[i];
    n = tn_io_writev(writer->io, iov, count);
    if (n < 0)
        return (int)n;
    sent = (size_t)n;
    if (writer->slices != NULL)
        buffer->begin += tni_slice_queue_sent(writer->slices, &sent);
    used = tni_buffer_used(buffer);
    if (sent <= used) {
        buffer->begin += sent;
        return 0;
    }
    buffer->begin += used;
    tni_vector_advance(piece, sent - used);
    return 0;
}

/* Sends all that waits. */
static int send_all(tn_writer *writer)
{
    tn_buffer *buffer = &writer->buffer;

    while (waiting(writer) > 0) {
        struct iovec none[2] = {{NULL, 0}, {NULL, 0}};
        ssize_t n;
        if (writer->slices != NULL)
            n = send_some(writer, none);
        else
            n = tn_io_write(writer->io, buffer->bytes + buffer->begin, tni_buffer_used(buffer));
        if (n < 0)
            return (int)n;
        buffer->begin += (size_t)n;
    }
    free_all(writer);
    return 0;
}

static int append(tn_buffer *buffer, const struct iovec piece[2])
{
    int rc = tni_buffer_reserve(buffer, piece[0].iov_len + piece[1].iov_len);

    if (rc != 0)
        return rc;
    for (unsigned i = 0; i < 2; i++) {
        if (piece[i].iov_len > 0)
            memcpy(buffer->bytes + buffer->end, piece[i].iov_base, piece[i].iov_len);
        buffer->end += piece[i].iov_len;
    }
    return 0;
}

/* Takes a piece, piece[0] and piece[1]. */
static int put(tn_writer *writer, struct iovec piece[2])
{
    const size_t size = piece[0].iov_len + piece[1].iov_len;
    size_t left = size;
    int rc = writer->error;

    while (rc == 0 && waiting(writer) + left > writer->buffer.usual) {
        rc = send_some(writer, piece);
        left = piece[0].iov_len + piece[1].iov_len;
    }
    if (rc != 0 && left == size)
        return rc;
    if (left > 0) {
        rc = append(&writer->buffer, piece);
        if (rc != 0 && left < size)
            writer->error = rc;
        return rc;
    }
    if (waiting(writer) == 0)
        free_all(writer);
    return 0;
}

/* Makes a slot for a slice. Nothing else has changed if it fails. */
static int make_slot(tn_writer *writer)
{
    tn_slice_queue *slices = writer->slices;
    int rc = 0;

    if (slices != NULL && slices->count < TNI_SLICES_MAX)
        return 0;
    if (slices != NULL)
        rc = send_all(writer);
    if (rc != 0)
        return rc;
    slices = tni_alloc_uninitialized(&writer->buffer.allocator, sizeof *slices, _Alignof(tn_slice_queue));
    if (slices == NULL)
        return TN_ENOMEM;
    slices->count = 0;
    slices->ahead = slices->bytes = 0;
    writer->slices = slices;
    return 0;
}

int tn_writer_slice(tn_writer *writer, tn_slice slice)
{
    struct iovec none[2] = {{NULL, 0}, {NULL, 0}};
    tn_slice_queue *slices;
    int rc = writer->error;

    if (rc != 0 || slice.bytes.size == 0)
        return rc;
    rc = make_slot(writer);
    if (rc != 0)
        return rc;
    slices = writer->slices;
    tni_slice_queue_push(slices, tni_buffer_used(&writer->buffer), slice);
    while (rc == 0 && waiting(writer) > writer->buffer.usual)
        rc = send_some(writer, none);
    if (rc != 0 && slices->count > 0 && slices->parts[slices->count - 1].left.size == slice.bytes.size)
        tni_slice_queue_pop(slices); /* it is the last one, and nothing of it was sent */
    else
        rc = 0;
    if (waiting(writer) == 0)
        free_all(writer);
    return rc;
}

/* The bytes are only read; iovec has no const because readv uses it too. */
static struct iovec piece_of(const void *data, size_t size)
{
    return (struct iovec){(void *)(uintptr_t)data, size};
}

int tn_writer_write(tn_writer *writer, const void *data, size_t size)
{
    struct iovec piece[2] = {piece_of(data, size), {NULL, 0}};

    if (size > SSIZE_MAX / 2)
        return TN_EINVAL;
    return put(writer, piece);
}

int tn_writer_frame(tn_writer *writer, tn_frame_length length, const void *data, size_t size)
{
    size_t prefix = tn_frame_prefix_(length);
    unsigned char bytes[8];
    struct iovec piece[2] = {{bytes, prefix}, piece_of(data, size)};

    if (prefix == 0)
        return TN_EINVAL;
    if (size > SSIZE_MAX / 2 || (prefix < sizeof size && size >> (8 * prefix) != 0))
        return TN_EMSGSIZE;
    for (size_t i = 0; i < prefix; i++)
        bytes[tni_buffer_length_byte(length, prefix, i)] = (unsigned char)((uint64_t)size >> (8 * i));
    return put(writer, piece);
}

/* Appends a text. */
__attribute__((format(printf, 2, 0))) static int print(tn_writer *writer, const char *format, va_list arguments)
{
    tn_buffer *buffer = &writer->buffer;
    va_list again;
    int size;
    int rc = tni_buffer_reserve(buffer, 1);

    if (rc != 0)
        return rc;
    va_copy(again, arguments);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): copied above */
    size = vsnprintf(buffer->bytes + buffer->end, tni_buffer_space(buffer), format, again);
    va_end(again);
    if (size < 0)
        return TN_EINVAL;
    if ((size_t)size >= tni_buffer_space(buffer)) { /* with its zero it does not fit */
        rc = waiting(writer) + (size_t)size >= buffer->usual ? send_all(writer) : 0;
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

int tn_writer_vprintf(tn_writer *writer, const char *format, va_list arguments)
{
    int rc = writer->error;

    if (rc != 0)
        return rc;
    rc = print(writer, format, arguments);
    if (waiting(writer) == 0) /* an empty text, or an error */
        free_all(writer);
    return rc;
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
    return writer->corks > 0 ? 0 : send_all(writer);
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
