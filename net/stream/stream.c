/* SPDX-License-Identifier: MIT */
/* Streams: making, reading, writing, closing.
 *
 * A call tries first, and waits only if the socket is not ready. So a stream that never has to wait is never registered. A
 * stream that is registered is not tried while its readiness word says that it is not ready. README.md ("Readiness") has the
 * rules.
 */
#include "stream/stream.h"

#include "sched/budget_fiber.h"
#include "sched/runtime.h"

/* The kernel moves at most 2^31 - 4096 bytes per call. Only for requests below that does a short count come from the socket. */
#define TRANSFER_MAX ((size_t)1 << 30)

#define IOV_COUNT_MAX 1024

/* --- Making ---------------------------------------------------------------------------------------------------------------- */

static void release(tni_endpoint *endpoint)
{
    tn_stream *stream = tni_container_of(endpoint, tn_stream, endpoint);

    tni_stream_free(endpoint->runtime, stream);
}

static const tni_endpoint_ops stream_ops = {NULL, release};

tn_stream *tni_stream_alloc(tn_runtime *runtime)
{
    return tni_alloc(&runtime->allocator, sizeof(tn_stream), _Alignof(tn_stream));
}

void tni_stream_free(tn_runtime *runtime, tn_stream *stream)
{
    tni_free(&runtime->allocator, stream, sizeof *stream);
}

