/* SPDX-License-Identifier: MIT */
/* tournant: byte streams of any kind behind one interface: sockets, files, pipes, memory, and kinds of the program's own. */
#ifndef TN_IO_H
#define TN_IO_H

#include <tn/net.h>
#include <tn/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The functions of one kind of byte stream. `object` is the one of the tn_io. A kind defines a static table; entries that it
 * leaves out are NULL, and each has a fallback.
 *
 * Unless an entry says otherwise, its function does what the call of the same name below documents. At most one task reads and
 * one task writes at a time. */
typedef struct tn_io_ops {
    size_t size; /* sizeof(tn_io_ops): entries that a later version appends count as NULL in a table that is shorter */
    /* NULL: TN_ENOTSUP. */
    ssize_t (*read)(void *object, void *buf, size_t size);
    /* NULL: reads into the first buffer that is not empty. */
    ssize_t (*readv)(void *object, const struct iovec *iov, int count);
    /* NULL: TN_ENOTSUP. */
    ssize_t (*write)(void *object, const void *buf, size_t size);
    /* NULL: writes the first buffer that is not empty. */
    ssize_t (*writev)(void *object, const struct iovec *iov, int count);
    /* NULL: TN_ENOTSUP. */
    int (*close_write)(void *object);
    /* NULL: nothing is done. */
    void (*close)(void *object);
    /* NULL: 0 at once; the read or write waits instead. */
    int (*wait)(void *object, tn_direction direction);
    /* NULL: TN_ENOTSUP. */
    int (*abort)(void *object);
    /* NULL: TN_ENOTSUP. */
    int (*descriptor)(void *object, tn_direction direction);
    /* NULL: TN_ENOTSUP. */
    ssize_t (*try_read)(void *object, void *buf, size_t size);
    /* NULL: TN_ENOTSUP. */
    ssize_t (*try_write)(void *object, const void *buf, size_t size);
    /* NULL: tries to write the first buffer that is not empty. */
    ssize_t (*try_writev)(void *object, const struct iovec *iov, int count);
    /* NULL: if `wait` is NULL too, and the direction cannot be tried, the future of tn_io_wait_init is ready at once; otherwise
     * its result is TN_ENOTSUP. A kind with `try_read` or `try_write` and no wait is read and written by calls that wait.
     * Prepares a future of the kind's own in `memory`, of TN_IO_WAIT_WORDS words, and returns it. Its result is that of `wait`.
     * A kind that is ready may return a future elsewhere that is ready. */
    tn_future *(*wait_init)(void *object, tn_direction direction, uint64_t *memory);
} tn_io_ops;

enum { TN_IO_WAIT_WORDS = 10 };

/* A byte stream: a table and its object. It is a value of two pointers; copies of it mean the same stream. */
typedef struct tn_io {
    const tn_io_ops *ops; /* NULL: no stream; only tn_io_close takes it */
    void *object;
} tn_io;

/* Returns `stream` as a byte stream. It has all operations. `descriptor` returns that of the socket.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the result stands for the caller's reference, which tn_io_close consumes.
 * Errors: none.
 * Cancellation: no. */
TN_API tn_io tn_stream_io(tn_stream *stream);

/* Returns `file` as a byte stream at its own position: a regular file, a pipe, a FIFO, a terminal. In a fiber a read or write of
 * those that may wait for another party occupies no thread, and can be cancelled. So this reads standard input with a deadline:
 *
 *     tn_file_borrow(&file, STDIN_FILENO);
 *     n = tn_io_read(tn_file_io(file), buf, size);
 *
 * It can be neither aborted nor half-closed. `descriptor` returns that of the file.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the result stands for the caller's reference, which tn_io_close consumes.
 * Errors: none.
 * Cancellation: no. */
TN_API tn_io tn_file_io(tn_file *file);

/* Reads at least 1 and at most `size` bytes into `buf`. Returns how many; 0 at the end of the stream, or if `size` is 0.
 *
 * Suspends: until a byte, the end or an error is there; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: `buf` is borrowed for the call.
 * Errors: those of the kind; TN_ENOTSUP: it cannot be read. TN_EBUSY: another task reads. TN_EBADF: it has been aborted.
 * TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; nothing was read. */
static inline ssize_t tn_io_read(tn_io io, void *buf, size_t size)
{
    if (io.ops->read == NULL)
        return TN_ENOTSUP;
    return io.ops->read(io.object, buf, size);
}

