/* SPDX-License-Identifier: MIT */
/* The twin of os/os_systemd.c: a process that no service manager has started. */
#include "os/os_systemd.h"

#include "sim/sim_refuse.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"
/* NOLINTBEGIN(misc-unused-parameters) */

const char *tni_os_environment(const char *name)
{
    return NULL;
}

TNI_SIM_REFUSE(int64_t, tni_os_own_pid, (void))
TNI_SIM_REFUSE(int, tni_os_duplicate, (int fd))
TNI_SIM_REFUSE(int, tni_os_send_datagram, (const char *path, const char *bytes, size_t size))
/* NOLINTEND(misc-unused-parameters) */
