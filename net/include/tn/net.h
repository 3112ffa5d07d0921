/* SPDX-License-Identifier: MIT */
/* tournant: TCP and Unix streams, and listeners. */
#ifndef TN_NET_H
#define TN_NET_H

#include <sys/uio.h>

#include <tn/fs.h>
#include <tn/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A connected byte stream, TCP or Unix: counted. At most one task reads and one task writes at a time; a second one gets
 * TN_EBUSY.
 *
 * Any task that holds a reference may close the stream, also while other tasks wait on it. Calls that wait then, and later
 * calls, return TN_EBADF. So TN_ECANCELED and TN_ETIMEDOUT are of the calling task alone: it was cancelled, or the deadline of
 * its scope has passed. If the kernel has given the connection up because the peer does not reply, calls return TN_ETIME. */
typedef struct tn_stream tn_stream;

/* A listening socket: counted. One task accepts at a time; a second one gets TN_EBUSY. It is closed like a stream. */
typedef struct tn_listener tn_listener;

/* Size in bytes that is enough for every address as text: "[IPv6%scope]:port", or a Unix path. */
#define TN_ADDRESS_SIZE 128

/* Options of a listener; begin with tn_listen_options_default(). */
typedef struct tn_listen_options {
    size_t size;         /* of this struct, in bytes; set by tn_listen_options_default() */
    int backlog;         /* connections that wait to be accepted; 0: 4096; the kernel may cap it */
    bool reuse_address;  /* TCP: take the port even if old connections linger (SO_REUSEADDR); on by default */
    bool reuse_port;     /* TCP: several listeners share the port, and the kernel distributes connections (SO_REUSEPORT) */
    bool ipv6_only;      /* TCP, IPv6: refuse IPv4 peers */
    tn_runtime *runtime; /* NULL: that of the calling task; required on a plain thread */
} tn_listen_options;

/* Returns the default options.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the result is a value.
 * Errors: none.
 * Cancellation: no. */
static inline tn_listen_options tn_listen_options_default(void)
{
    tn_listen_options options = {sizeof(tn_listen_options), 0, true, false, false, NULL};
    return options;
}

/* Listens on a numeric address: "127.0.0.1:7000", "[::1]:7000", "*:7000" (every IPv4 and IPv6 address). If the port is 0, the
 * kernel chooses one; tn_listener_address returns it. `options`: NULL for the defaults.
 *
 * Suspends: no.
 * Callable from: anywhere; a plain thread names the runtime in the options.
 * Ownership: on success the caller owns a reference, and must give it to tn_listener_close.
 * Errors: TN_EINVAL: not an address, or an option is refused (tn/base.h); the log says what is wrong. TN_EADDRINUSE,
 * TN_EMFILE, TN_ENOMEM, and other errors of the kernel such as -EACCES.
 * Cancellation: no. */
TN_API int tn_tcp_listen(tn_listener **out, const char *address, const tn_listen_options *options);

/* Listens on a Unix socket at `path`; a leading '@' names an abstract socket. A path that exists is not removed. `options`:
 * NULL for the defaults.
 *
 * Suspends: no.
 * Callable from: anywhere; a plain thread names the runtime in the options.
 * Ownership: on success the caller owns a reference, and must give it to tn_listener_close, which removes the path it made.
 * Errors: TN_EINVAL: not a path, or an option is refused (tn/base.h); the log says what is wrong. TN_EADDRINUSE: the path
 * exists. TN_EMFILE, TN_ENOMEM, and other errors of the kernel such as -EACCES.
 * Cancellation: no. */
TN_API int tn_unix_listen(tn_listener **out, const char *path, const tn_listen_options *options);

/* Opens `count` listeners that share one TCP port, one for each task that accepts, usually one per core. The kernel distributes
 * the connections among them (SO_REUSEPORT). If the port is 0, the kernel chooses one for all. `options`: NULL for the defaults;
 * reuse_port is implied.
 *
 * A close of one of them resets the connections that wait in its backlog, although the others listen on, unless the sysctl
 * net.ipv4.tcp_migrate_req is 1. So close all of them together, at the end. tn_serve takes them all, and first accepts what
 * waits.
 *
 * Suspends: no.
 * Callable from: anywhere; a plain thread names the runtime in the options.
 * Ownership: on success the caller owns a reference to each, and must give it to tn_listener_close. After an error there is none.
 * Errors: those of tn_tcp_listen; TN_EINVAL: `count` is 0.
 * Cancellation: no. */
