/* SPDX-License-Identifier: MIT */
/* A fiber that waits while its runtime is destroyed, and is abandoned then. */
#ifndef TT_ABANDONED_H
#define TT_ABANDONED_H

#include "support/allocator.h"
#include "support/runtime.h"

typedef struct {
    tt_allocator allocator; /* the runtime's */
    tn_runtime *runtime;
    tn_task *fiber;
} tt_abandoned;

/* Runs `entry(arg)` as a fiber of a runtime of its own until it waits. Afterwards nothing of that runtime runs: a wake of the
 * fiber from here on leaves it queued. */
void tt_abandon_begin(tt_abandoned *self, tn_entry_fn entry, void *arg);

/* The same, until condition(fiber) holds. */
void tt_abandon_begin_when(tt_abandoned *self, tn_entry_fn entry, void *arg, bool (*condition)(const tn_task *fiber));

/* Destroys the runtime, which abandons the fiber, and joins the fiber. No waker or handle of the fiber may be left elsewhere:
 * fails unless all memory of the runtime has been freed. */
void tt_abandon_end(tt_abandoned *self);

/* The same if the runtime has `others` more tasks, and without the check of its memory. */
void tt_abandon_end_with(tt_abandoned *self, size_t others);

#endif
