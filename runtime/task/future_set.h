/* SPDX-License-Identifier: MIT */
/* What happens when a member of a future set is woken. Each member is a task header that no worker runs. README.md ("Future
 * sets") has the argument. */
#ifndef TNI_FUTURE_SET_H
#define TNI_FUTURE_SET_H

#include "task/task.h"

/* Pushes a member that a wake has just made ACTIVE on its set's list, and wakes the task that waits for the set. */
void tni_future_set_push(tn_task *task);

/* Frees a member's header after its last reference was released. */
void tni_future_set_free(tn_task *task);

#endif
