/* SPDX-License-Identifier: MIT */
/* The OS layer for the kernel's view of a thread. */
#ifndef TNI_OS_THREAD_H
#define TNI_OS_THREAD_H

#include "base/defs.h"

/* The number of the calling thread. */
int tni_os_thread_id(void);

/* Whether the thread sleeps. False if it runs or waits for a processor. True also if the state cannot be read. */
bool tni_os_thread_sleeps(int id);

#endif
