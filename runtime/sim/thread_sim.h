/* SPDX-License-Identifier: MIT */
/* The types of base/thread.h for threads of the simulator. sim/thread_sim.c defines the functions. */
#ifndef TNI_THREAD_SIM_H
#define TNI_THREAD_SIM_H

#include "base/atomic.h"
#include "base/defs.h"

typedef struct {
    uint32_t owner;   /* number of the thread that holds it, plus 1; 0: free */
    uint32_t waiters; /* threads that wait for it */
} tni_os_mutex;

typedef struct {
    uint32_t id;
} tni_thread;

typedef struct {
    bool unused;
} tni_thread_mask;

typedef struct {
    uint32_t id;
} tni_thread_clock;

#endif
