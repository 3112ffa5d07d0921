/* SPDX-License-Identifier: MIT */
/* A TCP or Unix stream as a tn_io. */
#include "io/stream_io.h"

#include "stream/stream.h"

static ssize_t stream_read(void *object, void *buf, size_t size)
{
    return tn_read(object, buf, size);
}

static ssize_t stream_try_read(void *object, void *buf, size_t size)
{
    return tn_try_read(object, buf, size);
}

static ssize_t stream_readv(void *object, const struct iovec *iov, int count)
{
    return tn_readv(object, iov, count);
}

static ssize_t stream_write(void *object, const void *buf, size_t size)
{
    return tn_write(object, buf, size);
}

static ssize_t stream_try_write(void *object, const void *buf, size_t size)
{
    return tn_try_write(object, buf, size);
}

static ssize_t stream_writev(void *object, const struct iovec *iov, int count)
{
    return tn_writev(object, iov, count);
}

static ssize_t stream_try_writev(void *object, const struct iovec *iov, int count)
{
    return tni_stream_try_writev(object, iov, count);
}

static int stream_close_write(void *object)
{
    return tn_stream_shutdown_write(object);
}

static void stream_close(void *object)
{
    tn_stream_close(object);
}

static int stream_wait(void *object, tn_direction direction)
{
    tn_ready_future future;

    if (direction == TN_READABLE)
        return tn_wait_readable(object);
    tn_ready_init(&future, object, TN_WRITABLE);
    return tn_await(&future.base);
}

_Static_assert(sizeof(tn_ready_future) <= TN_IO_WAIT_WORDS * sizeof(uint64_t), "a tn_io_wait_future has space for it");

static tn_future *stream_wait_init(void *object, tn_direction direction, uint64_t *memory)
{
    tn_ready_future *future = (tn_ready_future *)(void *)memory;

    tn_ready_init(future, object, direction);
    return &future->base;
}

static int stream_abort(void *object)
{
    tn_stream_abort(object);
    return 0;
}

static int stream_descriptor(void *object, tn_direction direction)
{
    (void)direction;
    return tn_stream_fd(object);
}

static const tn_io_ops stream_io_ops = {
    .size = sizeof(tn_io_ops),
    .read = stream_read,
    .readv = stream_readv,
    .write = stream_write,
    .writev = stream_writev,
    .close_write = stream_close_write,
    .close = stream_close,
    .wait = stream_wait,
    .abort = stream_abort,
    .descriptor = stream_descriptor,
    .try_read = stream_try_read,
    .try_write = stream_try_write,
    .try_writev = stream_try_writev,
    .wait_init = stream_wait_init,
};

tn_io tn_stream_io(tn_stream *stream)
{
    tn_io io = {&stream_io_ops, stream};

    return io;
}

tn_stream *tni_stream_io_get(tn_io io)
{
    return io.ops == &stream_io_ops ? io.object : NULL;
}
