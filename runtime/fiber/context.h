/* SPDX-License-Identifier: MIT */
/* Execution contexts, each with its own stack, and the switch between them.
 *
 * The switch is a call that may return on another thread. A function that can migrate must not keep the address of a
 * thread-local variable (or errno) across it. A context may be published to another thread only after it has been left: before
 * that, its registers are not saved, and a thread that resumed it would load garbage. */
#ifndef TNI_CONTEXT_H
#define TNI_CONTEXT_H

#include "base/defs.h"
#include "base/san.h"
#include "fiber/fiber_enter.h"
#include "fiber/stack.h"

typedef struct {
    void *sp;            /* the saved registers while suspended; the layout is in fiber_<machine>.S */
    tni_san_context san; /* empty in ordinary builds */
} tni_context;

/* The context of a thread's own stack, as the scheduler uses it: the thread has the same floating-point control words each time
 * it returns there. What code on that stack changes in them ends with the next switch to a fiber, which does not store them. */
typedef struct {
    uint64_t control;    /* the control words, as in the frame of a suspended context; set by tni_context_init_home */
    tni_context context; /* suspended while a fiber runs */
} tni_context_home;

_Static_assert(offsetof(tni_context_home, context) == sizeof(uint64_t) && offsetof(tni_context, sp) == 0,
               "fiber_x86_64.S finds the control words before the saved stack pointer");

/* The functions behind the three below: those of context.c, or those that also announce contexts (announce.c). Written before
 * there are fibers. */
typedef struct {
    void (*make)(tni_context *ctx, tni_stack *stack, void (*entry)(void *), void *arg);
    void (*init_thread)(tni_context *ctx);
    void (*fini)(tni_context *ctx);
} tni_context_functions;
__attribute__((visibility("hidden"))) extern tni_context_functions tni_context_used;
__attribute__((visibility("hidden"))) extern const tni_context_functions tni_context_ordinary; /* those of context.c */

/* Whether the functions of context.c are not the ones used. A constant where this build knows its sanitizer. */
__attribute__((visibility("hidden"))) extern bool tni_context_announced;
#define TNI_CONTEXT_ANNOUNCED (!TNI_SAN_ANNOUNCES || tni_unlikely(tni_context_announced))

/* Prepares ctx so that the first switch to it calls entry(arg) on `stack`. `entry` must not return: it ends with
 * tni_context_exit_to(). From now on neither ctx nor stack may move. */
static inline void tni_context_make(tni_context *ctx, tni_stack *stack, void (*entry)(void *), void *arg)
{
    tni_context_used.make(ctx, stack, entry, arg);
}

/* Makes ctx the context of the calling thread's own stack. Only that thread may leave and resume it. */
static inline void tni_context_init_thread(tni_context *ctx)
{
    tni_context_used.init_thread(ctx);
}

/* The same, and records the control words of the calling thread. */
static inline void tni_context_init_home(tni_context_home *home)
{
    tni_fiber_control(&home->control);
    tni_context_init_thread(&home->context);
}

/* Cache lines that a resume touches first: those of the switch and of the suspended calls. */
enum { TNI_CONTEXT_HOT_LINES = 8 };

/* Prefetches the stack of a context that will soon be resumed. The context may be running or gone by now: the read of `sp`
 * races then, and the prefetch has no effect. Hence it is hidden from the race detector. */
__attribute__((no_sanitize("thread"))) static inline void tni_context_prefetch(const tni_context *ctx)
{
    const volatile uintptr_t *sp_at = (const volatile uintptr_t *)(const void *)&ctx->sp;
    uintptr_t sp = *sp_at;

#pragma GCC unroll TNI_CONTEXT_HOT_LINES
    for (unsigned line = 0; line < TNI_CONTEXT_HOT_LINES; line++)
        __builtin_prefetch((const void *)(sp + line * 64), 1);
}

/* Finalizes a context that is never resumed again and is not running. The stack still belongs to the caller. */
static inline void tni_context_fini(tni_context *ctx)
{
    if (TNI_CONTEXT_ANNOUNCED)
        tni_context_used.fini(ctx);
    else
        ctx->sp = NULL;
}

/* Suspends the caller in `from` and resumes `to`. Returns when `from` is resumed, maybe on another thread. */
__attribute__((always_inline)) static inline void tni_context_switch(tni_context *from, tni_context *to)
{
    tni_san_leave(&from->san, &to->san, false);
    tni_san_arrive(&from->san,
                   tni_fiber_enter(&tni_fiber_used.suspend, &from->sp, to->sp, tni_san_message(&from->san, &to->san, false)));
}

/* The same for a thread that leaves its home stack. */
__attribute__((always_inline)) static inline void tni_context_enter(tni_context_home *home, tni_context *to)
{
    tni_context *from = &home->context;

    tni_san_leave(&from->san, &to->san, false);
    tni_san_arrive(&from->san,
                   tni_fiber_enter(&tni_fiber_used.resume, &from->sp, to->sp, tni_san_message(&from->san, &to->san, false)));
}

/* As tni_context_make and then tni_context_enter. Until ctx is left, its `sp` is what it was before. */
__attribute__((always_inline)) static inline void tni_context_start(tni_context_home *home, tni_context *ctx, tni_stack *stack,
                                                                    void (*entry)(void *), void *arg)
{
    if (TNI_FIBER_STARTS && !TNI_CONTEXT_ANNOUNCED) {
        tni_fiber_start(&home->context.sp, tni_stack_top(stack), entry, arg);
    } else {
        tni_context_make(ctx, stack, entry, arg);
        tni_context_enter(home, ctx);
    }
}

/* As tni_context_switch, but `from` is never resumed: the code at `to` may free it and its stack. */
__attribute__((always_inline)) _Noreturn static inline void tni_context_exit_to(tni_context *from, tni_context *to)
{
    tni_san_leave(&from->san, &to->san, true);
    (void)tni_fiber_enter(&tni_fiber_used.leave, &from->sp, to->sp, tni_san_message(&from->san, &to->san, true));
    __builtin_unreachable();
}

#endif
