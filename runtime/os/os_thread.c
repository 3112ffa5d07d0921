/* SPDX-License-Identifier: MIT */
/* The kernel's number of a thread, and whether the thread sleeps. */
#include "os/os_thread.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int tni_os_thread_id(void)
{
    return gettid();
}

bool tni_os_thread_sleeps(int id)
{
    char path[64];
    char text[256];
    const char *end;
    ssize_t n;
    int fd;

    (void)snprintf(path, sizeof path, "/proc/self/task/%d/stat", id);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true;
    n = read(fd, text, sizeof text);
    close(fd);
    if (n <= 0)
        return true;
    /* The state is the letter behind the name. The name is in parentheses and may contain some. */
    end = memrchr(text, ')', (size_t)n);
    return end == NULL || end + 2 >= text + n || end[1] != ' ' || end[2] != 'R';
}
