/* SPDX-License-Identifier: MIT */
/* The model's twin of runtime/os/os_process.h: there are no programs. The scenario of child processes has reaps and signals of
 * its own. */
#include "os/os_process.h"

#include <errno.h>

int tni_os_process_start(const tni_os_process_program *how, tni_os_process *out, const char **failed)
{
    (void)how;
    (void)out;
    *failed = "clone";
    return -ENOTSUP;
}

int tni_os_process_set_open(void)
{
    return -ENOTSUP;
}

void tni_os_process_set_close(int set)
{
    (void)set;
}

int tni_os_process_set_add(int set, int fd, void *data)
{
    (void)set;
    (void)fd;
    (void)data;
    return -ENOTSUP;
}

void tni_os_process_set_remove(int set, int fd)
{
    (void)set;
    (void)fd;
}

size_t tni_os_process_set_wait(int set, int timeout_ms, void **data, size_t max)
{
    (void)set;
    (void)timeout_ms;
    (void)data;
    (void)max;
    return 0;
}

int tni_os_process_pipe(int ends[2])
{
    (void)ends;
    return -ENOTSUP;
}

int tni_os_process_null(void)
{
    return -ENOTSUP;
}

const char *tni_os_process_search_path(void)
{
    return "";
}

bool tni_os_process_pipe_ready(int fd, bool to_write)
{
    (void)fd;
    (void)to_write;
    return true;
}
