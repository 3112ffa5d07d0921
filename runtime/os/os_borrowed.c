/* SPDX-License-Identifier: MIT */
/* Descriptors that other libraries own, by an epoll instance that is itself in the epoll of the loop (os_loop.c). */
#include "os/os_borrowed.h"

#include <errno.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/os_error.h"

_Static_assert(TNI_OS_BORROWED_READ == EPOLLIN && EPOLLIN == POLLIN, "the bits are those of poll and of epoll");
_Static_assert(TNI_OS_BORROWED_PRIORITY == EPOLLPRI && EPOLLPRI == POLLPRI, "the bits are those of poll and of epoll");
_Static_assert(TNI_OS_BORROWED_WRITE == EPOLLOUT && EPOLLOUT == POLLOUT, "the bits are those of poll and of epoll");
_Static_assert(TNI_OS_BORROWED_ERROR == EPOLLERR && EPOLLERR == POLLERR, "the bits are those of poll and of epoll");
_Static_assert(TNI_OS_BORROWED_HANGUP == EPOLLHUP && EPOLLHUP == POLLHUP, "the bits are those of poll and of epoll");

/* Other threads may close and open the number between two attempts. */
#define ATTEMPTS 4

/* Not by the function of the C library: ThreadSanitizer would report each close of a number under a wait as a race with the
 * removal that follows, though that may find any file or none. */
static int control(const tni_os_loop *loop, int operation, int fd, uint32_t events, uint32_t generation)
{
    struct epoll_event event = {.events = events | EPOLLONESHOT, .data.u64 = (uint64_t)generation << 32 | (uint32_t)fd};

    return syscall(SYS_epoll_ctl, loop->borrowed_fd, operation, fd, &event) == 0 ? 0 : -errno;
}

/* -ENOTSUP: the file is data on a disk, or a folder. 0: it is something else. */
static int check_kind(int fd)
{
    struct stat file;

    if (fstat(fd, &file) != 0)
        return tni_os_error(errno);
    return S_ISREG(file.st_mode) || S_ISDIR(file.st_mode) || S_ISBLK(file.st_mode) ? -ENOTSUP : 0;
}

/* As check_kind for poll(2), which reports data on a disk as ready at any time. Some files of /proc and of sysfs are regular
 * ones that can be watched; an epoll instance accepts only those. */
static int check_pollable(int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    int rc = check_kind(fd);
    int epoll_fd;

    if (rc != -ENOTSUP)
        return rc;
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        return tni_os_error(errno);
    if (syscall(SYS_epoll_ctl, epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0)
        rc = 0;
    else if (errno != EPERM)
        rc = tni_os_error(errno);
    (void)close(epoll_fd);
    return rc;
}

int tni_os_borrowed_add(tni_os_loop *loop, int fd, uint32_t events, uint32_t generation)
{
    int operation = EPOLL_CTL_ADD;
    int rc = -EEXIST;

    for (int i = 0; i < ATTEMPTS && (rc == -EEXIST || rc == -ENOENT); i++) {
        rc = control(loop, operation, fd, events, generation);
        operation = rc == -EEXIST ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    }
    if (rc == -EPERM) {
        rc = check_kind(fd);
        return rc == 0 ? 1 : rc;
    }
    return rc == -EEXIST || rc == -ENOENT ? -EBADF : rc;
}

int tni_os_borrowed_change(tni_os_loop *loop, int fd, uint32_t events, uint32_t generation)
{
    return control(loop, EPOLL_CTL_MOD, fd, events, generation);
}

bool tni_os_borrowed_remove(tni_os_loop *loop, int fd)
{
    return control(loop, EPOLL_CTL_DEL, fd, 0, 0) == 0;
}

unsigned tni_os_borrowed_fetch(tni_os_loop *loop, tni_os_borrowed_event *events)
{
    struct epoll_event ready[TNI_OS_BORROWED_FETCH_MAX];
    int count = epoll_wait(loop->borrowed_fd, ready, TNI_OS_BORROWED_FETCH_MAX, 0);

    for (int i = 0; i < count; i++)
        events[i] = (tni_os_borrowed_event){(int)(uint32_t)ready[i].data.u64, (uint32_t)(ready[i].data.u64 >> 32),
                                            ready[i].events};
    return count > 0 ? (unsigned)count : 0;
}

int tni_os_borrowed_poll(int fd, uint32_t events, int timeout_ms)
{
    struct pollfd file = {.fd = fd, .events = (short)events};
    int rc = check_pollable(fd);

    if (rc != 0)
        return rc;
    rc = poll(&file, 1, timeout_ms);
    if (rc < 0)
        return errno == EINTR ? 0 : tni_os_error(errno);
    if (file.revents & POLLNVAL)
        return -EBADF;
    return file.revents;
}
