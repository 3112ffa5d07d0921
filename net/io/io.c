/* SPDX-License-Identifier: MIT */
/* tn_io: the calls of a byte stream through its table, and the fallbacks of the entries that a kind leaves out. */
#include <tn/io.h>

#include <stddef.h>

#include "base/vector.h"
#include "io/io.h"
#include "task/budget.h"

/* The first buffer that is not empty; an empty one if all are. It is never NULL, which a kind may not pass to memcpy. */
static struct iovec first_of(const struct iovec *iov, int count)
{
    struct iovec none = {(void *)(uintptr_t) "", 0};

    for (int i = 0; i < count; i++)
        if (iov[i].iov_len > 0)
            return iov[i];
    return none;
}

ssize_t tn_io_readv(tn_io io, const struct iovec *iov, int count)
{
    ssize_t total = tni_vector_total(iov, count);
    struct iovec first;

    if (total < 0)
        return total;
    if (io.ops->readv != NULL && total > 0)
        return io.ops->readv(io.object, iov, count);
    first = first_of(iov, count);
    return tn_io_read(io, first.iov_base, first.iov_len);
}

ssize_t tn_io_writev(tn_io io, const struct iovec *iov, int count)
{
    ssize_t total = tni_vector_total(iov, count);
    struct iovec first;

    if (total < 0)
        return total;
    if (io.ops->writev != NULL && total > 0) {
        ssize_t n = io.ops->writev(io.object, iov, count);
        return n == 0 ? TN_EIO : n;
    }
    first = first_of(iov, count);
    return tn_io_write(io, first.iov_base, first.iov_len);
}

/* Whether the table is long enough to have the entry, one of those that came after the first version. */
#define HAS(ops, entry) ((ops)->size >= offsetof(tn_io_ops, entry) + sizeof(ops)->entry && (ops)->entry != NULL)

ssize_t tn_io_try_read(tn_io io, void *buf, size_t size)
{
    return HAS(io.ops, try_read) ? io.ops->try_read(io.object, buf, size) : (ssize_t)TN_ENOTSUP;
}

ssize_t tn_io_try_write(tn_io io, const void *buf, size_t size)
{
    ssize_t n = HAS(io.ops, try_write) ? io.ops->try_write(io.object, buf, size) : (ssize_t)TN_ENOTSUP;

    return n == 0 && size > 0 ? (ssize_t)TN_EIO : n;
}

ssize_t tn_io_try_writev(tn_io io, const struct iovec *iov, int count)
{
    ssize_t total = tni_vector_total(iov, count);
    struct iovec first;

    if (total < 0)
        return total;
    if (HAS(io.ops, try_writev) && total > 0) {
        ssize_t n = io.ops->try_writev(io.object, iov, count);
        return n == 0 ? TN_EIO : n;
    }
    first = first_of(iov, count);
    return tn_io_try_write(io, first.iov_base, first.iov_len);
}

int tn_io_read_exact(tn_io io, void *buf, size_t size, size_t *done)
{
    while (*done < size) {
        ssize_t n = tn_io_read(io, (char *)buf + *done, size - *done);
        if (n <= 0)
            return n < 0 ? (int)n : TN_EBADMSG;
        *done += (size_t)n;
    }
    return 0;
}

int tn_io_write_all(tn_io io, const void *buf, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = tn_io_write(io, (const char *)buf + done, size - done);
        if (n < 0)
            return (int)n;
        done += (size_t)n;
    }
    return 0;
}

int tn_io_writev_all(tn_io io, struct iovec *iov, int count)
{
    for (;;) {
        ssize_t n;
        while (count > 0 && iov->iov_len == 0) {
            iov++;
            count--;
        }
        if (count == 0)
            return 0;
        n = tn_io_writev(io, iov, count);
        if (n < 0)
            return (int)n;
        tni_vector_advance(iov, (size_t)n);
    }
}

int tn_io_wait(tn_io io, tn_direction direction)
{
    return io.ops->wait != NULL ? io.ops->wait(io.object, direction) : 0;
}

static int poll_ready(tn_future *self, tn_waker *waker)
{
    (void)self;
    return tni_budget_poll_enter(waker) ? tni_budget_poll_leave(waker, 0) : TN_PENDING;
}

static int poll_refused(tn_future *self, tn_waker *waker)
{
    (void)self, (void)waker;
    return TN_ENOTSUP;
}

static void drop_nothing(tn_future *self)
{
    (void)self;
}

/* Futures without a state, which all may share. */
tn_future *tni_io_wait_ready(void)
{
    static const tn_future_ops ops = {poll_ready, drop_nothing, "stream"};
    static tn_future ready = {&ops};

    return &ready;
}

static tn_future *wait_refused(void)
{
    static const tn_future_ops ops = {poll_refused, drop_nothing, "stream"};
    static tn_future refused = {&ops};

    return &refused;
}

/* Whether a try may find nothing. Then a wait that is ready at once would make the caller try on and on. */
static bool can_be_tried(const tn_io_ops *ops, tn_direction direction)
{
    if (direction == TN_READABLE)
        return HAS(ops, try_read);
    return HAS(ops, try_write) || HAS(ops, try_writev);
}

tn_future *tni_io_wait_inner(tn_io io, tn_direction direction, uint64_t *memory)
{
    if (HAS(io.ops, wait_init))
        return io.ops->wait_init(io.object, direction, memory);
    return io.ops->wait == NULL && !can_be_tried(io.ops, direction) ? tni_io_wait_ready() : wait_refused();
}

static int wait_poll(tn_future *self, tn_waker *waker)
{
    return tn_future_poll(tni_container_of(self, tn_io_wait_future, base)->inner, waker);
}

static void wait_drop(tn_future *self)
{
    tn_future_drop(tni_container_of(self, tn_io_wait_future, base)->inner);
}

void tn_io_wait_init(tn_io_wait_future *future, tn_io io, tn_direction direction)
{
    static const tn_future_ops ops = {wait_poll, wait_drop, "stream"};

    future->base.ops = &ops;
    future->inner = tni_io_wait_inner(io, direction, future->opaque);
}

int tn_io_close_write(tn_io io)
{
    return io.ops->close_write != NULL ? io.ops->close_write(io.object) : TN_ENOTSUP;
}

int tn_io_abort(tn_io io)
{
    return io.ops->abort != NULL ? io.ops->abort(io.object) : TN_ENOTSUP;
}

void tn_io_close(tn_io io)
{
    if (io.ops != NULL && io.ops->close != NULL)
        io.ops->close(io.object);
}

int tn_io_descriptor(tn_io io, tn_direction direction)
{
    return io.ops->descriptor != NULL ? io.ops->descriptor(io.object, direction) : TN_ENOTSUP;
}
