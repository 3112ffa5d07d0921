/* SPDX-License-Identifier: MIT */
/* tournant: several tasks write messages to one byte stream, and one system call sends what they have queued. */
#ifndef TN_WRITE_QUEUE_H
#define TN_WRITE_QUEUE_H

#include <tn/io.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Lets several tasks write to one stream. A write of the stream alone returns TN_EBUSY while another task writes; here it waits
 * its turn. Each message arrives whole, never mixed with another one, in the order of the calls. The task that writes sends the
 * messages of the others along with its own, by one system call. Nothing is copied or allocated.
 *
 * All writes of the stream go through its queue. */
typedef struct tn_write_queue {
    uint64_t opaque[8]; /* private */
} tn_write_queue;

/* Prepares a queue for a byte stream of any kind. If the kind cannot write without waiting (tn_io_try_write), the messages are
 * whole and in order too, but each task writes its own.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the memory is the caller's; the queue borrows the stream until its last call has returned.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_write_queue_init_io(tn_write_queue *queue, tn_io io);

/* Prepares a queue for `stream`.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the memory is the caller's; the queue borrows a reference to the stream until its last call has returned.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_write_queue_init(tn_write_queue *queue, tn_stream *stream);

/* Writes the message `buf` of `size` bytes, whole.
 *
 * A call that is cut short withdraws its message, unless another task has sent it already: then it returns 0. If the first bytes
 * have been sent but not the last ones, the message is cut there. No other message can follow, so the queue is broken: all its
 * calls return TN_EPIPE.
 *
 * Suspends: until the stream has taken all bytes; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: `buf` is borrowed for the call.
 * Errors: those of tn_io_write. The error of a write is returned by all calls that wait then, and by all later ones. TN_EPIPE:
 * the queue is broken. TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; nothing was written, or the message is cut and the queue broken. */
TN_API int tn_write_queue_write(tn_write_queue *queue, const void *buf, size_t size);

/* Writes the `count` buffers in `iov` as one message, like tn_write_queue_write.
 *
 * Suspends: until the stream has taken all bytes; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: `iov` and the buffers are borrowed for the call.
 * Errors: those of tn_write_queue_write; TN_EINVAL: `count` is negative or above 1024, or the sizes add up to more than
 * SSIZE_MAX.
 * Cancellation: yes; nothing was written, or the message is cut and the queue broken. */
TN_API int tn_write_queue_writev(tn_write_queue *queue, const struct iovec *iov, int count);

#ifdef __cplusplus
}
#endif

#endif
