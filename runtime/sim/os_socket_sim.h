/* SPDX-License-Identifier: MIT */
/* Pairs of sockets of the simulated network. */
#ifndef TNI_OS_SOCKET_SIM_H
#define TNI_OS_SOCKET_SIM_H

#include "base/defs.h"

/* Two connected Unix sockets. Returns 0 or a negative errno value. */
int tni_os_socket_sim_pair(int type, int fds[2]);

#endif
