/* SPDX-License-Identifier: MIT */
/* The types of runtime/base/thread.h for the model checker, where every operation is a call of the checker. */
#ifndef TNI_THREAD_MODEL_H
#define TNI_THREAD_MODEL_H

#include "atomic_model.h"
#include "base/defs.h"

typedef struct {
    uint32_t owner; /* thread + 1; 0: free */
} tni_os_mutex;

typedef struct {
    unsigned id;
} tni_thread;

typedef struct {
    bool unused;
} tni_thread_mask;

typedef struct {
    unsigned id;
} tni_thread_clock;

#endif
