/* SPDX-License-Identifier: MIT */
/* tournant: TCP and Unix streams. */
#ifndef TN_NET_H
#define TN_NET_H

#include <sys/uio.h>

#include <tn/fs.h>
#include <tn/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A connected byte stream, TCP or Unix: counted. At most one task reads and one writes at a time; a second gets TN_EBUSY. Any
 * task that holds a reference may close it, also while others wait on it: they get TN_ECANCELED, and who calls later TN_EBADF. */
typedef struct tn_stream tn_stream;

/* Where connections come in: counted. One task accepts at a time; a second gets TN_EBUSY. Closed as a stream is. */
typedef struct tn_listener tn_listener;

/* Long enough for every address as text: "[IPv6%scope]:port", or a Unix path. */
#define TN_ADDRESS_SIZE 128

typedef struct tn_listen_options {
    size_t size;         /* of this struct; tn_listen_options_default() sets it */
    int backlog;         /* connections that wait to be accepted; 0: 4096, the system may cap it */
    bool reuse_address;  /* TCP: take the port though old connections linger; on by default */
    bool reuse_port;     /* TCP: several listeners share the port, the kernel spreads connections over them */
    bool ipv6_only;      /* TCP, IPv6: refuse IPv4 peers */
    tn_runtime *runtime; /* NULL: that of the calling task; needed on a plain thread */
} tn_listen_options;

static inline tn_listen_options tn_listen_options_default(void)
{
    tn_listen_options options = {sizeof(tn_listen_options), 0, true, false, false, NULL};
    return options;
}

/* Listens on a numeric address: "127.0.0.1:7000", "[::1]:7000", "*:7000" (every IPv4 and IPv6 address). Port 0: the system
 * chooses, tn_listener_address tells. `options`: NULL for the defaults.
 * Suspends: no. Callable from: anywhere; a plain thread names the runtime in the options.
 * Ownership: to be closed with tn_listener_close.
 * Errors: TN_EINVAL (not an address; the log says what is wrong), TN_EADDRINUSE, TN_EACCES-like values of the system, TN_EMFILE,
 * TN_ENOMEM. Cancellation: no checkpoint. */
TN_API int tn_tcp_listen(tn_listener **out, const char *address, const tn_listen_options *options);

/* Listens on a Unix socket at `path` (a leading '@': the abstract name space). An existing path is not removed: TN_EADDRINUSE;
 * tn_listener_close removes the path it made. Otherwise as tn_tcp_listen. */
TN_API int tn_unix_listen(tn_listener **out, const char *path, const tn_listen_options *options);

/* Waits for the next connection. Out of files or memory it waits with growing pauses (10 ms to 1 s) and goes on by itself;
 * connections that died in the queue are skipped.
 * Suspends: unless one is there. Callable from: a fiber, a plain thread.
 * Ownership: the stream is the caller's, to be closed with tn_stream_close.
 * Errors: TN_ECANCELED (the listener was closed), TN_EBADF (it was closed before). Cancellation: checkpoint; no connection is
 * lost by it. */
TN_API int tn_accept(tn_listener *listener, tn_stream **out);

/* As tn_accept, but TN_EAGAIN when none is there, and TN_EMFILE and its like are answered. Suspends: no. */
TN_API int tn_try_accept(tn_listener *listener, tn_stream **out);

/* Stops listening; who waits in tn_accept gets TN_ECANCELED.
 * Suspends: no. Callable from: anywhere. Ownership: consumes the caller's reference; NULL is allowed. Errors: none.
 * Cancellation: no checkpoint. */
TN_API void tn_listener_close(tn_listener *listener);

/* One more reference, for another task; and giving one back: the last one given back closes the listener.
 * Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API tn_listener *tn_listener_retain(tn_listener *listener);
TN_API void tn_listener_release(tn_listener *listener);

/* The address it listens on, as text that tn_tcp_connect or tn_unix_connect takes; `buf` of `size` >= TN_ADDRESS_SIZE bytes.
 * Suspends: no. Callable from: anywhere. Errors: TN_EINVAL (buffer too small). */
TN_API int tn_listener_address(tn_listener *listener, char *buf, size_t size);

/* Connects to a numeric address, "127.0.0.1:7000" or "[::1]:7000", or to a name, "localhost:7000" or "localhost:http": then its
 * addresses are tried in turn, in the order that tn_resolve answers them.
 * Suspends: until connected. Callable from: a fiber, a plain thread (then `runtime` must be given; NULL: that of the task).
 * Ownership: the stream is the caller's. Errors: TN_EINVAL (not an address), TN_ECONNREFUSED and the system's others (of the last
 * address tried), TN_EMFILE, those of tn_resolve.
 * Cancellation: checkpoint; nothing stays behind. */
TN_API int tn_tcp_connect(tn_runtime *runtime, tn_stream **out, const char *address);

/* Connects to the Unix socket at `path` (a leading '@': the abstract name space). Otherwise as tn_tcp_connect. */
TN_API int tn_unix_connect(tn_runtime *runtime, tn_stream **out, const char *path);

/* Takes over a connected, stream-type socket, `fd`.
 * Suspends: no. Callable from: anywhere. Ownership: on success the fd is the stream's. Errors: TN_EINVAL, TN_ENOMEM. */
