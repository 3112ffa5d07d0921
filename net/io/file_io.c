/* SPDX-License-Identifier: MIT */
/* A file, pipe, FIFO or terminal as a tn_io. */
#include <tn/io.h>

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
    };
    tn_io io = {&ops, file};

    return io;
}
