/* SPDX-License-Identifier: MIT */
/* The model's twin of runtime/os/os_signal.h: no scenario has signals of the kernel. */
#include "os/os_signal.h"

#include <errno.h>

int tni_os_signal_install_locked(int number, tni_os_signal_fn fn)
{
    (void)number;
    (void)fn;
    return -ENOTSUP;
}

void tni_os_signal_uninstall_locked(int number)
{
    (void)number;
}
