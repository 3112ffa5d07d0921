/* SPDX-License-Identifier: MIT */
/* What other folders need to know of the futures in future.c. */
#ifndef TNI_FUTURE_H
#define TNI_FUTURE_H

#include <tn/future.h>
#include <tn/task.h>

/* The task whose end the future waits for; NULL: it waits for something else. The future is pending, and the joiner's handle
 * keeps the task's header. */
const tn_task *tni_future_joined(const tn_future *awaited);

#endif