TN_API int tn_tcp_listen_shared(tn_listener **out, unsigned count, const char *address, const tn_listen_options *options);

/* Makes a listener of `fd`, a socket of type SOCK_STREAM that listens already, such as one inherited from a supervisor, and makes
 * the socket non-blocking. Another process may change that: each accept sets the mode first. A change between these two calls of
 * the kernel may make that accept wait there, and its worker with it, until the next connection. If it is a Unix socket, its path
 * is not removed at the close. `runtime`: NULL for that of the calling task; required on a plain thread.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: on success `fd` is the listener's, and the caller owns a reference to it. After an error `fd` is the caller's.
 * Errors: TN_EINVAL: not a socket of type SOCK_STREAM that listens, and the log says so. TN_ENOMEM.
 * Cancellation: no. */
TN_API int tn_listener_open(tn_runtime *runtime, tn_listener **out, int fd);

/* Waits for the next connection.
 *
 * Connections that failed in the queue are skipped. When files or memory run out, or when 64 connections in a row have failed,
 * it logs one line, waits with growing pauses (10 ms to 1 s), and continues.
 *
 * Suspends: until a connection is there; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: on success the caller owns a reference to the stream, and must give it to tn_stream_close.
 * Errors: TN_EBADF: the listener is closed, also if that happened during the call. TN_EBUSY: another task accepts.
 * TN_ECANCELED, TN_ETIMEDOUT. Other errors of the kernel, such as those of a filter of system calls.
 * Cancellation: yes; no connection is lost. */
TN_API int tn_accept(tn_listener *listener, tn_stream **out);

/* Accepts a connection if one is there.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: on success the caller owns a reference to the stream, and must give it to tn_stream_close.
 * Errors: TN_EAGAIN: no connection is there. TN_EMFILE and the like: files or memory have run out. The error of a connection,
 * when 64 in a row have failed. TN_EBADF: the listener is closed. TN_EBUSY: another task accepts.
 * Cancellation: no. */
TN_API int tn_try_accept(tn_listener *listener, tn_stream **out);

/* Stops listening; calls that wait in tn_accept return TN_EBADF. The port is free soon after these have returned. If another
 * process shares the socket, it goes on accepting. NULL is allowed.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: consumes the caller's reference.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_listener_close(tn_listener *listener);

/* Adds a reference, for another task. Returns `listener`.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the caller owns one more reference.
 * Errors: none.
 * Cancellation: no. */
TN_API tn_listener *tn_listener_retain(tn_listener *listener);

/* Gives up a reference; the last one closes the listener.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: consumes the caller's reference.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_listener_release(tn_listener *listener);

/* Returns the descriptor of the listener, for options of the socket or to hand it to another process. It may not be closed.
 * From now on each accept sets the mode of the socket first, as it does for a listener of tn_listener_open. Close the listener
 * only when no task uses the descriptor: its number may then be another file's.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the descriptor is borrowed, and stays the listener's.
 * Errors: TN_EBADF: the listener is closed.
 * Cancellation: no. */
TN_API int tn_listener_fd(const tn_listener *listener);

/* Writes the address that the listener listens on to `buf`, as text that tn_tcp_connect or tn_unix_connect takes. `size`: at
 * least TN_ADDRESS_SIZE bytes.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `buf` is borrowed for the call.
 * Errors: TN_EINVAL: the buffer is too small. TN_EBADF: the listener is closed.
 * Cancellation: no. */
TN_API int tn_listener_address(tn_listener *listener, char *buf, size_t size);

/* Connects to a numeric address, "127.0.0.1:7000" or "[::1]:7000", or to a name, "localhost:7000" or "localhost:http".
 *
 * The addresses of a name are tried in the order in which tn_resolve returns them, except that IPv6 and IPv4 alternate. Each
 * attempt begins 250 ms after the one before it, or at once when one has failed (RFC 8305). The first that succeeds wins. If all
 * fail, the log names the address that failed first.
 *
 * `runtime`: NULL for that of the calling task; required on a plain thread.
 *
 * Suspends: until the stream is connected; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: on success the caller owns a reference to the stream.
 * Errors: TN_EINVAL: not an address. TN_ECONNREFUSED, TN_ETIME and other errors of the kernel, for the address that failed first.
 * TN_EMFILE, TN_ENOMEM, those of tn_resolve, TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; nothing is left behind. */