TN_API int tn_stream_open(tn_runtime *runtime, tn_stream **out, int fd);

/* Reads at least 1 and at most `size` bytes into `buf`; 0 at the end of the stream (or when `size` is 0).
 * Suspends: until a byte is there. Callable from: a fiber, a plain thread.
 * Ownership: `buf` is borrowed for the call. Errors: TN_ECONNRESET and the system's others, TN_EBUSY (another task is reading),
 * TN_ECANCELED (closed meanwhile). Cancellation: checkpoint; nothing was read then. */
TN_API ssize_t tn_read(tn_stream *stream, void *buf, size_t size);

/* Writes at least 1 and at most `size` bytes of `buf`; answers how many (0 when `size` is 0).
 * Suspends: until the socket takes a byte. Callable from: a fiber, a plain thread.
 * Ownership: `buf` is borrowed for the call. Errors: TN_EPIPE, TN_ECONNRESET and the system's others, TN_EBUSY (another task is
 * writing), TN_ECANCELED (closed meanwhile). Never SIGPIPE. Cancellation: checkpoint; nothing was written then. */
TN_API ssize_t tn_write(tn_stream *stream, const void *buf, size_t size);

/* Writes all `size` bytes; 0, or an error after which an unknown part has been written. Otherwise as tn_write. */
TN_API int tn_write_all(tn_stream *stream, const void *buf, size_t size);

/* Writes at least 1 byte of the `count` buffers in `iov`, in their order; answers how many bytes. Otherwise as tn_write.
 * Errors: also TN_EINVAL (count < 0 or > 1024). */
TN_API ssize_t tn_writev(tn_stream *stream, const struct iovec *iov, int count);

/* Sends at most `size` bytes of `file` from `offset` on, without a copy through the program; the file's own position does not
 * move. Answers how many: less at the end of the file, 0 there; less too when an error or a cancellation came between, which
 * the next call tells.
 * Suspends: yes. Callable from: a fiber, a plain thread. Ownership: a reference to each is borrowed for the call.
 * Errors: those of tn_write and of reading the file; TN_EINVAL (no regular file), TN_ENOMEM (no thread to read it can be had).
 * Cancellation: checkpoint; nothing was sent then. */
TN_API ssize_t tn_sendfile(tn_stream *stream, tn_file *file, int64_t offset, size_t size);

/* Waits until a tn_read would not have to wait: an idle connection needs no buffer that way. Seldom a
 * late report of what has been read already ends it early; the read then waits. 0, or the errors of tn_read.
 * Suspends: until a byte, the end or an error is there. Callable from: a fiber, a plain thread. Cancellation: checkpoint. */
TN_API int tn_wait_readable(tn_stream *stream);

/* As tn_read and tn_write, but TN_EAGAIN instead of waiting.
 * Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API ssize_t tn_try_read(tn_stream *stream, void *buf, size_t size);
TN_API ssize_t tn_try_write(tn_stream *stream, const void *buf, size_t size);

typedef enum tn_direction { TN_READABLE, TN_WRITABLE } tn_direction;

/* A future that is ready when tn_try_read (tn_try_write) is worth another try. Answers 0; TN_EBUSY, TN_EBADF,
 * TN_ECANCELED as they do; TN_ENOMEM. */
typedef struct tn_ready_future {
    tn_future base;
    tn_stream *stream;
    tn_direction direction;
    bool waiting;
} tn_ready_future;

/* Prepares `future`; nothing happens until it is polled. Suspends: no. Callable from: anywhere. Ownership: borrows a
 * reference of the caller's until it is ready or dropped. */
TN_API void tn_ready_init(tn_ready_future *future, tn_stream *stream, tn_direction direction);

/* Sends the end of the stream after what has been written; reading goes on.
 * Suspends: no. Callable from: anywhere. Errors: TN_ENOTCONN (the peer has gone). Cancellation: no checkpoint. */
TN_API int tn_stream_shutdown_write(tn_stream *stream);

/* Closes the stream; who waits on it gets TN_ECANCELED.
 * Suspends: no. Callable from: anywhere. Ownership: consumes the caller's reference; NULL is allowed. Errors: none.
 * Cancellation: no checkpoint. */
TN_API void tn_stream_close(tn_stream *stream);

/* One more reference, for another task; and giving one back: the last one given back closes the stream.
 * Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API tn_stream *tn_stream_retain(tn_stream *stream);
TN_API void tn_stream_release(tn_stream *stream);

/* TCP: send small writes at once (on after accept and connect). TN_EINVAL on a Unix stream. Suspends: no. */
TN_API int tn_stream_set_nodelay(tn_stream *stream, bool on);

/* TCP: probe a silent peer after `idle_s` seconds, three times 10 s apart; 0 turns it off. Suspends: no. */
TN_API int tn_stream_set_keepalive(tn_stream *stream, unsigned idle_s);

/* This end's, the other end's address as text ("" for an unnamed Unix socket); `size` >= TN_ADDRESS_SIZE. Suspends: no. */
TN_API int tn_stream_local_address(tn_stream *stream, char *buf, size_t size);
TN_API int tn_stream_peer_address(tn_stream *stream, char *buf, size_t size);

#ifdef __cplusplus
}
#endif

#endif
