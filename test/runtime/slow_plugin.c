/* SPDX-License-Identifier: MIT */
/* A plug-in whose constructor waits for a byte, from the descriptor that TT_SLOW_PLUGIN_FD names. While it waits, dlopen holds
 * the lock of the dynamic linker. */
#include <stdlib.h>
#include <unistd.h>

__attribute__((constructor)) static void wait_for_byte(void)
{
    const char *fd = getenv("TT_SLOW_PLUGIN_FD");
    char byte;

    if (fd == NULL || read((int)strtol(fd, NULL, 10), &byte, 1) != 1)
        abort();
}
