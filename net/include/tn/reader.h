/* SPDX-License-Identifier: MIT */
/* tournant: reading lines, frames and exact numbers of bytes from a byte stream.
 *
 * A call that a deadline or a cancellation ends has lost nothing: what has been read stays in the reader's buffer, and the call
 * can be repeated. The buffer is taken when bytes are there, and given back before a call waits with nothing in it. So a
 * connection that is idle holds no buffer. Each core keeps some buffers of the default size, so this costs no allocation.
 *
 * What is in the buffer is returned by inline code, which spends nothing of the task's budget. Each read of the stream spends a
 * unit, so a task that reads lines for ever lets others run.
 *
 * Each call has a limit, because the peer chooses what it sends. A line or frame that is longer is TN_EMSGSIZE, as soon as that
 * is certain. The buffer grows only as bytes arrive, and never beyond the limit and the framing. */
#ifndef TN_READER_H
#define TN_READER_H

#include <tn/buffer.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A reader of a byte stream. One task at a time. All members are private. */
typedef struct tn_reader {
    tn_io io;
    tn_buffer buffer;
    size_t searched; /* so many bytes of the buffer have no `delimiter` */
    int delimiter;
} tn_reader;

/* Prepares a reader of `io`. `options`: NULL for the defaults.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `io` is borrowed until tn_reader_fini; on success the caller must call that.
 * Errors: TN_EINVAL: an option is refused (tn/base.h), and the log says which.
 * Cancellation: no. */
TN_API int tn_reader_init(tn_reader *reader, tn_io io, const tn_buffer_options *options);

/* Frees the buffer, with what is in it. The stream stays open.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: consumes what tn_reader_init has prepared.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_reader_fini(tn_reader *reader);

/* Private: what the calls below do if the bytes are not in the buffer, or are too many. */
TN_API int tn_reader_line_(tn_reader *reader, tn_bytes *line, size_t limit);
TN_API int tn_reader_until_(tn_reader *reader, tn_bytes *part, char delimiter, size_t limit);
TN_API int tn_reader_frame_(tn_reader *reader, tn_bytes *frame, tn_frame_length length, size_t limit);
TN_API int tn_reader_exact_(tn_reader *reader, tn_bytes *bytes, size_t size);

/* Private: takes the bytes up to a delimiter out of the buffer. `is_line`: a CR before it is not part of them. False: there is no
 * delimiter, there are more than `limit` bytes before it, or a call that has waited for one knows more about the buffer. */
static inline bool tn_reader_take_until_(tn_reader *reader, tn_bytes *part, char delimiter, size_t limit, bool is_line)
{
    size_t used = reader->buffer.end - reader->buffer.begin;
    const char *begin;
    const char *end;

    if (used == 0 || reader->searched > 0)
        return false;
    begin = reader->buffer.bytes + reader->buffer.begin;
    end = (const char *)memchr(begin, delimiter, used);
    if (end == NULL)
        return false;
    part->data = begin;
    part->size = (size_t)(end - begin);
    if (is_line && part->size > 0 && end[-1] == '\r')
        part->size--;
    if (part->size > limit)
        return false;
    reader->buffer.begin = (size_t)(end - reader->buffer.bytes) + 1;
    return true;
}

/* Private: the same for a frame. False: it is not wholly in the buffer, or too long, or the length is none of the enum. */
static inline bool tn_reader_take_frame_(tn_reader *reader, tn_bytes *frame, tn_frame_length length, size_t limit)
{
    size_t used = reader->buffer.end - reader->buffer.begin;
    size_t prefix = tn_frame_prefix_(length);
    const char *begin;
    uint64_t size;

    if (prefix == 0 || used < prefix)
        return false;
    begin = reader->buffer.bytes + reader->buffer.begin;
    size = tn_frame_value_(length, begin);
    if (size > limit || size > used - prefix)
        return false;
    frame->data = begin + prefix;
    frame->size = (size_t)size;
    reader->buffer.begin += prefix + (size_t)size;
    reader->searched = 0;
    return true;
}

/* Reads a line, without the LF or CRLF at its end. Returns 1; 0 at the end of the stream. If the stream ends inside a line,
 * `*line` is its beginning, the result is TN_EBADMSG, and the next call returns 0.
 *
 * Suspends: unless the line is in the buffer.
 * Callable from: a fiber, a plain thread.
 * Ownership: `*line` points into the buffer, and is valid until the next call on the reader.
 * Errors: those of tn_io_read; TN_ENOMEM. TN_EMSGSIZE: the line is longer than `limit` bytes; it stays, so the error does.
 * TN_EBADMSG: see above.
 * Cancellation: yes; no line was read. A line that is in the buffer is returned without a check for it. */
