/* SPDX-License-Identifier: MIT */
/* Spawning for the runtime's own parts. */
#ifndef TNI_SPAWN_H
#define TNI_SPAWN_H

#include "task/task.h"

/* As tn_spawn_on; `extra` (or NULL) hangs on the task from its birth, `site` is where the spawn was asked for. When it fails
 * `extra` has not been touched. */
int tni_spawn_with(tn_runtime *runtime, const tn_spawn_options *options, tn_task **out, tn_entry_fn entry, void *arg,
                   tni_task_hook *extra, const void *site);

#endif
