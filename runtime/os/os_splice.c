/* SPDX-License-Identifier: MIT */
/* Moving bytes between sockets inside the kernel: splice(2). */
#include "os/os_splice.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "os/os_error.h"

int tni_os_splice_pipe(int ends[2], size_t size)
{
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    if (fcntl(ends[1], F_SETPIPE_SZ, (int)size) >= (int)size)
        return 0;
    (void)close(ends[0]);
    (void)close(ends[1]);
    return -ENOTSUP;
}

ssize_t tni_os_splice(int from, int to, size_t size)
{
    ssize_t n;

    do {
        n = splice(from, NULL, to, NULL, size, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    } while (n < 0 && errno == EINTR);
    return n >= 0 ? n : tni_os_error(errno);
}
