/* SPDX-License-Identifier: MIT */
/* Guards: memory below each stack that faults when the stack overflows. Internal to stack.c. */
#ifndef TNI_STACK_GUARD_H
#define TNI_STACK_GUARD_H

#include "fiber/stack.h"

/* Sets pool->guard, pool->guard_size and pool->guards_left from pool->config and pool->page_size. Returns 0 or a negative errno
 * value. */
int tni_stack_guard_init(tni_stack_pool *pool);

/* The budget of guards. Call all three with the lock held. `reserve` takes one guard from the budget, false if none is left;
 * `unreserve` gives it back; `exhausted` empties the budget after the kernel refused a reserved guard. */
bool tni_stack_guard_reserve(tni_stack_pool *pool);
void tni_stack_guard_unreserve(tni_stack_pool *pool);
void tni_stack_guard_exhausted(tni_stack_pool *pool);

/* Installs the guard, once in a stack's life. Returns 0 or a negative errno value. */
int tni_stack_guard_install(const tni_stack_pool *pool, tni_stack *stack);

/* Logs, once per pool, that stacks are unguarded although guards were asked for. */
void tni_stack_guard_log(tni_stack_pool *pool);

/* Aborts the process if the memory below an unguarded stack was written. */
void tni_stack_guard_check(const tni_stack_pool *pool, const tni_stack *stack);

#endif