/* Reads like tn_io_read what is there, and does not wait. Returns how many bytes; 0 at the end of the stream, or if `size` is 0.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `buf` is borrowed for the call.
 * Errors: those of the kind. TN_EAGAIN: nothing is there now. TN_ENOTSUP: the kind cannot read without waiting; call tn_io_wait,
 * then tn_io_read. TN_EBUSY: another task reads. TN_EBADF: it has been aborted.
 * Cancellation: no. */
TN_API ssize_t tn_io_try_read(tn_io io, void *buf, size_t size);

/* Reads like tn_io_read, into `count` buffers in their order.
 *
 * Suspends: until a byte, the end or an error is there; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: `iov` and the buffers are borrowed for the call.
 * Errors: those of tn_io_read; TN_EINVAL: `count` is negative or above 1024, or the sizes add up to more than SSIZE_MAX.
 * Cancellation: yes; nothing was read. */
TN_API ssize_t tn_io_readv(tn_io io, const struct iovec *iov, int count);

/* Writes at least 1 and at most `size` bytes of `buf`. Returns how many; 0 if `size` is 0.
 *
 * Suspends: until the stream takes a byte; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: `buf` is borrowed for the call.
 * Errors: those of the kind; TN_ENOTSUP: it cannot be written. TN_EPIPE: the peer reads no more, or the end has been sent.
 * TN_EBUSY: another task writes. TN_EBADF: it has been aborted. TN_EIO: the kind has returned 0. TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; nothing was written. */
static inline ssize_t tn_io_write(tn_io io, const void *buf, size_t size)
{
    ssize_t n;

    if (io.ops->write == NULL)
        return TN_ENOTSUP;
    n = io.ops->write(io.object, buf, size);
    return n == 0 && size > 0 ? (ssize_t)TN_EIO : n;
}

/* Writes like tn_io_write what there is space for, and does not wait. Returns how many bytes; 0 if `size` is 0.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `buf` is borrowed for the call.
 * Errors: those of the kind. TN_EAGAIN: there is no space now. TN_ENOTSUP: the kind cannot write without waiting; call
 * tn_io_write. TN_EPIPE, TN_EBUSY, TN_EBADF, TN_EIO: as tn_io_write.
 * Cancellation: no. */
TN_API ssize_t tn_io_try_write(tn_io io, const void *buf, size_t size);

/* Writes like tn_io_try_write, from `count` buffers in their order.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `iov` and the buffers are borrowed for the call.
 * Errors: those of tn_io_try_write; TN_EINVAL: `count` is negative or above 1024, or the sizes add up to more than SSIZE_MAX.
 * Cancellation: no. */
TN_API ssize_t tn_io_try_writev(tn_io io, const struct iovec *iov, int count);

/* Writes like tn_io_write, from `count` buffers in their order.
 *
 * Suspends: until the stream takes a byte; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: `iov` and the buffers are borrowed for the call.
 * Errors: those of tn_io_write; TN_EINVAL: `count` is negative or above 1024, or the sizes add up to more than SSIZE_MAX.
 * Cancellation: yes; nothing was written. */
TN_API ssize_t tn_io_writev(tn_io io, const struct iovec *iov, int count);

/* Reads until `buf` has `size` bytes. `*done`: how many are there already, 0 at first. It is right after an error too, so a
 * call that a deadline has ended can be repeated, and no byte is lost.
 *
 * Suspends: until all bytes, the end or an error are there; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: `buf` and `done` are borrowed for the call.
 * Errors: those of tn_io_read; TN_EBADMSG: the stream has ended before.
 * Cancellation: yes; `*done` bytes have been read. */
TN_API int tn_io_read_exact(tn_io io, void *buf, size_t size, size_t *done);

/* Writes all `size` bytes of `buf`.
 *
 * Suspends: until the stream has taken all bytes; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: `buf` is borrowed for the call.
 * Errors: those of tn_io_write; an unknown part has been written.
 * Cancellation: yes; an unknown part has been written. */
TN_API int tn_io_write_all(tn_io io, const void *buf, size_t size);

/* Writes all bytes of the `count` buffers in `iov`, whose elements it changes: afterwards they are what is left to write. So a
 * call that a deadline has ended can be repeated.
 *
 * Suspends: until the stream has taken all bytes; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: `iov` and the buffers are borrowed for the call.
 * Errors: those of tn_io_writev.
 * Cancellation: yes; `iov` is what is left to write. */
TN_API int tn_io_writev_all(tn_io io, struct iovec *iov, int count);

