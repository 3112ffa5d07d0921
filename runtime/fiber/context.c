/* SPDX-License-Identifier: MIT */
/* Creating and finalizing contexts, and walking their frames. The switch itself is in fiber_<machine>.S. */
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

/* --- Frames ----------------------------------------------------------------------------------------------------------------- */

/* A frame holds the address of the older frame, and above it the return address. The words are read unchecked by the
 * sanitizers, because an address that looks like a frame may point at anything on the stack. */
#define READS_STACK __attribute__((no_sanitize("address", "thread")))

static bool is_frame(uintptr_t frame, uintptr_t low, uintptr_t top)
{
    return frame > low && frame < top && frame % sizeof(void *) == 0 && top - frame >= 2 * sizeof(void *);
}

READS_STACK unsigned tni_context_frames_at(uintptr_t frame, uintptr_t low, uintptr_t top, void **frames, unsigned max)
{
    unsigned count = 0;

    while (count < max && is_frame(frame, low, top)) {
        void *pc = ((void *volatile *)frame)[1];
        if (pc == NULL)
            break;
        frames[count++] = pc;
        low = frame;
        frame = *(volatile uintptr_t *)frame;
    }
    return count;
}

READS_STACK bool tni_context_has_root(uintptr_t frame, uintptr_t low, uintptr_t top)
{
    if (!is_frame(frame, low, top))
        return false;
    while (is_frame(frame, low, top)) {
        low = frame;
        frame = *(volatile uintptr_t *)frame;
    }
    return frame == 0;
}

unsigned tni_context_frames(const tni_context *ctx, const void *base, const void *top, void **frames, unsigned max)
{
    uintptr_t low = (uintptr_t)ctx->sp;

    if (ctx->sp == NULL || low < (uintptr_t)base || low + TNI_FIBER_SAVED_SIZE > (uintptr_t)top || max == 0)
        return 0;
    frames[0] = *(void **)(low + TNI_FIBER_SAVED_PC);
    return 1 + tni_context_frames_at(*(uintptr_t *)(low + TNI_FIBER_SAVED_FRAME), low, (uintptr_t)top, frames + 1, max - 1);
}
