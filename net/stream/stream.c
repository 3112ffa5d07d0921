/* SPDX-License-Identifier: MIT */
/* Streams: making, reading, writing, closing. A read or a write is a try of endpoint/attempt.h, which waits if the socket is not
 * ready. */
#include "stream/stream.h"

#include <tn/io.h>

#include "base/vector.h"
#include "endpoint/attempt.h"
#include "sched/runtime.h"

/* --- Making ---------------------------------------------------------------------------------------------------------------- */

static void release(tni_endpoint *endpoint)
{
    tn_stream *stream = tni_container_of(endpoint, tn_stream, endpoint);

    tni_stream_free(endpoint->runtime, stream);
}

static const tni_endpoint_ops stream_ops = {NULL, release, false};

tn_stream *tni_stream_alloc(tn_runtime *runtime)
{
    return tni_reclaim_alloc(runtime, sizeof(tn_stream), _Alignof(tn_stream));
}

void tni_stream_free(tn_runtime *runtime, tn_stream *stream)
{
    tni_free(&runtime->allocator, stream, sizeof *stream);
}

void tni_stream_init(tn_stream *stream, tn_runtime *runtime, int fd, bool tcp)
{
    tni_endpoint_init(&stream->endpoint, runtime, &stream_ops, fd, tcp);
}

int tni_stream_open_socket(tn_runtime *runtime, tn_stream **out, int domain)
{
    bool tcp = domain != AF_UNIX;
    tn_stream *stream = tni_stream_alloc(runtime);
    int fd;

    if (stream == NULL)
        return TN_ENOMEM;
    fd = tni_os_socket(domain, SOCK_STREAM, 0);
    if (fd < 0) {
        tni_stream_free(runtime, stream);
        return fd;
    }
    if (tcp)
        (void)tni_os_set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* if it fails, writes are only slower */
    tni_stream_init(stream, runtime, fd, tcp);
    *out = stream;
    return 0;
}

/* With other protocols (MPTCP, Unix) a read may return only a part of what is there. */
static bool is_plain_tcp(int fd)
{
    int protocol;

    return tni_os_get_option(fd, SOL_SOCKET, SO_PROTOCOL, &protocol) == 0 && protocol == IPPROTO_TCP;
}

int tn_stream_open(tn_runtime *runtime, tn_stream **out, int fd)
{
    tn_stream *stream;
    int type;
    int rc;

    runtime = tni_endpoint_runtime(runtime, "tn_stream_open");
    if (runtime == NULL)
        return TN_EINVAL;
    rc = tni_os_get_option(fd, SOL_SOCKET, SO_TYPE, &type);
    if (rc != 0 || type != SOCK_STREAM) {
        tni_log_write(&runtime->log, TN_LOG_ERROR, "tn_stream_open: file %d is not a socket of the type SOCK_STREAM", fd);
        return TN_EINVAL;
    }
    rc = tni_os_set_nonblocking(fd);
    if (rc != 0)
        return rc;
    stream = tni_stream_alloc(runtime);
    if (stream == NULL)
        return TN_ENOMEM;
    tni_stream_init(stream, runtime, fd, is_plain_tcp(fd));
    stream->endpoint.given = true;
    *out = stream;
    return 0;
}

tn_stream *tn_stream_retain(tn_stream *stream)
{
    tni_endpoint_retain(&stream->endpoint);
    return stream;
}

void tn_stream_release(tn_stream *stream)
{
    if (stream != NULL)
        tni_endpoint_release(&stream->endpoint);
}

void tn_stream_close(tn_stream *stream)
{
    if (stream != NULL)
        tni_endpoint_close(&stream->endpoint);
}

/* --- Reading ---------------------------------------------------------------------------------------------------------------- */

/* A call with no bytes only finds out whether it may be made. */
static int transfer_nothing(tn_stream *stream, tni_operation operation)
{
    int rc = tni_endpoint_begin(&stream->endpoint, operation);

    if (rc == 0)
        tni_endpoint_end(&stream->endpoint, operation);
    return rc;
}

static ssize_t run_receive(tni_endpoint *endpoint, void *arg)
{
    const struct iovec *into = arg;

    endpoint->read_may_be_stale = true;
    return tni_os_recv(endpoint->fd, into->iov_base, into->iov_len);
}

ssize_t tn_read(tn_stream *stream, void *buf, size_t size)
{
    struct iovec into = {buf, size};
    tni_attempt receive = {run_receive, &into, size};
    int rc;

    if (size > 0)
        return tni_attempt_until_done(&stream->endpoint, TNI_READ, &receive);
    rc = tni_budget_enter();
    return rc != 0 ? rc : transfer_nothing(stream, TNI_OPERATION_READ);
}

ssize_t tn_try_read(tn_stream *stream, void *buf, size_t size)
{
    struct iovec into = {buf, size};
    tni_attempt receive = {run_receive, &into, size};

    return size > 0 ? tni_attempt_now(&stream->endpoint, TNI_READ, &receive) : transfer_nothing(stream, TNI_OPERATION_READ);
}

/* Whether there is something to read: according to the readiness word, or if that may be stale, according to the socket. A byte
 * that the word does not know of yet does not count, because a read would go by the word. */
static ssize_t run_is_readable(tni_endpoint *endpoint, void *arg)
{
    tni_registration *registration = tni_endpoint_registration(endpoint);
    int rc;

    (void)arg;
    if (registration != NULL) {
        uint64_t readiness = tni_registration_readiness(registration);
        if (!tni_readiness_has(readiness, TNI_READ))
            return TN_EAGAIN;
        /* An entry in the error queue is reported as an error is. A socket that the program knows may have been read by it. */
        if (!endpoint->read_may_be_stale && !endpoint->given && !(readiness & TNI_OS_ERROR))
            return 0;
    }
    rc = tni_os_socket_ready(endpoint->fd, false);
    if (rc == 0 && registration != NULL)
        endpoint->read_may_be_stale = false; /* only a read takes what is there */
    return rc;
}

