/* SPDX-License-Identifier: MIT */
/* The twin of os/os_exceptions.c. There is always a record, so that a run is the same with and without a C++ runtime, which
 * AddressSanitizer also brings along. A C++ runtime that is loaded later is not noticed. */
#include "os/os_exceptions.h"

/* Weak: NULL in a program that is not linked with a C++ runtime. */
__attribute__((weak)) tni_os_exceptions *__cxa_get_globals(void);

static tni_os_exceptions *empty_record(void)
{
    static tni_os_exceptions record;

    return &record;
}

tni_os_exceptions_fn tni_os_exceptions_find(void)
{
    return __cxa_get_globals != NULL ? __cxa_get_globals : empty_record;
}
