/* SPDX-License-Identifier: MIT */
/* The OS layer for eventfd. */
#include "os/os_event.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

int tni_os_event_open(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    return fd < 0 ? -errno : fd;
}

void tni_os_event_close(int fd)
{
    (void)close(fd);
}

void tni_os_event_post(int fd)
{
    const uint64_t one = 1;
    int before = errno;

    while (write(fd, &one, sizeof one) < 0 && errno == EINTR)
        ; /* EAGAIN: the count is at its maximum, so the fd is readable anyway */
    errno = before;
}

void tni_os_event_drain(int fd)
{
    uint64_t count;

    while (read(fd, &count, sizeof count) < 0 && errno == EINTR)
        ;
}