typedef struct {
    const struct iovec *iov;
    size_t count;
} buffers;

static ssize_t run_receivev(tni_endpoint *endpoint, void *arg)
{
    const buffers *into = arg;

    endpoint->read_may_be_stale = true;
    return tni_os_recvv(endpoint->fd, into->iov, into->count);
}

ssize_t tn_readv(tn_stream *stream, const struct iovec *iov, int count)
{
    buffers into = {iov, (size_t)count};
    tni_attempt receivev = {run_receivev, &into, 0};
    ssize_t total = tni_vector_total(iov, count);

    if (total < 0)
        return total;
    receivev.size = (size_t)total;
    if (receivev.size == 0 || count == 1)
        return tn_read(stream, count == 1 ? iov->iov_base : NULL, receivev.size);
    return tni_attempt_until_done(&stream->endpoint, TNI_READ, &receivev);
}

int tn_read_exact(tn_stream *stream, void *buf, size_t size, size_t *done)
{
    return tn_io_read_exact(tn_stream_io(stream), buf, size, done);
}

int tn_wait_readable(tn_stream *stream)
{
    tni_attempt is_readable = {run_is_readable, NULL, 0};

    return (int)tni_attempt_until_done(&stream->endpoint, TNI_READ, &is_readable);
}

int tni_stream_poll_readable(tn_stream *stream, tn_waker *waker)
{
    tni_attempt is_readable = {run_is_readable, NULL, 0};
    int rc;

    do {
        rc = tni_endpoint_poll(&stream->endpoint, TNI_READ, waker);
        if (rc == 0)
            rc = (int)tni_attempt_once(&stream->endpoint, TNI_READ, &is_readable);
    } while (rc == TN_EAGAIN);
    return rc;
}

/* --- Writing ---------------------------------------------------------------------------------------------------------------- */

/* The buffer is only read; iovec has no const because readv uses it too. */
static struct iovec single_buffer(const void *buf, size_t size)
{
    struct iovec iov = {(void *)(uintptr_t)buf, size};

    return iov;
}

static ssize_t run_send(tni_endpoint *endpoint, void *arg)
{
    const struct iovec *from = arg;

    return tni_os_send(endpoint->fd, from->iov_base, from->iov_len);
}

ssize_t tn_write(tn_stream *stream, const void *buf, size_t size)
{
    struct iovec from = single_buffer(buf, size);
    tni_attempt send = {run_send, &from, size};
    int rc;

    if (size > 0)
        return tni_attempt_until_done(&stream->endpoint, TNI_WRITE, &send);
    rc = tni_budget_enter();
    return rc != 0 ? rc : transfer_nothing(stream, TNI_OPERATION_WRITE);
}

ssize_t tn_try_write(tn_stream *stream, const void *buf, size_t size)
{
    struct iovec from = single_buffer(buf, size);
    tni_attempt send = {run_send, &from, size};

    return size > 0 ? tni_attempt_now(&stream->endpoint, TNI_WRITE, &send) : transfer_nothing(stream, TNI_OPERATION_WRITE);
}

static ssize_t run_sendv(tni_endpoint *endpoint, void *arg)
{
    const buffers *from = arg;

    return tni_os_sendv(endpoint->fd, from->iov, from->count);
}

ssize_t tn_writev(tn_stream *stream, const struct iovec *iov, int count)
{
    buffers from = {iov, (size_t)count};
    tni_attempt sendv = {run_sendv, &from, 0};
    ssize_t total = tni_vector_total(iov, count);

    if (total < 0)
        return total;
    sendv.size = (size_t)total;
    if (sendv.size == 0 || count == 1)
        return tn_write(stream, count == 1 ? iov->iov_base : NULL, sendv.size);
    return tni_attempt_until_done(&stream->endpoint, TNI_WRITE, &sendv);
}

ssize_t tni_stream_try_writev(tn_stream *stream, const struct iovec *iov, int count)
{
    buffers from = {iov, (size_t)count};
    tni_attempt sendv = {run_sendv, &from, (size_t)tni_vector_total(iov, count)};

    return tni_attempt_now(&stream->endpoint, TNI_WRITE, &sendv);
}

/* Checks for a cancellation and a close between two parts. It is needed because the task never waits if the peer reads as fast
 * as the task writes. */
static int check_between_parts(tn_stream *stream)
{
    int rc = tni_endpoint_go_on(&stream->endpoint, TNI_WRITE);

    return rc == 0 && tni_endpoint_is_closing(&stream->endpoint) ? TN_EBADF : rc;
}

int tn_write_all(tn_stream *stream, const void *buf, size_t size)
{
    struct iovec rest = single_buffer(buf, size);
    ssize_t n = tni_attempt_begin(&stream->endpoint, TNI_WRITE);

    if (n != 0)
        return (int)n;
    while (rest.iov_len > 0) {
        tni_attempt send = {run_send, &rest, rest.iov_len};
        n = tni_attempt_waiting(&stream->endpoint, TNI_WRITE, &send);
        if (n < 0)
            break;
        rest = single_buffer((const char *)rest.iov_base + n, rest.iov_len - (size_t)n);
        if (rest.iov_len > 0 && (n = check_between_parts(stream)) < 0)
            break;
    }
    tni_endpoint_end(&stream->endpoint, TNI_OPERATION_WRITE);
    return n < 0 ? (int)n : 0;
}

int tn_writev_all(tn_stream *stream, struct iovec *iov, int count)
{
    return tn_io_writev_all(tn_stream_io(stream), iov, count);
}
