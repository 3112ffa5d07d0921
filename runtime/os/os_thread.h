/* SPDX-License-Identifier: MIT */
/* The OS layer for what the kernel knows of a thread. */
#ifndef TNI_OS_THREAD_H
#define TNI_OS_THREAD_H

#include "base/defs.h"

/* The calling thread's number. */
int tni_os_thread_id(void);

/* Does it wait for something? False when it runs, or would if it had a processor; true also if the kernel does not tell. */
bool tni_os_thread_sleeps(int id);

#endif
