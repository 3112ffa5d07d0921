/* SPDX-License-Identifier: MIT */
/* The twin of the calls that begin with a path. The simulated machine has no files: a program that uses one is refused.
 * The files that the library itself looks up are missing, as they may be on a real machine. */
#include <errno.h>
#include <string.h>

#include "os/os_file.h"
#include "sim/sim_refuse.h"
#include "sim/sim_thread.h"

static bool is_looked_up(const char *path)
{
    return strcmp(path, "/etc/hosts") == 0 || strcmp(path, "/etc/nsswitch.conf") == 0;
}

/* Returns `result` for a file that is looked up. */
static int enter(const char *call, const char *path, int result)
{
    tni_sim_thread_call();
    if (!is_looked_up(path))
        tni_sim_refuse(call);
    return result;
}

int tni_os_open(const char *path, int flags, unsigned mode)
{
    (void)flags;
    (void)mode;
    return enter("tni_os_open", path, -ENOENT);
}

int tni_os_open_cached(const char *path, int flags)
{
    (void)flags;
    return enter("tni_os_open_cached", path, -EAGAIN);
}

int tni_os_stat(const char *path, bool follow, struct stat *out)
{
    (void)follow;
    (void)out;
    return enter("tni_os_stat", path, -ENOENT);
}
