/* SPDX-License-Identifier: MIT */
/* The simulator's twin of runtime/os/os_splice.h: there is no pipe, so that a copy uses its buffer. */
#include "os/os_splice.h"

#include <errno.h>

int tni_os_splice_pipe(int ends[2], size_t size)
{
    (void)ends;
    (void)size;
    return -ENOTSUP;
}

ssize_t tni_os_splice(int from, int to, size_t size)
{
    (void)from;
    (void)to;
    (void)size;
    return -ENOTSUP;
}
