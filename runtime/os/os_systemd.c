/* SPDX-License-Identifier: MIT */
/* The OS layer for services, on Linux. */
#include "os/os_systemd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A new descriptor must not be one of those that were passed. */
#define FIRST_FD 3

const char *tni_os_environment(const char *name)
{
    return getenv(name);
}

int64_t tni_os_own_pid(void)
{
    return getpid();
}

int tni_os_duplicate(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FD);

    if (copy < 0)
        return -errno;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        int error = errno;
        close(copy);
        return -error;
    }
    return copy;
}

static int send_to(int fd, const struct sockaddr_un *address, socklen_t length, const char *bytes, size_t size)
{
    ssize_t n;

    do {
        n = sendto(fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)address, length);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

int tni_os_send_datagram(const char *path, const char *bytes, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    int fd;
    int rc;

    if ((path[0] != '/' && path[0] != '@') || length < 2 || length >= sizeof address.sun_path)
        return -EINVAL;
    memcpy(address.sun_path, path, length);
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    /* The length of an abstract name is that of the address: no zero ends it. */
    rc = send_to(fd, &address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (path[0] == '/')), bytes, size);
    close(fd);
    return rc;
}
