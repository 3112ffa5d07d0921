/* Making and forgetting contexts. The switch itself is in fiber_<machine>.S. */
#include "fiber.h"

/* In fiber_<machine>.S: writes the frame that the first switch to a new stack restores, and answers where it lies. */
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

/* Each frame holds the older frame's address, and above it where its function returns to. */
unsigned tni_context_frames(const tni_context *ctx, const void *base, const void *top, void **frames, unsigned max)
{
    uintptr_t low = (uintptr_t)ctx->sp;
    unsigned count = 0;
    uintptr_t frame;

    if (ctx->sp == NULL || low < (uintptr_t)base || low + TNI_FIBER_SAVED_SIZE > (uintptr_t)top || max == 0)
        return 0;
    frames[count++] = *(void **)(low + TNI_FIBER_SAVED_PC);
    frame = *(uintptr_t *)(low + TNI_FIBER_SAVED_FRAME);
    while (count < max && frame > low && frame % sizeof(void *) == 0 && frame + 2 * sizeof(void *) <= (uintptr_t)top) {
        void *pc = ((void **)frame)[1];
        if (pc == NULL)
            break;
        frames[count++] = pc;
        low = frame;
        frame = *(uintptr_t *)frame;
    }
    return count;
}
