/* SPDX-License-Identifier: MIT */
/* For a task that destroy has given up: what is done in place of its own code, which never runs again. README.md ("Shutdown") has
 * the protocol. */
#ifndef TNI_ABANDON_H
#define TNI_ABANDON_H

#include <tn/future.h>

#include "task/task.h"

/* Drops a future that an abandoned task owns, and what its wait holds beside it. */
static inline void tni_abandon_future(tn_future *future, tn_task *task)
{
    if (future->ops->abandon_ != NULL)
        future->ops->abandon_(future, task);
    else
        future->ops->drop(future);
}

/* Does the address lie on the stack of the task, a fiber that has begun? */
static inline bool tni_abandon_is_on_stack(const tn_task *task, const void *address)
{
    const tni_stack *stack = task->body.fiber.stack;

    return (uintptr_t)address >= (uintptr_t)tni_stack_base(stack) && (uintptr_t)address < (uintptr_t)tni_stack_top(stack);
}

#endif
