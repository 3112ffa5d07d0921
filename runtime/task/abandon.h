/* SPDX-License-Identifier: MIT */
/* Cleanup on behalf of a task that tn_runtime_destroy abandoned: its own code never runs again. README.md ("Shutdown") has the
 * protocol. */
#ifndef TNI_ABANDON_H
#define TNI_ABANDON_H

#include <tn/future.h>

#include "task/task.h"

/* Drops a future that an abandoned task owns, and whatever else its wait holds. */
static inline void tni_abandon_future(tn_future *future, tn_task *task)
{
    if (future->ops->abandon_ != NULL)
        future->ops->abandon_(future, task);
    else
        future->ops->drop(future);
}

/* Whether the address is on the stack of the task, which is a fiber that has begun. */
static inline bool tni_abandon_is_on_stack(const tn_task *task, const void *address)
{
    const tni_stack *stack = task->body.fiber.stack;

    return (uintptr_t)address >= (uintptr_t)tni_stack_base(stack) && (uintptr_t)address < (uintptr_t)tni_stack_top(stack);
}

#endif
