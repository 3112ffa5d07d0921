/* SPDX-License-Identifier: MIT */
/* The model's twin of runtime/os/os_sleeper.h: no runtime with report_stuck_ns, so no thread's stack is read. */
#include "os/os_sleeper.h"

bool tni_os_sleeper_find(int id, tni_os_sleeper *out)
{
    (void)id;
    (void)out;
    return false;
}

bool tni_os_sleeper_still(int id, const tni_os_sleeper *at)
{
    (void)id;
    (void)at;
    return false;
}