/* Waits until a read (TN_READABLE) or a write (TN_WRITABLE) would not have to wait. It is about this object: if it has buffered
 * bytes, it is readable, whatever the socket below it says. Rarely it returns too early; then the read or write waits.
 *
 * Suspends: until a byte, space, the end or an error is there; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: borrows the stream.
 * Errors: those of tn_io_read and tn_io_write.
 * Cancellation: yes; nothing was read or written. */
TN_API int tn_io_wait(tn_io io, tn_direction direction);

/* A future that is ready when tn_io_wait would return, for tn_select and the like. Its errors are those of tn_io_wait, and
 * TN_ENOTSUP: the kind can wait only in tn_io_wait, as TLS, where a read may have to write. */
typedef struct tn_io_wait_future {
    tn_future base;
    tn_future *inner;                  /* private */
    uint64_t opaque[TN_IO_WAIT_WORDS]; /* private */
} tn_io_wait_future;

/* Prepares `future` to wait for `direction`. While it waits, it is the one that reads (TN_READABLE) or writes (TN_WRITABLE).
 * Nothing happens until it is polled, by a task.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the memory is the caller's. The stream is borrowed until the future is ready or dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_io_wait_init(tn_io_wait_future *future, tn_io io, tn_direction direction);

/* Sends the end after what has been written; reading goes on.
 *
 * Suspends: if the kind has bytes to write before.
 * Callable from: a fiber, a plain thread.
 * Ownership: borrows the stream.
 * Errors: those of the kind; TN_ENOTSUP: its directions cannot be ended one by one. TN_EBADF: it has been aborted.
 * Cancellation: yes; the kinds of this library that have nothing to write before do not check for it. */
TN_API int tn_io_close_write(tn_io io);

/* Ends the stream: calls that wait on it, and later calls, return TN_EBADF. The caller, and each other task, keeps the right to
 * use it, so its owner still closes it. It is how one task makes another one leave its read.
 *
 * Suspends: no.
 * Callable from: anywhere, while the stream is not closed.
 * Ownership: borrows the stream.
 * Errors: TN_ENOTSUP: the kind cannot be ended from outside; cancel the task instead.
 * Cancellation: no. */
TN_API int tn_io_abort(tn_io io);

/* Closes the stream. A tn_io without a table is allowed.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: consumes the stream.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_io_close(tn_io io);

/* Returns the descriptor through which bytes of that direction may bypass the object, for splice(2) or sendfile(2). A kind that
 * changes the bytes, or has buffered some at the moment, has none. It is valid until the next call on the stream; the caller sees
 * to it that no other task closes or aborts the stream meanwhile.
 *
 * Suspends: no.
 * Callable from: the task that reads (TN_READABLE) or writes (TN_WRITABLE).
 * Ownership: the descriptor is borrowed; do not close it.
 * Errors: TN_ENOTSUP: there is none, or none now. TN_EBADF: the stream has been aborted.
 * Cancellation: no. */
TN_API int tn_io_descriptor(tn_io io, tn_direction direction);

/* --- In memory ----------------------------------------------------------------------------------------------------------- */

/* Options of a duplex; begin with tn_duplex_options_default(). */
typedef struct tn_duplex_options {
    size_t size;                   /* of this struct, in bytes; set by tn_duplex_options_default() */
    size_t capacity;               /* bytes that each direction holds; 0: 65536 */
    const tn_allocator *allocator; /* copied; NULL: the C library's */
} tn_duplex_options;

/* Returns the default options.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the result is a value.
 * Errors: none.
 * Cancellation: no. */
static inline tn_duplex_options tn_duplex_options_default(void)
{
    tn_duplex_options options = {sizeof(tn_duplex_options), 0, NULL};
    return options;
}

/* Makes a connection in memory: what is written to one end is read at the other one. It behaves like a connected Unix stream,
 * and needs neither a runtime nor a descriptor: a test of a server gives it to the server in place of a socket. `options`: NULL
 * for the defaults.
 *
 * A write to an end whose peer is closed or aborted returns TN_EPIPE. The peer first reads what was written before. The ends may
 * be used in different runtimes and threads.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: on success the caller owns both ends, and must give each to tn_io_close.
 * Errors: TN_ENOMEM; TN_EINVAL: an option is refused (tn/base.h), and the log says which.
 * Cancellation: no. */
TN_API int tn_duplex_open(tn_io ends[2], const tn_duplex_options *options);

#ifdef __cplusplus
}
#endif

#endif
