/* SPDX-License-Identifier: MIT */
/* Spawning tasks from other parts of the library. */
#ifndef TNI_SPAWN_H
#define TNI_SPAWN_H

#include "task/task.h"

/* As tn_spawn_on, for tn_group_spawn. `extra` (or NULL): a hook that the task has from its creation. `site`: the code address of
 * the spawn. If it fails, `extra` has not been touched. */
int tni_spawn_with(tn_runtime *runtime, const tn_spawn_options *options, tn_task **out, tn_entry_fn entry, void *arg,
                   tni_task_hook *extra, const void *site);

#endif
