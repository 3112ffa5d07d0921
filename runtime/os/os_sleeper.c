/* SPDX-License-Identifier: MIT */
/* Where a thread sleeps: /proc/self/task/ID/syscall has the registers of a thread that does not run, and schedstat has the number
 * of times that it was given a processor. */
#include "os/os_sleeper.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool read_text(int id, const char *name, char *text, size_t size)
{
    char path[64];
    ssize_t n;
    int fd;

    (void)snprintf(path, sizeof path, "/proc/self/task/%d/%s", id, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    n = read(fd, text, size - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* The line is "running", or ends with the stack pointer and the program counter: "35 0x.. .. 0xSP 0xPC", and "-1 0xSP 0xPC" for a
 * thread that sleeps outside of a system call, such as in a page fault. */
static bool read_registers(int id, tni_os_sleeper *out)
{
    char text[256];
    char *end;

    if (!read_text(id, "syscall", text, sizeof text))
        return false;
    end = strrchr(text, ' ');
    if (end == NULL)
        return false;
    out->pc = (uintptr_t)strtoull(end + 1, NULL, 16);
    *end = '\0';
    end = strrchr(text, ' ');
    if (end == NULL)
        return false;
    out->sp = (uintptr_t)strtoull(end + 1, NULL, 16);
    return out->sp != 0 && out->pc != 0;
}

/* The third number: processor time, time in the run queue, runs. */
static bool read_runs(int id, uint64_t *out)
{
    char text[128];
    const char *last;

    if (!read_text(id, "schedstat", text, sizeof text))
        return false;
    last = strrchr(text, ' ');
    if (last == NULL)
        return false;
    *out = strtoull(last + 1, NULL, 10);
    return *out != 0;
}

bool tni_os_sleeper_find(int id, tni_os_sleeper *out)
{
    return id != gettid() && read_runs(id, &out->runs) && read_registers(id, out); /* it shows the reader as asleep */
}

/* The registers are read before the number of runs. A thread that has run since either still runs when its registers are read, or
 * has counted that run before. */
bool tni_os_sleeper_still(int id, const tni_os_sleeper *at)
{
    tni_os_sleeper now;

    return read_registers(id, &now) && now.pc == at->pc && now.sp == at->sp && read_runs(id, &now.runs) && now.runs == at->runs;
}
