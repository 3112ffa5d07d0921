/* SPDX-License-Identifier: MIT */
/* The model's twin of runtime/os/os_exceptions.h: there is no C++ runtime. */
#include "os/os_exceptions.h"

tni_os_exceptions_fn tni_os_exceptions_find(void)
{
    return NULL;
}