TN_API int tn_tcp_connect(tn_runtime *runtime, tn_stream **out, const char *address);

/* Connects to the Unix socket at `path`; a leading '@' names an abstract socket. `runtime`: NULL for that of the calling task;
 * required on a plain thread.
 *
 * Suspends: until the stream is connected; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: on success the caller owns a reference to the stream.
 * Errors: TN_EINVAL: not a path. TN_ECONNREFUSED and other errors of the kernel. TN_EMFILE, TN_ENOMEM, TN_ECANCELED,
 * TN_ETIMEDOUT.
 * Cancellation: yes; nothing is left behind. */
TN_API int tn_unix_connect(tn_runtime *runtime, tn_stream **out, const char *path);

/* Makes a stream of `fd`, a connected socket of type SOCK_STREAM, and makes the socket non-blocking. Another process
 * may change that: reads and writes do not wait in the kernel nevertheless. What moves bytes inside the kernel (tn_sendfile,
 * tn_copy) sets the mode first; a change between these two calls of the kernel may make the second one wait there.
 * `runtime`: NULL for that of the calling task; required on a plain thread.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: on success `fd` is the stream's, and the caller owns a reference to the stream. After an error `fd` is the caller's.
 * Errors: TN_EINVAL: not a socket of type SOCK_STREAM, and the log says so; TN_ENOMEM. Whether it is connected is found out by
 * the first read or write.
 * Cancellation: no. */
TN_API int tn_stream_open(tn_runtime *runtime, tn_stream **out, int fd);

/* Reads at least 1 and at most `size` bytes into `buf`. Returns how many; 0 at the end of the stream, or if `size` is 0.
 *
 * Suspends: until a byte, the end or an error is there; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: `buf` is borrowed for the call.
 * Errors: TN_ECONNRESET, TN_ETIME and other errors of the kernel. TN_EBUSY: another task reads. TN_EBADF: the stream is closed,
 * also if that happened during the call. TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; nothing was read. */
TN_API ssize_t tn_read(tn_stream *stream, void *buf, size_t size);

/* Reads like tn_read, into `count` buffers in their order.
 *
 * Suspends: until a byte, the end or an error is there; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: `iov` and the buffers are borrowed for the call.
 * Errors: those of tn_read; TN_EINVAL: `count` is negative or above 1024, or the sizes add up to more than SSIZE_MAX.
 * Cancellation: yes; nothing was read. */
TN_API ssize_t tn_readv(tn_stream *stream, const struct iovec *iov, int count);

/* Reads until `buf` has `size` bytes. `*done`: how many are there already, 0 at first. It is right after an error too, so a
 * call that a deadline has ended can be repeated, and no byte is lost.
 *
 * Suspends: until all bytes, the end or an error are there; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: `buf` and `done` are borrowed for the call.
 * Errors: those of tn_read; TN_EBADMSG: the stream has ended before.
 * Cancellation: yes; `*done` bytes have been read. */
TN_API int tn_read_exact(tn_stream *stream, void *buf, size_t size, size_t *done);

/* Writes at least 1 and at most `size` bytes of `buf`. Returns how many; 0 if `size` is 0. It never raises SIGPIPE.
 *
 * Suspends: until the socket takes a byte; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: `buf` is borrowed for the call.
 * Errors: TN_EPIPE, TN_ECONNRESET, TN_ETIME and other errors of the kernel. TN_EBUSY: another task writes. TN_EBADF: the stream
 * is closed, also if that happened during the call. TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; nothing was written. */
TN_API ssize_t tn_write(tn_stream *stream, const void *buf, size_t size);

/* Writes all `size` bytes of `buf`. It never raises SIGPIPE.
 *
 * Suspends: until the socket has taken all bytes; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: `buf` is borrowed for the call.
 * Errors: those of tn_write; an unknown part has been written.
 * Cancellation: yes; an unknown part has been written. */
TN_API int tn_write_all(tn_stream *stream, const void *buf, size_t size);

/* Writes at least 1 byte of the `count` buffers in `iov`, in their order. Returns how many bytes; 0 if all are empty. It never
 * raises SIGPIPE.
 *
 * Suspends: until the socket takes a byte; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: `iov` and the buffers are borrowed for the call.
 * Errors: those of tn_write; TN_EINVAL: `count` is negative or above 1024, or the sizes add up to more than SSIZE_MAX.
 * Cancellation: yes; nothing was written. */
