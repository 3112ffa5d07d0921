/* SPDX-License-Identifier: MIT */
/* Pipes. The mode of this process's end is its own: the child has the other end, whose mode stays. So reads and writes are made
 * on the worker, and the driver waits for the end. */
#include "process/pipe.h"

#include "base/vector.h"
#include "endpoint/attempt.h"
#include "os/os_file.h"
#include "os/os_pipe_signal.h"
#include "os/os_process.h"
#include "os/os_socket.h"
#include "sched/runtime.h"
#include "stream/stream.h"

static tni_pipe *pipe_of(void *object)
{
    return object;
}

static void release(tni_endpoint *endpoint)
{
    tni_pipe *pipe = tni_container_of(endpoint, tni_pipe, endpoint);

    tni_free(&endpoint->runtime->allocator, pipe, sizeof *pipe);
}

static const tni_endpoint_ops pipe_ops = {NULL, release, false};

int tni_pipe_make(tni_pipe **out, tn_runtime *runtime, int fd)
{
    tni_pipe *pipe = tni_reclaim_alloc(runtime, sizeof *pipe, _Alignof(tni_pipe));
    int rc = pipe != NULL ? tni_os_set_nonblocking(fd) : TN_ENOMEM;

    if (rc == 0) {
        tni_endpoint_init(&pipe->endpoint, runtime, &pipe_ops, fd, false);
        *out = pipe;
        return 0;
    }
    tni_os_close(fd);
    tni_free(&runtime->allocator, pipe, sizeof *pipe);
    return rc;
}

void tni_pipe_close(tni_pipe *pipe)
{
    if (pipe != NULL)
        tni_endpoint_close(&pipe->endpoint);
}

ssize_t tni_pipe_run_read(tni_endpoint *endpoint, void *arg)
{
    const tni_pipe_buffers *into = arg;

    return tni_os_readv(endpoint->fd, into->iov, into->count);
}

ssize_t tni_pipe_run_write(tni_endpoint *endpoint, void *arg)
{
    const tni_pipe_buffers *from = arg;
    tni_os_pipe_signal signal;
    ssize_t n;

    tni_os_pipe_signal_block(&signal);
    n = tni_os_writev(endpoint->fd, from->iov, from->count);
    tni_os_pipe_signal_restore(&signal, n < 0 || (size_t)n < (size_t)tni_vector_total(from->iov, from->count));
    return n;
}

static ssize_t transfer(tni_pipe *pipe, tni_side side, const struct iovec *iov, int count)
{
    tni_pipe_buffers buffers = {iov, count};
    tni_attempt read = {tni_pipe_run_read, &buffers, 0};
    tni_attempt write = {tni_pipe_run_write, &buffers, 0};
    ssize_t total = tni_vector_total(iov, count);

    if (total < 0)
        return total;
    if (total == 0) {
        int rc = tni_attempt_begin(&pipe->endpoint, side);
        if (rc == 0)
            tni_endpoint_end(&pipe->endpoint, tni_endpoint_operation(side));
        return rc;
    }
    if (side == TNI_READ)
        return tni_attempt_until_done(&pipe->endpoint, TNI_READ, &read);
    return tni_attempt_until_done(&pipe->endpoint, TNI_WRITE, &write);
}

static ssize_t pipe_read(void *object, void *buf, size_t size)
{
    struct iovec iov = {buf, size};

    return transfer(pipe_of(object), TNI_READ, &iov, 1);
}

static ssize_t pipe_try_read(void *object, void *buf, size_t size)
{
    tni_pipe *pipe = pipe_of(object);
    struct iovec iov = {buf, size};
    tni_pipe_buffers buffers = {&iov, 1};
    tni_attempt read = {tni_pipe_run_read, &buffers, 0};

    return size > 0 ? tni_attempt_now(&pipe->endpoint, TNI_READ, &read) : 0;
}

static ssize_t pipe_readv(void *object, const struct iovec *iov, int count)
{
    return transfer(pipe_of(object), TNI_READ, iov, count);
}

static ssize_t pipe_write(void *object, const void *buf, size_t size)
{
    struct iovec iov = {(void *)(uintptr_t)buf, size};

    return transfer(pipe_of(object), TNI_WRITE, &iov, 1);
}

static ssize_t pipe_try_write(void *object, const void *buf, size_t size)
{
    tni_pipe *pipe = pipe_of(object);
    struct iovec iov = {(void *)(uintptr_t)buf, size};
    tni_pipe_buffers buffers = {&iov, 1};
    tni_attempt write = {tni_pipe_run_write, &buffers, 0};

    return size > 0 ? tni_attempt_now(&pipe->endpoint, TNI_WRITE, &write) : 0;
}

static ssize_t pipe_writev(void *object, const struct iovec *iov, int count)
{
    return transfer(pipe_of(object), TNI_WRITE, iov, count);
}

static void pipe_close(void *object)
{
    tni_pipe_close(pipe_of(object));
}

static ssize_t run_is_ready(tni_endpoint *endpoint, void *arg)
{
    return tni_os_process_pipe_ready(endpoint->fd, *(const tni_side *)arg == TNI_WRITE) ? 0 : TN_EAGAIN;
}

static int pipe_wait(void *object, tn_direction direction)
{
    tni_pipe *pipe = pipe_of(object);
    tni_side side = direction == TN_READABLE ? TNI_READ : TNI_WRITE;
    tni_attempt is_ready = {run_is_ready, &side, 0};

    return (int)tni_attempt_until_done(&pipe->endpoint, side, &is_ready);
}

_Static_assert(sizeof(tn_ready_future) <= TN_IO_WAIT_WORDS * sizeof(uint64_t), "a tn_io_wait_future has space for it");

static tn_future *pipe_wait_init(void *object, tn_direction direction, uint64_t *memory)
{
    tn_ready_future *future = (tn_ready_future *)(void *)memory;

    tni_ready_init(future, &pipe_of(object)->endpoint, direction);
    return &future->base;
}

/* The reference of the owner stays. */
static int pipe_abort(void *object)
{
    tni_pipe *pipe = pipe_of(object);

    tni_endpoint_retain(&pipe->endpoint);
    tni_endpoint_close(&pipe->endpoint);
    return 0;
}

static int pipe_descriptor(void *object, tn_direction direction)
{
    tni_pipe *pipe = pipe_of(object);

    (void)direction;
    return tni_endpoint_is_closing(&pipe->endpoint) ? TN_EBADF : pipe->endpoint.fd;
}

tn_io tni_pipe_reader(tni_pipe *pipe)
{
    static const tn_io_ops ops = {
        .size = sizeof(tn_io_ops),
        .read = pipe_read,
        .readv = pipe_readv,
        .close = pipe_close,
        .wait = pipe_wait,
        .abort = pipe_abort,
        .descriptor = pipe_descriptor,
        .try_read = pipe_try_read,
        .wait_init = pipe_wait_init,
    };
    tn_io io = {&ops, pipe};

    return io;
}

tn_io tni_pipe_writer(tni_pipe *pipe)
{
    static const tn_io_ops ops = {
        .size = sizeof(tn_io_ops),
        .write = pipe_write,
        .writev = pipe_writev,
        .close = pipe_close,
        .wait = pipe_wait,
        .abort = pipe_abort,
        .descriptor = pipe_descriptor,
        .try_write = pipe_try_write,
        .wait_init = pipe_wait_init,
    };
    tn_io io = {&ops, pipe};

    return io;
}
