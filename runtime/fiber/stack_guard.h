/* SPDX-License-Identifier: MIT */
/* Guards: memory below each stack that faults when the stack overflows. Internal to stack.c. */
#ifndef TNI_STACK_GUARD_H
#define TNI_STACK_GUARD_H

#include "fiber/stack.h"

/* Sets pool->guard and pool->mapped_guards_left from pool->config and pool->page_size. Returns 0 or a negative errno value. */
int tni_stack_guard_init(tni_stack_pool *pool);

/* Bytes below the usable part of a stack in a slot of `slot_bytes`. */
size_t tni_stack_guard_size(const tni_stack_pool *pool, size_t slot_bytes);

/* Installs the guard of a stack that the caller got first. If the kernel refuses a light guard, which it does in locked memory,
 * the stack gets one by mprotect; if it refuses that too, or there are too many mappings, the stack stays unguarded, or the
 * call fails if the configuration does not allow that. Returns 0 or -ENOMEM. */
int tni_stack_guard_install(tni_stack_pool *pool, tni_stack *stack);

/* Aborts the process if the memory below an unguarded stack was written. */
void tni_stack_guard_check(const tni_stack_pool *pool, const tni_stack *stack);

#endif