TN_API ssize_t tn_writev(tn_stream *stream, const struct iovec *iov, int count);

/* Writes all bytes of the `count` buffers in `iov`, whose elements it changes: afterwards they are what is left to write. So a
 * call that a deadline has ended can be repeated. It never raises SIGPIPE.
 *
 * Suspends: until the socket has taken all bytes; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: `iov` and the buffers are borrowed for the call.
 * Errors: those of tn_writev.
 * Cancellation: yes; `iov` is what is left to write. */
TN_API int tn_writev_all(tn_stream *stream, struct iovec *iov, int count);

/* Sends at most `size` bytes of `file` from `offset` on, without a copy through the program. The file's own position does not
 * move. It never raises SIGPIPE.
 *
 * Returns how many: fewer at the end of the file, and 0 there. It also returns fewer when an error or a cancellation has ended
 * it; the next call reports that.
 *
 * Suspends: until the socket has taken the bytes; also while a thread of the pool reads the file.
 * Callable from: a fiber, a plain thread.
 * Ownership: a reference to `stream` and one to `file` are borrowed for the call.
 * Errors: those of tn_write and of reading the file. TN_EINVAL: not a regular file, or `offset` is negative. TN_ENOMEM: no
 * thread can be started to read it.
 * Cancellation: yes; nothing was sent. */
TN_API ssize_t tn_sendfile(tn_stream *stream, tn_file *file, int64_t offset, size_t size);

/* Waits until a tn_read would not have to wait, so an idle connection needs no buffer. Returns 0 then.
 *
 * Rarely it returns too early, because a late report refers to bytes that have been read. Then the read waits. For a stream of
 * tn_stream_open it asks the socket, because the program may have read from the socket itself; an error that only this question
 * finds is returned here.
 *
 * Suspends: until a byte, the end or an error is there; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: borrows a reference.
 * Errors: those of tn_read.
 * Cancellation: yes; nothing was read. */
TN_API int tn_wait_readable(tn_stream *stream);

/* Reads like tn_read, without waiting.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `buf` is borrowed for the call.
 * Errors: TN_EAGAIN: no byte is there now. TN_ECONNRESET and other errors of the kernel. TN_EBUSY: another task reads.
 * TN_EBADF: the stream is closed.
 * Cancellation: no. */
TN_API ssize_t tn_try_read(tn_stream *stream, void *buf, size_t size);

/* Writes like tn_write, without waiting.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `buf` is borrowed for the call.
 * Errors: TN_EAGAIN: the socket takes no byte now. TN_EPIPE, TN_ECONNRESET and other errors of the kernel. TN_EBUSY: another
 * task writes. TN_EBADF: the stream is closed.
 * Cancellation: no. */
TN_API ssize_t tn_try_write(tn_stream *stream, const void *buf, size_t size);

struct tni_endpoint; /* private */

/* A direction of a stream. */
typedef enum tn_direction { TN_READABLE, TN_WRITABLE } tn_direction;

/* A future that is ready, with 0, when another tn_try_read (TN_READABLE) or tn_try_write (TN_WRITABLE) may succeed. For a stream
 * of tn_stream_open it asks the socket, because the program may have used the socket itself; an error that only this question
 * finds is its result.
 *
 * Its other errors are TN_EBUSY: another task reads or writes; TN_EBADF: the stream is closed, also if that happened while the
 * future waited; TN_ENOMEM. */
typedef struct tn_ready_future {
    tn_future base;
    struct tni_endpoint *endpoint; /* private */
    tn_direction direction;
    bool waiting; /* private */
} tn_ready_future;

/* Prepares `future` to wait for readiness. Nothing happens until it is polled.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `future` is in the caller's memory; it borrows a reference to the stream until it is ready or dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_ready_init(tn_ready_future *future, tn_stream *stream, tn_direction direction);

/* Sends the end of the stream after what has been written; reading goes on.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: borrows a reference.
 * Errors: TN_ENOTCONN: the peer has gone. TN_EBADF: the stream is closed.
 * Cancellation: no. */
TN_API int tn_stream_shutdown_write(tn_stream *stream);

