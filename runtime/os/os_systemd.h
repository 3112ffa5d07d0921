/* SPDX-License-Identifier: MIT */
/* The OS layer for services: what a service manager passes to the process, and messages to it. */
#ifndef TNI_OS_SYSTEMD_H
#define TNI_OS_SYSTEMD_H

#include "base/defs.h"

/* Returns the value of a variable of the environment; NULL: it is not set. */
const char *tni_os_environment(const char *name);

/* Returns the number of this process. */
int64_t tni_os_own_pid(void);

/* Returns a new descriptor of the same open file, or a negative errno value. Both are closed on exec. */
int tni_os_duplicate(int fd);

/* Sends one datagram to the Unix socket at `path`; a leading '@' names an abstract socket. Never waits. Returns 0 or a negative
 * errno value; -EINVAL: not a path, or one that is too long. */
int tni_os_send_datagram(const char *path, const char *bytes, size_t size);

#endif