static inline int tn_reader_line(tn_reader *reader, tn_bytes *line, size_t limit)
{
    return tn_reader_take_until_(reader, line, '\n', limit, true) ? 1 : tn_reader_line_(reader, line, limit);
}

/* Reads up to a byte `delimiter`, which is not part of the result. Otherwise it is like tn_reader_line.
 *
 * Suspends: unless the delimiter is in the buffer.
 * Callable from: a fiber, a plain thread.
 * Ownership: `*part` points into the buffer, and is valid until the next call on the reader.
 * Errors: those of tn_reader_line.
 * Cancellation: yes; nothing was read. A part that is in the buffer is returned without a check for it. */
static inline int tn_reader_until(tn_reader *reader, tn_bytes *part, char delimiter, size_t limit)
{
    return tn_reader_take_until_(reader, part, delimiter, limit, false) ? 1 : tn_reader_until_(reader, part, delimiter, limit);
}

/* Reads a frame with its length in front of it; `*frame` is without the length. Returns 1; 0 at the end of the stream.
 *
 * Suspends: unless the frame is in the buffer.
 * Callable from: a fiber, a plain thread.
 * Ownership: `*frame` points into the buffer, and is valid until the next call on the reader.
 * Errors: those of tn_io_read; TN_ENOMEM. TN_EMSGSIZE: the frame is longer than `limit` bytes; it stays, so the error does.
 * TN_EBADMSG: the stream ends inside a frame. TN_EINVAL: `length` is none of the enum.
 * Cancellation: yes; no frame was read. A frame that is in the buffer is returned without a check for it. */
static inline int tn_reader_frame(tn_reader *reader, tn_bytes *frame, tn_frame_length length, size_t limit)
{
    return tn_reader_take_frame_(reader, frame, length, limit) ? 1 : tn_reader_frame_(reader, frame, length, limit);
}

/* Reads exactly `size` bytes. Returns 1; 0 at the end of the stream.
 *
 * Suspends: unless the bytes are in the buffer.
 * Callable from: a fiber, a plain thread.
 * Ownership: `*bytes` points into the buffer, which grows for it, and is valid until the next call on the reader.
 * Errors: those of tn_io_read; TN_ENOMEM. TN_EBADMSG: the stream ends before; what there is stays.
 * Cancellation: yes; nothing was read. Bytes that are in the buffer are returned without a check for it. */
static inline int tn_reader_exact(tn_reader *reader, tn_bytes *bytes, size_t size)
{
    if (size == 0 || size > reader->buffer.end - reader->buffer.begin)
        return tn_reader_exact_(reader, bytes, size);
    bytes->data = reader->buffer.bytes + reader->buffer.begin;
    bytes->size = size;
    reader->buffer.begin += size;
    reader->searched = 0;
    return 1;
}

/* Shows what is in the buffer, at least `least` bytes, and leaves it there. If `least` is 0, it never waits. Returns 1; 0 at the
 * end of the stream.
 *
 * Suspends: unless the bytes are in the buffer.
 * Callable from: a fiber, a plain thread.
 * Ownership: `*bytes` points into the buffer, and is valid until the next call on the reader.
 * Errors: those of tn_io_read; TN_ENOMEM. TN_EBADMSG: the stream ends before; `*bytes` is what there is.
 * Cancellation: yes; nothing was read. Bytes that are in the buffer are returned without a check for it. */
TN_API int tn_reader_peek(tn_reader *reader, tn_bytes *bytes, size_t least);

/* Removes the first `size` bytes from the buffer; it has so many (asserted).
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: borrows the reader.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_reader_consume(tn_reader *reader, size_t size);

/* Reads like tn_io_read, first from the buffer. If that is empty and `size` is not below its size, it reads into `buf` directly.
 *
 * Suspends: unless the buffer has bytes.
 * Callable from: a fiber, a plain thread.
 * Ownership: `buf` is borrowed for the call.
 * Errors: those of tn_io_read; TN_ENOMEM.
 * Cancellation: yes; nothing was read. Bytes that are in the buffer are returned without a check for it. */
TN_API ssize_t tn_reader_read(tn_reader *reader, void *buf, size_t size);

/* Returns the reader as a byte stream: reads take what is in the buffer first, and all else is done by the stream below. There
 * is a descriptor to read from only while the buffer is empty. tn_io_close closes the stream below, and the reader still needs
 * tn_reader_fini.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: borrows the reader until the last use of the result.
 * Errors: none.
 * Cancellation: no. */
TN_API tn_io tn_reader_io(tn_reader *reader);

#ifdef __cplusplus
}
#endif

#endif
