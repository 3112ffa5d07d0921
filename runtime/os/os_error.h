/* SPDX-License-Identifier: MIT */
/* The error values of the OS layer. */
#ifndef TNI_OS_ERROR_H
#define TNI_OS_ERROR_H

#include <tn/base.h>

/* The error value of an errno value of the kernel: -errno, but no value that stands for a deadline or a cancellation of the
 * caller. A peer or a server that does not reply (ETIMEDOUT) is TN_ETIME, an operation that the kernel has cancelled (ECANCELED)
 * is -EINTR. */
static inline int tni_os_error(int number)
{
    if (number == ETIMEDOUT)
        return TN_ETIME;
    return number == ECANCELED ? -EINTR : -number;
}

#endif
