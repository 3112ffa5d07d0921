/* SPDX-License-Identifier: MIT */
/* Contexts: places to go on at, each on a stack of its own, and the switch between them.
 *
 * The switch is a call that may return on another thread. A caller that migrates must not carry the address of a thread-local
 * variable (or errno) across it. A context may be shown to another thread only after it has been left: whoever is told earlier
 * would go on with registers that are not saved yet. */
#ifndef TNI_CONTEXT_H
#define TNI_CONTEXT_H

#include "base/defs.h"
#include "base/san.h"
#include "fiber/fiber_enter.h"
#include "fiber/stack.h"

typedef struct {
    void *sp;            /* where the registers lie while suspended; the layout is in fiber_<machine>.S */
    tni_san_context san; /* empty in ordinary builds */
} tni_context;

/* Prepares ctx so that the first switch to it calls entry(arg) on `stack`. `entry` must not return: its last act is
 * tni_context_exit_to(). Neither ctx nor stack may move from here on. */
void tni_context_make(tni_context *ctx, tni_stack *stack, void (*entry)(void *), void *arg);

/* The calling thread's own stack. Only that thread may leave it and go on there. */
void tni_context_init_thread(tni_context *ctx);

/* Lines of a suspended stack that going on there touches first: the switch's and those of the waiting calls. */
enum { TNI_CONTEXT_HOT_LINES = 8 };

/* A hint that somebody will soon go on at `ctx`. It may be running or gone meanwhile: prefetching whatever it points to then does
 * no harm, and so no race detector need know. */
__attribute__((no_sanitize("thread"))) static inline void tni_context_prefetch(const tni_context *ctx)
{
    const volatile uintptr_t *sp_at = (const volatile uintptr_t *)(const void *)&ctx->sp;
    uintptr_t sp = *sp_at;

#pragma GCC unroll TNI_CONTEXT_HOT_LINES
    for (unsigned line = 0; line < TNI_CONTEXT_HOT_LINES; line++)
        __builtin_prefetch((const void *)(sp + line * 64), 1);
}

/* Forgets a context that nobody will switch to again; never the one that is running. The stack stays the caller's. */
void tni_context_fini(tni_context *ctx);

/* The return addresses on the stack of a context that is not running, innermost first, by the chain of frame pointers from `base`
 * to `top`; answers how many. What was compiled without frame pointers is left out. */
unsigned tni_context_frames(const tni_context *ctx, const void *base, const void *top, void **frames, unsigned max);

/* The same from the frame that `frame` points at, if it lies between `low` and `top`. */
unsigned tni_context_frames_at(uintptr_t frame, uintptr_t low, uintptr_t top, void **frames, unsigned max);

/* Does a chain of frame pointers begin there that leads to the root frame? */
bool tni_context_has_root(uintptr_t frame, uintptr_t low, uintptr_t top);

/* Saves here and goes on at `to`; returns when someone switches back to `from`, maybe on another thread. */
__attribute__((always_inline)) static inline void tni_context_switch(tni_context *from, tni_context *to)
{
    tni_san_leave(&from->san, &to->san, false);
    tni_san_arrive(&from->san, tni_fiber_enter(&from->sp, to->sp, &from->san));
}

/* As tni_context_switch, but `from` is never resumed: who arrives may free it and its stack. */
__attribute__((always_inline)) _Noreturn static inline void tni_context_exit_to(tni_context *from, tni_context *to)
{
    tni_san_leave(&from->san, &to->san, true);
    (void)tni_fiber_enter(&from->sp, to->sp, &from->san);
    __builtin_unreachable();
}

#endif
