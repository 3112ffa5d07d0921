/* SPDX-License-Identifier: MIT */
/* Measures the part of a stack that a task used, and returns its memory to the kernel. Internal to stack.c. */
#ifndef TNI_STACK_USE_H
#define TNI_STACK_USE_H

#include "fiber/stack.h"

/* Prepares a stack that was just cut from its slab. */
void tni_stack_use_init(const tni_stack_pool *pool, tni_stack *stack);

/* Returns the memory beyond the watermark to the kernel. The task has ended, and the stack becomes idle. */
void tni_stack_trim(const tni_stack_pool *pool, tni_stack *stack);

/* Zeroes the whole stack: measuring finds the lowest byte that is not zero. */
void tni_stack_clear(const tni_stack_pool *pool, tni_stack *stack);

/* Returns all memory of an idle stack to the kernel, except for the page of its descriptor. */
void tni_stack_strip(const tni_stack_pool *pool, tni_stack *stack);

#endif
