/* SPDX-License-Identifier: MIT */
/* tournant: futures that accept, read and write, for select, race and join, and for stackless tasks. tn_ready_future (tn/net.h)
 * only waits. */
#ifndef TN_STREAM_FUTURE_H
#define TN_STREAM_FUTURE_H

#include <tn/net.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A future that reads at least 1 and at most `size` bytes into `buf`. Its result is how many; 0 at the end of the stream, or if
 * `size` is 0. It reads only in the poll that returns the result. So a future that is dropped before has read nothing, and no
 * byte is lost.
 *
 * From its first poll until it is ready or dropped it is the stream's reader: another read returns TN_EBUSY, and a close leaves
 * the descriptor open. Its errors are those of tn_read. One poll reads at most 1 GiB. */
typedef struct tn_read_future {
    tn_future base;
    tn_stream *stream;
    void *buf;
    size_t size;
    bool in_flight; /* private */
    bool waiting;   /* private */
} tn_read_future;

/* Prepares `future` to read. Nothing happens until it is polled.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `future` is in the caller's memory; it borrows a reference to the stream, and `buf`, until it is ready or dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_read_init(tn_read_future *future, tn_stream *stream, void *buf, size_t size);

/* A future that writes. `done` says how many bytes of `buf` the socket has taken; the rest has not been written. It is right
 * between two polls, and after an error or a drop. The future never raises SIGPIPE.
 *
 * From its first poll until it is ready or dropped it is the stream's writer: another write returns TN_EBUSY, and a close leaves
 * the descriptor open. Its errors are those of tn_write. */
typedef struct tn_write_future {
    tn_future base;
    tn_stream *stream;
    const void *buf;
    size_t size;
    size_t done;
    bool all;       /* private */
    bool in_flight; /* private */
    bool waiting;   /* private */
} tn_write_future;

/* Prepares `future` to write at least 1 and at most `size` bytes. Its result is how many; 0 if `size` is 0. One poll writes at
 * most 1 GiB.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `future` is in the caller's memory; it borrows a reference to the stream, and `buf`, until it is ready or dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_write_init(tn_write_future *future, tn_stream *stream, const void *buf, size_t size);

/* Prepares `future` to write all `size` bytes. Its result is 0 when `done` is `size`.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `future` is in the caller's memory; it borrows a reference to the stream, and `buf`, until it is ready or dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_write_all_init(tn_write_future *future, tn_stream *stream, const void *buf, size_t size);

/* A future that accepts a connection. Its result is 0, and then `*out` is the stream. It accepts only in the poll that returns
 * the result, so a future that is dropped before has taken no connection. It skips failed connections, and pauses while files or
 * memory are short, as tn_accept does.
 *
 * From its first poll until it is ready or dropped it is the accepting task: another accept returns TN_EBUSY, and a close leaves
 * the descriptor open. Its errors are those of tn_accept. It must be polled with the waker of the task that polls it, because
 * that task's own timer ends a pause. */
typedef struct tn_accept_future {
    tn_future base;
    tn_listener *listener;
    tn_stream **out;
    uint64_t pause_until_ns; /* private; 0: no pause */
    bool in_flight;          /* private */
    bool waiting;            /* private */
} tn_accept_future;

/* Prepares `future` to accept. Nothing happens until it is polled.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `future` is in the caller's memory; it borrows a reference to the listener until it is ready or dropped. When it is
 * ready with 0, the caller owns a reference to `*out`, and must give it to tn_stream_close.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_accept_init(tn_accept_future *future, tn_listener *listener, tn_stream **out);

#ifdef __cplusplus
}
#endif

#endif
