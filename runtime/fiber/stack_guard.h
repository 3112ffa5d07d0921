/* SPDX-License-Identifier: MIT */
/* What stands below a stack. For stack.c alone. */
#ifndef TNI_STACK_GUARD_H
#define TNI_STACK_GUARD_H

#include "fiber/stack.h"

/* Chooses pool->guard, pool->guard_size and pool->guards_left; needs pool->config and pool->page_size. 0 or a negative errno
 * value. */
int tni_stack_guard_init(tni_stack_pool *pool);

/* Under the lock: whether one more stack may have a guard, which is then taken from the budget; its return; and that the system
 * refused although the budget said yes. */
bool tni_stack_guard_reserve(tni_stack_pool *pool);
void tni_stack_guard_unreserve(tni_stack_pool *pool);
void tni_stack_guard_exhausted(tni_stack_pool *pool);

/* Once in a stack's life. 0 or a negative errno value. */
int tni_stack_guard_install(const tni_stack_pool *pool, tni_stack *stack);

/* Says, once a pool, that stacks go out unguarded though guards were asked for. */
void tni_stack_guard_log(tni_stack_pool *pool);

/* Stops the program if somebody wrote below an unguarded stack. */
void tni_stack_guard_check(const tni_stack_pool *pool, const tni_stack *stack);

#endif