void tni_stream_init(tn_stream *stream, tn_runtime *runtime, int fd, bool tcp)
{
    tni_endpoint_init(&stream->endpoint, runtime, &stream_ops, fd);
    stream->endpoint.tcp = tcp;
    stream->endpoint.read_may_be_stale = true;
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

/* --- One try ---------------------------------------------------------------------------------------------------------------- */

/* The functions below require that an operation on their side is in flight. TN_EAGAIN: the socket is not ready. */

/* Does a count smaller than `size` mean that the receive queue is empty (the send queue is full)? */
static bool is_short(const tn_stream *stream, ssize_t n, size_t size)
{
    return n > 0 && (size_t)n < size && size <= TRANSFER_MAX && stream->endpoint.tcp;
}

static void clear_readable(tn_stream *stream, tni_registration *registration, uint64_t seen)
{
    uint64_t now = tni_registration_clear(registration, TNI_READ, seen);

    /* A report after a clear is about new bytes, except one that was already under way when this call read (tn/net.h says so).
     * If a report came in between, also one of a writable socket, the clear has no effect; then READ may be stale. */
    stream->endpoint.read_may_be_stale = tni_readiness_has(now, TNI_READ);
}

static ssize_t try_read(tn_stream *stream, void *buf, size_t size)
{
    tni_registration *registration = tni_endpoint_registration(&stream->endpoint);
    uint64_t seen = 0;
    ssize_t n;

    if (registration != NULL) {
        seen = tni_registration_readiness(registration);
        if (!tni_readiness_is_worth_a_try(seen, TNI_READ))
            return TN_EAGAIN;
    }
    n = tni_os_recv(stream->endpoint.fd, buf, size);
    stream->endpoint.read_may_be_stale = true;
    if (registration == NULL)
        return n;
    if (n == TN_EAGAIN || (is_short(stream, n, size) && tni_readiness_trusts_short(seen)))
        clear_readable(stream, registration, seen);
    return n;
}

/* `size`: bytes in all `count` buffers. */
static ssize_t try_write(tn_stream *stream, const struct iovec *iov, size_t count, size_t size)
{
    tni_registration *registration = tni_endpoint_registration(&stream->endpoint);
    uint64_t seen = 0;
    ssize_t n;

    if (registration != NULL) {
        seen = tni_registration_readiness(registration);
        if (!tni_readiness_is_worth_a_try(seen, TNI_WRITE))
            return TN_EAGAIN;
    }
    if (count == 1)
        n = tni_os_send(stream->endpoint.fd, iov->iov_base, iov->iov_len);
    else
        n = tni_os_sendv(stream->endpoint.fd, iov, count);
    if (registration == NULL)
        return n;
    if (n == TN_EAGAIN || is_short(stream, n, size))
        (void)tni_registration_clear(registration, TNI_WRITE, seen);
    return n;
}

/* --- Reading ---------------------------------------------------------------------------------------------------------------- */

static int begin(tn_stream *stream, tni_operation operation)
{
    int rc = tni_budget_enter();

    return rc != 0 ? rc : tni_endpoint_begin(&stream->endpoint, operation);
}

ssize_t tn_read(tn_stream *stream, void *buf, size_t size)
{
    ssize_t n = begin(stream, TNI_OPERATION_READ);

    if (n != 0)
        return n;
    while (size > 0 && (n = try_read(stream, buf, size)) == TN_EAGAIN) {
        int rc = tni_endpoint_wait(&stream->endpoint, TNI_READ);
        if (rc != 0) {
            n = rc;
            break;
        }
    }
    tni_endpoint_end(&stream->endpoint, TNI_OPERATION_READ);
    return n;
}

ssize_t tn_try_read(tn_stream *stream, void *buf, size_t size)
{
    ssize_t n = tni_endpoint_begin(&stream->endpoint, TNI_OPERATION_READ);

    if (n != 0)
        return n;
    if (size > 0)
        n = try_read(stream, buf, size);
    tni_endpoint_end(&stream->endpoint, TNI_OPERATION_READ);
    return n;
}

/* Returns whether there is something to read: according to the readiness word, or if that may be stale, according to the
 * socket. */
static bool is_readable(tn_stream *stream)
{
    tni_registration *registration = tni_endpoint_registration(&stream->endpoint);
    uint64_t seen;

    if (registration == NULL)
        return tni_os_peek(stream->endpoint.fd) != TN_EAGAIN;
    seen = tni_registration_readiness(registration);
    if (!tni_readiness_has(seen, TNI_READ))
        return false;
    if (!stream->endpoint.read_may_be_stale || tni_os_peek(stream->endpoint.fd) != TN_EAGAIN)
        return true;
    clear_readable(stream, registration, seen);
    return false;
}

int tn_wait_readable(tn_stream *stream)
{
    int rc = begin(stream, TNI_OPERATION_READ);

    if (rc != 0)
        return rc;
    while (rc == 0 && !is_readable(stream))
        rc = tni_endpoint_wait(&stream->endpoint, TNI_READ);
    tni_endpoint_end(&stream->endpoint, TNI_OPERATION_READ);
    return rc;
}

/* --- Writing ---------------------------------------------------------------------------------------------------------------- */

/* The buffer is only read; iovec has no const because readv uses it too. */
static struct iovec single_buffer(const void *buf, size_t size)
{
    struct iovec iov = {(void *)(uintptr_t)buf, size};

    return iov;
}

/* In flight: writes at least one byte, or fails. */
static ssize_t write_some(tn_stream *stream, const struct iovec *iov, size_t count, size_t size)
{
    ssize_t n;

    while ((n = try_write(stream, iov, count, size)) == TN_EAGAIN) {
        int rc = tni_endpoint_wait(&stream->endpoint, TNI_WRITE);
        if (rc != 0)
            return rc;
    }
    return n;
}

static ssize_t write_once(tn_stream *stream, const struct iovec *iov, size_t count, size_t size)
{
    ssize_t n = begin(stream, TNI_OPERATION_WRITE);

    if (n != 0)
        return n;
    if (size > 0)
        n = write_some(stream, iov, count, size);
    tni_endpoint_end(&stream->endpoint, TNI_OPERATION_WRITE);
    return n;
}

ssize_t tn_write(tn_stream *stream, const void *buf, size_t size)
{
    struct iovec iov = single_buffer(buf, size);

    return write_once(stream, &iov, 1, size);
}

ssize_t tn_writev(tn_stream *stream, const struct iovec *iov, int count)
{
    size_t size = 0;

    if (count < 0 || count > IOV_COUNT_MAX)
        return TN_EINVAL;
    for (int i = 0; i < count; i++) {
        if (iov[i].iov_len > (size_t)SSIZE_MAX - size)
            return TN_EINVAL;
        size += iov[i].iov_len;
    }
    return write_once(stream, iov, (size_t)count, size);
}

ssize_t tn_try_write(tn_stream *stream, const void *buf, size_t size)
{
    struct iovec iov = single_buffer(buf, size);
    ssize_t n = tni_endpoint_begin(&stream->endpoint, TNI_OPERATION_WRITE);

    if (n != 0)
        return n;
    if (size > 0)
        n = try_write(stream, &iov, 1, size);
    tni_endpoint_end(&stream->endpoint, TNI_OPERATION_WRITE);
    return n;
}

/* Checks for a cancellation and a close between two parts. It is needed because the task never waits if the peer reads as fast
 * as the task writes. */
static int check_between_parts(tn_stream *stream)
{
    int rc = tni_endpoint_go_on(&stream->endpoint, TNI_WRITE);

    return rc == 0 && tni_endpoint_is_closing(&stream->endpoint) ? TN_ECANCELED : rc;
}

int tn_write_all(tn_stream *stream, const void *buf, size_t size)
{
    struct iovec remaining = single_buffer(buf, size);
    ssize_t n = begin(stream, TNI_OPERATION_WRITE);

    if (n != 0)
        return (int)n;
    while (remaining.iov_len > 0) {
        n = write_some(stream, &remaining, 1, remaining.iov_len);
        if (n < 0)
            break;
        remaining = single_buffer((const char *)remaining.iov_base + n, remaining.iov_len - (size_t)n);
        if (remaining.iov_len > 0 && (n = check_between_parts(stream)) < 0)
            break;
    }
    tni_endpoint_end(&stream->endpoint, TNI_OPERATION_WRITE);
    return n < 0 ? (int)n : 0;
}
