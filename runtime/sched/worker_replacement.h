/* SPDX-License-Identifier: MIT */
/* Threads and cores: starting workers, spares, and taking the core of a worker that is stuck in a task. */
#ifndef TNI_WORKER_REPLACEMENT_H
#define TNI_WORKER_REPLACEMENT_H

#include "sched/worker.h"

/* Starts a worker thread that holds `core` (NULL: it begins as a spare) and adds it to the runtime's list. 0 or a negative errno
 * value. */
int tni_worker_start(tn_runtime *runtime, tni_core *core, tni_worker **out);

/* Makes a worker without a thread, which tni_worker_drive lends it, and adds it to the list. Before anyone else knows the
 * runtime. */
int tni_worker_adopt(tn_runtime *runtime, tni_core *core, tni_worker **out);

/* Takes the core of `victim`, if it is inside a task, and gives it to a replacement thread. False: there was nothing to take,
 * or no replacement thread. */
bool tni_worker_replace(tni_worker *victim);

/* Sees to it that there will be so many replacement threads, as far as the options allow; false: they do not allow it. */
bool tni_worker_provide_replacements(tn_runtime *runtime, unsigned wanted);

/* A spare offers itself, was given a core, takes its offer back. */
void tni_worker_offer(tni_worker *worker);
bool tni_worker_was_given(const tni_worker *worker);
void tni_worker_withdraw(tni_worker *worker);

/* Lock held: has it offered itself, and was not given a core? */
bool tni_worker_is_replacement(const tni_worker *worker);

/* Is no mail under way, and does each worker hold a core or sleep as a spare? One that has lost its core is inside a task. */
bool tni_workers_have_nothing(tn_runtime *runtime);

#endif
