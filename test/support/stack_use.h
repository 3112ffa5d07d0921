/* SPDX-License-Identifier: MIT */
/* How much stack the library's calls need, measured on the calling fiber. */
#ifndef STACK_USE_H
#define STACK_USE_H

#include <stddef.h>

/* At most so much, so that the calls work on the smallest fibers. */
#define TT_STACK_USE_MOST ((size_t)8 * 1024)

typedef struct {
    const char *name;
    void (*run)(void);
} tt_stack_step;

/* Paints the unused stack of the calling fiber, calls `step`, and returns how many bytes of stack it used. */
size_t tt_stack_use_of(void (*step)(void));

/* Measures each step on a fiber, and fails the test for those that need more than the limit. */
void tt_stack_use_check(const tt_stack_step *steps, unsigned count);

#endif
