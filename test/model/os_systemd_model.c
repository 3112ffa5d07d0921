/* SPDX-License-Identifier: MIT */
/* The model's twin of runtime/os/os_systemd.h: a process that no service manager has started. */
#include "os/os_systemd.h"

#include <errno.h>

const char *tni_os_environment(const char *name)
{
    (void)name;
    return NULL;
}

int64_t tni_os_own_pid(void)
{
    return 1;
}

int tni_os_duplicate(int fd)
{
    (void)fd;
    return -ENOTSUP;
}

int tni_os_send_datagram(const char *path, const char *bytes, size_t size)
{
    (void)path;
    (void)bytes;
    (void)size;
    return -ENOTSUP;
}