/* Closes the stream; calls that wait on it return TN_EBADF. It never waits for the peer: if the socket has SO_LINGER with a
 * time, it is switched off first, and the kernel sends what is left in the background. A child of fork that closes an inherited
 * stream leaves SO_LINGER as it is, because the parent shares the socket. NULL is allowed.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: consumes the caller's reference.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_stream_close(tn_stream *stream);

/* Closes the stream in order: sends the end, reads to the end that the peer sends, and closes. What the peer still sends is
 * dropped. So the peer gets all that was written, whereas a close with unread bytes makes the kernel send a reset, which may
 * overtake it. A peer may take for ever: put a scope with a deadline around the call. The stream is closed in every case.
 *
 * Suspends: until the peer has sent the end, or there is an error; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: consumes the caller's reference, also after an error.
 * Errors: those of tn_stream_shutdown_write and tn_read.
 * Cancellation: yes; the stream is closed without the end of the peer. */
TN_API int tn_stream_finish(tn_stream *stream);

/* Ends the stream like tn_stream_close, and keeps the caller's reference, which the owner still gives up. It is how one task
 * makes another one leave its read.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: borrows a reference.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_stream_abort(tn_stream *stream);

/* Returns the descriptor of the stream, for calls that this library does not have: options of the socket, sendmsg with ancillary
 * data, statistics. It may not be closed, made blocking, or watched by another epoll instance after the stream is closed. A
 * program that reads or writes through it does so while no call of this library does, and makes its stream with
 * tn_stream_open. Close the stream only when no task uses the descriptor: its number may then be another file's.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the descriptor is borrowed, and stays the stream's.
 * Errors: TN_EBADF: the stream is closed.
 * Cancellation: no. */
TN_API int tn_stream_fd(const tn_stream *stream);

/* The process at the other end of a Unix stream, as the kernel recorded it when the connection was made. */
typedef struct tn_peer_credentials {
    pid_t process; /* 0: it is not visible from the namespace of this process */
    uid_t user;    /* effective user */
    gid_t group;   /* effective group */
} tn_peer_credentials;

/* Unix: reads the credentials of the peer.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `out` is borrowed for the call.
 * Errors: TN_EINVAL: not a Unix stream. TN_EBADF: the stream is closed. Other errors of the kernel.
 * Cancellation: no. */
TN_API int tn_stream_peer_credentials(tn_stream *stream, tn_peer_credentials *out);

/* Adds a reference, for another task. Returns `stream`.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the caller owns one more reference.
 * Errors: none.
 * Cancellation: no. */
TN_API tn_stream *tn_stream_retain(tn_stream *stream);

/* Gives up a reference; the last one closes the stream.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: consumes the caller's reference.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_stream_release(tn_stream *stream);

/* TCP: sends small writes at once (TCP_NODELAY). It is on after accept and connect.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: borrows a reference.
 * Errors: TN_EINVAL: a Unix stream. TN_EBADF: the stream is closed. Other errors of the kernel.
 * Cancellation: no. */
TN_API int tn_stream_set_nodelay(tn_stream *stream, bool on);

/* TCP: probes a silent peer after `idle_s` seconds, three times 10 s apart. 0 turns it off. Data that the peer does not
 * acknowledge has the same time, `idle_s` + 30 s: the kernel does not probe while it repeats data (TCP_USER_TIMEOUT). So has data
 * for which a peer that is alive makes no space, because it does not read. Then calls return TN_ETIME.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: borrows a reference.
 * Errors: TN_EINVAL: a Unix stream, or `idle_s` is above INT_MAX. TN_EBADF: the stream is closed. Other errors of the kernel.
 * Cancellation: no. */
TN_API int tn_stream_set_keepalive(tn_stream *stream, unsigned idle_s);

/* Writes the address of this end to `buf`, as text; "" for an unnamed Unix socket. `size`: at least TN_ADDRESS_SIZE bytes.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `buf` is borrowed for the call.
 * Errors: TN_EINVAL: the buffer is too small. TN_EBADF: the stream is closed. Other errors of the kernel.
 * Cancellation: no. */
TN_API int tn_stream_local_address(tn_stream *stream, char *buf, size_t size);

/* Writes the address of the other end to `buf`, as text; "" for an unnamed Unix socket. `size`: at least TN_ADDRESS_SIZE bytes.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `buf` is borrowed for the call.
 * Errors: TN_EINVAL: the buffer is too small. TN_EBADF: the stream is closed. Other errors of the kernel, such as TN_ENOTCONN.
 * Cancellation: no. */
TN_API int tn_stream_peer_address(tn_stream *stream, char *buf, size_t size);

#ifdef __cplusplus
}
#endif

#endif
