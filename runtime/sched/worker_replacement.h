/* SPDX-License-Identifier: MIT */
/* Threads and cores: starting workers, and moving the core of a worker that is stuck in a task to a replacement thread. A
 * replacement thread is a worker without a core that sleeps in a list of the runtime until it is given one. */
#ifndef TNI_WORKER_REPLACEMENT_H
#define TNI_WORKER_REPLACEMENT_H

#include "sched/worker.h"

/* Starts a worker thread that holds `core` (NULL: it begins as a replacement thread) and adds it to the runtime's list. Called by
 * the thread that creates the runtime, and by the starter.
 * Returns 0 or a negative errno value. */
int tni_worker_start(tn_runtime *runtime, tni_core *core, tni_worker **out);

/* Adds the worker to the runtime's list, unless it is there. */
void tni_worker_add(tni_worker *worker);

/* Creates a worker without a thread, and adds it to the list. The caller of tni_worker_drive is its thread during the call.
 * Only before another thread knows the runtime. */
int tni_worker_adopt(tn_runtime *runtime, tni_core *core, tni_worker **out);

/* Takes the core of `victim`, if it is inside a task, and gives it to a replacement thread. False: there was no core to take,
 * or no replacement thread. */
bool tni_worker_replace(tni_worker *victim);

/* How many threads there may be beside the workers. */
unsigned tni_worker_replacements_max(const tn_runtime *runtime);

/* Makes the starter start threads until `wanted` replacement threads exist or are starting, within the limit of the options.
 * False: there will be fewer, or threads had to be requested and the last one could not be started. */
bool tni_worker_provide_replacements(tn_runtime *runtime, unsigned wanted);
/* The starter: starts one of these. */
bool tni_worker_start_replacement(tn_runtime *runtime);

/* For a worker without a core: `offer` puts it into the list of replacement threads, `was_given` checks whether it was given a
 * core, `withdraw` removes it from the list. */
void tni_worker_offer(tni_worker *worker);
bool tni_worker_was_given(const tni_worker *worker);
void tni_worker_withdraw(tni_worker *worker);

/* Whether the worker is in the list, and so has not been given a core. */
bool tni_worker_is_replacement_locked(const tni_worker *worker);

/* Whether no worker has mail, and each one holds a core or sleeps as a replacement thread. A worker that has lost its core is
 * inside a task. */
bool tni_workers_have_nothing(tn_runtime *runtime);

#endif
