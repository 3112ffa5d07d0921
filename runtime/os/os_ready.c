/* SPDX-License-Identifier: MIT */
/* The OS layer for files whose reads and writes may wait for another party, on Linux. */
#include "os/os_ready.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/os_error.h"
#include "os/os_file.h"

/* Buffers of a write that is cut. */
#define CUT_BUFFERS 16

int tni_os_watch(int fd, bool writes)
{
    struct epoll_event event = {.events = writes ? EPOLLOUT : EPOLLIN | EPOLLRDHUP};
    int watcher = epoll_create1(EPOLL_CLOEXEC);
    int error;

    if (watcher < 0)
        return tni_os_error(errno);
    if (epoll_ctl(watcher, EPOLL_CTL_ADD, fd, &event) == 0)
        return watcher;
    error = tni_os_error(errno);
    tni_os_close(watcher);
    return error;
}

/* 1: ready; 0: not within `timeout_ms`; negative: an error. */
static int poll_one(int fd, bool writes, int timeout_ms)
{
    struct pollfd file = {.fd = fd, .events = writes ? POLLOUT : POLLIN};
    int rc;

    do {
        rc = poll(&file, 1, timeout_ms);
    } while (rc < 0 && errno == EINTR);
    return rc >= 0 ? rc : tni_os_error(errno);
}

int tni_os_wait_ready(int fd, bool writes)
{
    int rc = poll_one(fd, writes, -1);

    return rc < 0 ? rc : 0;
}

/* 0: a call may be made; -EAGAIN: it would wait. */
static int check_ready(int fd, bool writes)
{
    int rc = poll_one(fd, writes, 0);

    return rc == 0 ? -EAGAIN : rc < 0 ? rc : 0;
}

/* Whether a poll says nothing about reads of the file, which do not wait: of a file that the kernel makes up a poll may report
 * changes alone (/proc/bus/input/devices), and it is in non-blocking mode. */
static bool is_read_at_once(int fd)
{
    struct stat status;
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && (flags & O_NONBLOCK) != 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

/* As check_ready, before a read. */
static int check_readable(int fd)
{
    int rc = check_ready(fd, false);

    return rc == -EAGAIN && is_read_at_once(fd) ? 0 : rc;
}

/* RWF_NOWAIT is known to pipes since Linux 6.4, to FIFOs and terminals not at all; a filter of system calls may deny it. The
 * plain call that follows any other error repeats the error if it is one of the file. */
ssize_t tni_os_readv_now(int fd, const struct iovec *iov, int count)
{
    ssize_t n = check_readable(fd);

    if (n != 0)
        return n;
    n = preadv2(fd, iov, count, -1, RWF_NOWAIT);
    if (n >= 0 || errno == EAGAIN)
        return n >= 0 ? n : -EAGAIN;
    return tni_os_readv(fd, iov, count);
}

/* A pipe that is ready takes PIPE_BUF bytes without waiting. */
static ssize_t write_a_little(int fd, const struct iovec *iov, int count)
{
    struct iovec part[CUT_BUFFERS];
    size_t left = PIPE_BUF;
    int used = 0;

    for (; used < count && used < CUT_BUFFERS && left > 0; used++) {
        part[used] = iov[used];
        if (part[used].iov_len > left)
            part[used].iov_len = left;
        left -= part[used].iov_len;
    }
    return tni_os_writev(fd, part, used);
}

ssize_t tni_os_writev_now(int fd, const struct iovec *iov, int count)
{
    ssize_t n = check_ready(fd, true);
    int flags;

    if (n != 0)
        return n;
    n = pwritev2(fd, iov, count, -1, RWF_NOWAIT);
    if (n >= 0 || errno == EAGAIN)
        return n >= 0 ? n : -EAGAIN;
    flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_NONBLOCK) ? tni_os_writev(fd, iov, count) : write_a_little(fd, iov, count);
}

ssize_t tni_os_preadv_now(int fd, const struct iovec *iov, int count, int64_t offset)
{
    int rc = check_readable(fd);

    return rc != 0 ? rc : tni_os_preadv(fd, iov, count, offset);
}

ssize_t tni_os_pwritev_now(int fd, const struct iovec *iov, int count, int64_t offset)
{
    int rc = check_ready(fd, true);

    return rc != 0 ? rc : tni_os_pwritev(fd, iov, count, offset);
}

/* A poll reports data, and a hang-up after a writer has been there. A writer that has sent nothing yet shows only in a copy:
 * without data tee(2) returns 0 if there is no writer, and EAGAIN if there is one. */
bool tni_os_fifo_has_writer(int fd)
{
    int ends[2];
    ssize_t n;
    bool found;

    if (poll_one(fd, false, 0) > 0)
        return true;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    n = tee(fd, ends[1], 1, SPLICE_F_NONBLOCK);
    found = n > 0 || (n < 0 && errno == EAGAIN);
    tni_os_close(ends[0]);
    tni_os_close(ends[1]);
    return found;
}

bool tni_os_is_terminal(int fd)
{
    return isatty(fd) == 1;
}

void tni_os_set_nonblocking_mode(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags >= 0)
        (void)fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}
