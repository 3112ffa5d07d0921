/* SPDX-License-Identifier: MIT */
/* The model's twin of runtime/os/os_thread_signal.h: no signals, and no runtime with report_stuck_ns. */
#include "os/os_thread_signal.h"

#include <errno.h>

int tni_os_thread_signal_install(int number, tni_os_thread_signal_fn fn)
{
    (void)number;
    (void)fn;
    return -ENOTSUP;
}

void tni_os_thread_signal_uninstall(int number)
{
    (void)number;
}

void tni_os_thread_signal_open(int number)
{
    (void)number;
}

bool tni_os_thread_signal_send(int number, int thread_id)
{
    (void)number;
    (void)thread_id;
    return false;
}
