/* SPDX-License-Identifier: MIT */
/* The OS layer for signals to which the program listens: one handler for all of them. */
#ifndef TNI_OS_SIGNAL_H
#define TNI_OS_SIGNAL_H

#include "base/defs.h"

#define TNI_OS_SIGNAL_MAX 64 /* the highest number of a signal */

/* Called in the signal handler: it may only read and write memory, and send a tn_async. Returns whether anything listens. */
typedef bool (*tni_os_signal_fn)(int number);

/* Installs a handler in front of the existing one, under tni_os_sigaction_lock(). It calls `fn`, and then the existing handler
 * if that is a function. If nothing listens, the signal has the meaning that it had before. Counted by number: each successful
 * install needs one uninstall. All callers in a process pass the same `fn`. `number` is from 1 to TNI_OS_SIGNAL_MAX. Returns 0,
 * or -EINVAL for a number that cannot be caught, or by which the kernel reports a fault of the running code. */
int tni_os_signal_install_locked(int number, tni_os_signal_fn fn);
void tni_os_signal_uninstall_locked(int number);

#endif
