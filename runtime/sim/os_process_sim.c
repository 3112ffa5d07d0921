/* SPDX-License-Identifier: MIT */
/* The simulated machine has no other programs: a start is refused with -ENOTSUP, before anything else is asked for. */
#include "os/os_process.h"

#include <errno.h>

#include "sim/sim_refuse.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"
/* NOLINTBEGIN(misc-unused-parameters) */

int tni_os_process_set_open(void)
{
    return -ENOTSUP;
}

const char *tni_os_process_search_path(void)
{
    return "/bin";
}

TNI_SIM_REFUSE(int, tni_os_process_start, (const tni_os_process_program *how, tni_os_process *out, const char **failed))
TNI_SIM_REFUSE(bool, tni_os_process_reap, (tni_os_process * process, bool kill_group, tni_os_process_end *end))
TNI_SIM_REFUSE(int, tni_os_process_send, (const tni_os_process *process, int number, bool group))
TNI_SIM_REFUSE(void, tni_os_process_set_close, (int set))
TNI_SIM_REFUSE(int, tni_os_process_set_add, (int set, int fd, void *data))
TNI_SIM_REFUSE(void, tni_os_process_set_remove, (int set, int fd))
TNI_SIM_REFUSE(size_t, tni_os_process_set_wait, (int set, int timeout_ms, void **data, size_t max))
TNI_SIM_REFUSE(int, tni_os_process_pipe, (int ends[2]))
TNI_SIM_REFUSE(int, tni_os_process_null, (void))
TNI_SIM_REFUSE(bool, tni_os_process_pipe_ready, (int fd, bool to_write))
/* NOLINTEND(misc-unused-parameters) */
