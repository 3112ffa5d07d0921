/* SPDX-License-Identifier: MIT */
/* Creating and finalizing contexts. The switch itself is in fiber_<machine>.S. */
#include "fiber/context.h"

/* In fiber_<machine>.S: writes the frame that the first switch to a new stack restores, and returns its address. */
__attribute__((visibility("hidden"))) void *tni_fiber_frame(void *top, void (*entry)(void *), void *arg);

void tni_context_make(tni_context *ctx, tni_stack *stack, void (*entry)(void *), void *arg)
{
    tni_san_make(&ctx->san, tni_stack_base(stack), tni_stack_size(stack), &entry, &arg);
    ctx->sp = tni_fiber_frame(tni_stack_top(stack), entry, arg);
}

void tni_context_init_thread(tni_context *ctx)
{
    ctx->sp = NULL;
    tni_san_thread(&ctx->san);
}

void tni_context_fini(tni_context *ctx)
{
    ctx->sp = NULL;
    tni_san_fini(&ctx->san);
}
