/* SPDX-License-Identifier: MIT */
/* The OS layer for a thread that sleeps in the kernel: where it sleeps, as seen by another thread. */
#ifndef TNI_OS_SLEEPER_H
#define TNI_OS_SLEEPER_H

#include "base/defs.h"

typedef struct {
    uintptr_t pc; /* where its code continues */
    uintptr_t sp;
    uint64_t runs; /* how often it has been given a processor */
} tni_os_sleeper;

/* Where the thread with this number sleeps. False: it runs, waits for a processor, or the kernel does not show it. The thread may
 * wake meanwhile, so the result is a hint until tni_os_sleeper_still. */
bool tni_os_sleeper_find(int id, tni_os_sleeper *out);

/* Whether the thread has slept all the time since. Then nothing that only the thread writes has changed. */
bool tni_os_sleeper_still(int id, const tni_os_sleeper *at);

#endif
