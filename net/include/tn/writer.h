/* SPDX-License-Identifier: MIT */
/* tournant: writing text, frames and small pieces to a byte stream, collected in a buffer.
 *
 * A piece is taken whole or not at all: a write that a deadline or a cancellation ends has taken nothing of its piece, and can be
 * repeated. What has been taken stays in the buffer until it is sent. The buffer is allocated with the first byte, and freed when
 * all has been sent. So a connection that is idle holds no buffer. */
#ifndef TN_WRITER_H
#define TN_WRITER_H

#include <stdarg.h>

#include <tn/slice.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The slices that wait in a writer. Opaque. */
typedef struct tn_slice_queue tn_slice_queue;

/* A writer of a byte stream. One task at a time. All members are private. */
typedef struct tn_writer {
    tn_io io;
    tn_buffer buffer;
    tn_slice_queue *slices; /* NULL: none waits */
    unsigned corks;
    int error; /* not 0: there was no memory for the rest of a piece that had been sent in part; it stays */
} tn_writer;

/* Prepares a writer to `io`. `options`: NULL for the defaults.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `io` is borrowed until tn_writer_fini; on success the caller must call that.
 * Errors: TN_EINVAL: an option is refused (tn/base.h), and the log says which.
 * Cancellation: no. */
TN_API int tn_writer_init(tn_writer *writer, tn_io io, const tn_buffer_options *options);

/* Frees the buffer, and releases the slices; what was not sent is lost, so call tn_writer_flush before. The stream stays open.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: consumes what tn_writer_init has prepared.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_writer_fini(tn_writer *writer);

/* Takes `size` bytes of `data`. What does not fit in the buffer is sent, together with what is in it, without a copy.
 *
 * Suspends: when the buffer is full.
 * Callable from: a fiber, a plain thread.
 * Ownership: `data` is borrowed for the call.
 * Errors: those of tn_io_write; TN_ENOMEM. Nothing of `data` was taken. If the error is one of memory after a part was sent, it
 * stays, and the stream is of no more use. If the stream fails after a part was sent, `data` is taken: a later call that sends
 * returns the error that the stream has then.
 * TN_EINVAL: `size` is above SSIZE_MAX / 2.
 * Cancellation: yes; nothing of `data` was taken. A piece that fits in the buffer is taken without a check for it. */
TN_API int tn_writer_write(tn_writer *writer, const void *data, size_t size);

/* Takes a slice, without a copy: the writer keeps a reference until the bytes are sent. They are sent in order with what is
 * written before and after. It counts in full towards the size of the buffer; what exceeds that is sent.
 *
 * Suspends: when the buffer is full, or 16 slices wait.
 * Callable from: a fiber, a plain thread.
 * Ownership: the caller keeps its reference.
 * Errors: those of tn_io_write; TN_ENOMEM. Nothing of the slice was taken. If the stream fails after a part of it was sent, the
 * slice is taken: a later call that sends returns the error that the stream has then.
 * Cancellation: yes; nothing of the slice was taken. A slice that fits is taken without a check for it. */
TN_API int tn_writer_slice(tn_writer *writer, tn_slice slice);

/* Takes formatted text, as printf does; without the terminating zero.
 *
 * Suspends: when the buffer is full.
 * Callable from: a fiber, a plain thread.
 * Ownership: the arguments are borrowed for the call.
 * Errors: those of tn_io_write; TN_ENOMEM; TN_EINVAL: the C library cannot format it. Nothing of the text was taken.
 * Cancellation: yes; nothing of the text was taken. A text that fits in the buffer is taken without a check for it. */
TN_API int tn_writer_printf(tn_writer *writer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same, with the arguments as a list.
 *
 * Suspends: when the buffer is full.
 * Callable from: a fiber, a plain thread.
 * Ownership: the arguments are borrowed for the call.
 * Errors: those of tn_writer_printf.
 * Cancellation: yes; nothing of the text was taken. A text that fits in the buffer is taken without a check for it. */
TN_API int tn_writer_vprintf(tn_writer *writer, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));

/* Takes a frame: its length, and then `size` bytes of `data`.
 *
 * Suspends: when the buffer is full.
 * Callable from: a fiber, a plain thread.
 * Ownership: `data` is borrowed for the call.
 * Errors: those of tn_writer_write. TN_EMSGSIZE: the length has no space for `size`. TN_EINVAL: `length` is none of the enum.
 * Cancellation: yes; nothing of the frame was taken. A frame that fits in the buffer is taken without a check for it. */
TN_API int tn_writer_frame(tn_writer *writer, tn_frame_length length, const void *data, size_t size);

/* Sends what is in the buffer; does nothing between tn_writer_cork and tn_writer_uncork.
 *
 * Suspends: unless the buffer is empty.
 * Callable from: a fiber, a plain thread.
 * Ownership: borrows the writer.
 * Errors: those of tn_io_write; what was not sent stays in the buffer.
 * Cancellation: yes; what was not sent stays in the buffer. With an empty buffer there is no check for it. */
TN_API int tn_writer_flush(tn_writer *writer);

/* From now on nothing is sent unless the buffer is full, also by functions that call tn_writer_flush. Calls nest.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: borrows the writer.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_writer_cork(tn_writer *writer);

/* Ends the effect of tn_writer_cork. The outermost one then does what tn_writer_flush does.
 *
 * Suspends: unless the buffer is empty.
 * Callable from: a fiber, a plain thread.
 * Ownership: borrows the writer.
 * Errors: those of tn_writer_flush; the cork is gone nevertheless.
 * Cancellation: yes; the cork is gone, and what was not sent stays in the buffer. */
TN_API int tn_writer_uncork(tn_writer *writer);

#ifdef __cplusplus
}
#endif

#endif
