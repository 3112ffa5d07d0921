/* SPDX-License-Identifier: MIT */
/* The members of future sets: task headers that are never queued. README.md ("Future sets") has the argument. */
#ifndef TNI_FUTURE_SET_H
#define TNI_FUTURE_SET_H

#include "task/task.h"

/* A member has just become ACTIVE by a wake: puts it on its set's list, and wakes who waits for the set. */
void tni_future_set_push(tn_task *task);

/* The last reference to a member's header has been given back. */
void tni_future_set_free(tn_task *task);

#endif
