/* SPDX-License-Identifier: MIT */
/* tournant: copying between byte streams of any kind, in one direction or in both, as a proxy does. */
#ifndef TN_COPY_H
#define TN_COPY_H

#include <tn/io.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Options of a copy; begin with tn_copy_options_default(). */
typedef struct tn_copy_options {
    size_t size;                   /* of this struct, in bytes; set by tn_copy_options_default() */
    size_t buffer_size;            /* largest buffer of a direction, in bytes; 0: 65536 */
    uint64_t idle_ns;              /* the copy ends with TN_ETIME if no byte has moved for so long; 0: never */
    const tn_allocator *allocator; /* copied; NULL: that of the runtime, on a plain thread the C library's */
    bool no_splice;                /* never moves bytes inside the kernel */
    unsigned char reserved[7];     /* 0 */
} tn_copy_options;

/* Returns the default options.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the result is a value.
 * Errors: none.
 * Cancellation: no. */
static inline tn_copy_options tn_copy_options_default(void)
{
    tn_copy_options options = {sizeof(tn_copy_options), 0, 0, NULL, false, {0}};
    return options;
}

/* Copies from `from` to `to` until `from` ends. It neither ends nor closes `to`. `options`: NULL for the defaults.
 *
 * While `from` is idle it holds no buffer. Otherwise it holds one, of 4 KiB at first; it becomes one of `buffer_size` while full
 * reads show that more is there. Between TCP streams the bytes then move inside the kernel, through a pipe of 1 MiB (splice(2)),
 * if the kernel grants one. `*bytes`, unless NULL, receives how many bytes were written, also after an error.
 *
 * Suspends: until `from` has ended or there is an error; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: borrows both streams; it is the reader of `from` and the writer of `to`.
 * Errors: those of tn_io_read and tn_io_write. TN_ETIME: it was idle for `idle_ns`. TN_ENOMEM. TN_EINVAL: an option is refused
 * (tn/base.h), and the log says which.
 * Cancellation: yes; `*bytes` have been written. At most `buffer_size` bytes, or those in the pipe, have been read and are
 * lost. */
TN_API int tn_copy(tn_io to, tn_io from, const tn_copy_options *options, uint64_t *bytes);

/* Copies from `a` to `b` and from `b` to `a` until both have ended. The end of one stream is passed on by tn_io_close_write of
 * the other one, unless its kind returns TN_ENOTSUP there. `options`: NULL for the defaults; `idle_ns` counts from the last byte
 * of either direction. `bytes`, unless NULL, receives how many bytes were written from a to b, and from b to a.
 *
 * If a stream cannot be read, the other direction is cut short. If it cannot be written because its peer has gone (TN_EPIPE,
 * TN_ECONNRESET), the other direction continues to its end, because that peer may have sent something before. Without
 * `idle_ns` the copy then lasts as long as that direction, for ever if its stream never ends.
 *
 * While the connection is idle, or little is there at once, the calling fiber copies in both directions. In these cases another
 * fiber copies the second direction, until both are idle again:
 * - A write has to wait.
 * - A read has filled `buffer_size` bytes.
 * - An end is passed on to a stream that is no tn_stream, because that may wait.
 * If a stream cannot be tried (tn_io_try_read, tn_io_try_write), or not be waited for by a future, there are two from then on.
 * The other fiber needs a stack: with tn_options.stacks_max, allow two for each busy copy.
 *
 * Suspends: until both directions have ended; also when the task's budget is used up.
 * Callable from: a fiber.
 * Ownership: borrows both streams, and is their reader and writer.
 * Errors: the error that a direction ended with: those of tn_copy and tn_io_close_write. TN_ENOMEM, TN_ESHUTDOWN: there is no
 * second fiber.
 * Cancellation: yes; as tn_copy, for each direction. */
TN_API int tn_copy_both(tn_io a, tn_io b, const tn_copy_options *options, uint64_t bytes[2]);

#ifdef __cplusplus
}
#endif

#endif
