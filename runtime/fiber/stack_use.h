/* SPDX-License-Identifier: MIT */
/* What a task used of its stack: giving it back to the system, and measuring it. For stack.c alone. */
#ifndef TNI_STACK_USE_H
#define TNI_STACK_USE_H

#include "fiber/stack.h"

/* A stack just cut from its slab. */
void tni_stack_use_init(const tni_stack_pool *pool, tni_stack *stack);

/* The task is gone and the stack is about to lie idle: gives back what it used beyond the watermark. */
void tni_stack_trim(const tni_stack_pool *pool, tni_stack *stack);

/* Makes all of it zero: measuring looks for the lowest byte that is not. */
void tni_stack_clear(const tni_stack_pool *pool, tni_stack *stack);

#endif
