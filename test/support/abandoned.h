/* SPDX-License-Identifier: MIT */
/* A fiber that waits while its runtime is destroyed, which gives up on it. */
#ifndef TT_ABANDONED_H
#define TT_ABANDONED_H

#include "support/allocator.h"
#include "support/runtime.h"

typedef struct {
    tt_allocator allocator; /* the runtime's */
    tn_runtime *runtime;
    tn_task *fiber;
} tt_abandoned;

/* Runs `entry(arg)` as a fiber of a runtime of its own until it waits. Nothing of that runtime runs afterwards: what wakes the
 * fiber from here on leaves it queued. */
void tt_abandon_begin(tt_abandoned *self, tn_entry_fn entry, void *arg);

/* The same, until condition(fiber) holds. */
void tt_abandon_begin_when(tt_abandoned *self, tn_entry_fn entry, void *arg, bool (*condition)(const tn_task *fiber));

/* Destroys the runtime, which gives up on the fiber; joins it. Nobody else may hold the fiber, by a waker or a handle: fails
 * unless all memory of the runtime has been freed. */
void tt_abandon_end(tt_abandoned *self);

/* The same if the runtime has so many other tasks, and without the look at the memory. */
void tt_abandon_end_with(tt_abandoned *self, size_t others);

#endif
