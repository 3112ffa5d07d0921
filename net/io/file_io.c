/* SPDX-License-Identifier: MIT */
/* A file, pipe, FIFO or terminal as a tn_io. */
#include <tn/fd.h>
#include <tn/io.h>

#include "base/defs.h"
#include "fs/file.h"
#include "io/io.h"

static ssize_t file_read(void *object, void *buf, size_t size)
{
    return tn_file_read(object, buf, size);
}

static ssize_t file_readv(void *object, const struct iovec *iov, int count)
{
    return tn_file_readv(object, iov, count);
}

static ssize_t file_write(void *object, const void *buf, size_t size)
{
    return tn_file_write(object, buf, size);
}

static ssize_t file_writev(void *object, const struct iovec *iov, int count)
{
    return tn_file_writev(object, iov, count);
}

static void file_close(void *object)
{
    tn_file_close(object);
}

static int file_wait(void *object, tn_direction direction)
{
    return tn_file_wait(object, direction == TN_WRITABLE);
}

typedef struct {
    tn_future base;
    tn_fd_future ready;
} file_wait_future;

_Static_assert(sizeof(file_wait_future) <= TN_IO_WAIT_WORDS * sizeof(uint64_t), "a tn_io_wait_future has space for it");

static int wait_poll(tn_future *self, tn_waker *waker)
{
    int rc = tn_future_poll(&tni_container_of(self, file_wait_future, base)->ready.base, waker);

    return rc > 0 || rc == TN_ENOTSUP ? 0 : rc; /* a file that the kernel cannot watch is always ready */
}

static void wait_drop(tn_future *self)
{
    tn_future_drop(&tni_container_of(self, file_wait_future, base)->ready.base);
}

static tn_future *file_wait_init(void *object, tn_direction direction, uint64_t *memory)
{
    static const tn_future_ops ops = {wait_poll, wait_drop, "file"};
    file_wait_future *self = (file_wait_future *)(void *)memory;

    if (tni_file_is_always_ready(object, direction == TN_WRITABLE))
        return tni_io_wait_ready();
    self->base.ops = &ops;
    tn_fd_init(&self->ready, NULL, tn_file_fd(object), direction == TN_READABLE ? TN_FD_READABLE : TN_FD_WRITABLE);
    return &self->base;
}

static int file_descriptor(void *object, tn_direction direction)
{
    (void)direction;
    return tn_file_fd(object);
}

tn_io tn_file_io(tn_file *file)
{
    static const tn_io_ops ops = {
        .size = sizeof(tn_io_ops),
        .read = file_read,
        .readv = file_readv,
        .write = file_write,
        .writev = file_writev,
        .close = file_close,
        .wait = file_wait,
        .descriptor = file_descriptor,
        .wait_init = file_wait_init,
    };
    tn_io io = {&ops, file};

    return io;
}
