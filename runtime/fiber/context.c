/* SPDX-License-Identifier: MIT */
/* Creating and finalizing contexts. The switch itself is in fiber_<machine>.S. */
#include "fiber/context.h"

/* In fiber_<machine>.S: writes the frame that the first switch to a new stack restores, and returns its address. */
__attribute__((visibility("hidden"))) void *tni_fiber_frame(void *top, void (*entry)(void *), void *arg);

static void make(tni_context *ctx, tni_stack *stack, void (*entry)(void *), void *arg)
{
    tni_san_make(&ctx->san, tni_stack_base(stack), tni_stack_size(stack), &entry, &arg);
    ctx->sp = tni_fiber_frame(tni_stack_top(stack), entry, arg);
}

static void init_thread(tni_context *ctx)
{
    ctx->sp = NULL;
    tni_san_thread(&ctx->san);
}

static void fini(tni_context *ctx)
{
    ctx->sp = NULL;
    tni_san_fini(&ctx->san);
}

const tni_context_functions tni_context_ordinary = {make, init_thread, fini};
tni_context_functions tni_context_used = {make, init_thread, fini};

bool tni_context_announced;

tni_fiber_switches tni_fiber_used = {tni_fiber_switch, tni_fiber_enter_from_home, tni_fiber_exit};
