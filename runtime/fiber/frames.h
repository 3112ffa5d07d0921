/* SPDX-License-Identifier: MIT */
/* Walks over the stack of a fiber, for dumps and reports: return addresses by the chain of frame pointers. See frames.c. */
#ifndef TNI_FRAMES_H
#define TNI_FRAMES_H

#include "fiber/context.h"

/* Most return addresses that are copied. */
#define TNI_FRAMES_MAX 32

/* The registers of code that was interrupted or is suspended. */
typedef struct {
    uintptr_t pc;
    uintptr_t sp;
    uintptr_t frame; /* the frame pointer, if the code uses one */
} tni_frames_at;

/* A copy of what a stack says about its calls. */
typedef struct {
    const void *pc; /* where the code continues; NULL: unknown, and nothing else is known */
    unsigned frames;
    void *frame[TNI_FRAMES_MAX]; /* return addresses by the chain of frame pointers, innermost first */
    unsigned words;
    unsigned words_max; /* the caller's: length of `word` */
    const void **word;  /* words below the first frame: they include return addresses of code without frame pointers */
} tni_frames;

/* Copies from the stack of the calling thread, where code was interrupted at `at`. The stack ends at `top`. */
void tni_frames_interrupted(tni_frames *out, const tni_frames_at *at, uintptr_t top);

/* The same, from a copy of the stack of another thread that sleeps. `copy`: the bytes from at->sp to `top`. */
void tni_frames_copied(tni_frames *out, const tni_frames_at *at, uintptr_t top, const void *copy);

/* Copies from the stack between `base` and `top` of a context that is not running. `pc` is NULL if the context is not suspended
 * on that stack. */
void tni_frames_suspended(tni_frames *out, const tni_context *ctx, const void *base, const void *top);

#endif
