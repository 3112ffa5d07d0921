/* SPDX-License-Identifier: MIT */
/* Walks over the stack of a fiber.
 *
 * Code with frame pointers forms a chain from the frame register to the root frame of the fiber. Code without them may use the
 * register for anything, so a word that looks like a frame may lead anywhere. A chain counts only if it ends at the root frame:
 * the frame that saves a zero and returns to tni_fiber_root_end. If the chain from the register does not, the first word from
 * the stack pointer on is taken whose chain does: a function that uses the register for something else has saved its caller's
 * frame there. The words below it are copied too, because return addresses of the functions in between are among them.
 */
#include "fiber/frames.h"

/* In fiber_<machine>.S: the return address of the outermost function of each fiber. */
extern const char tni_fiber_root_end[] __attribute__((visibility("hidden")));

/* The words that are read need not belong to a variable, and an address that looks like a frame may point at anything on the
 * stack. */
#define READS_STACK __attribute__((no_sanitize("address", "thread")))

/* Bytes above the stack pointer that are searched for the first frame. */
#define SEARCH_BYTES ((uintptr_t)32 * 1024)

/* A frame holds the address of the older frame, and above it the return address. */
static bool is_frame(uintptr_t frame, uintptr_t low, uintptr_t top)
{
    return frame > low && frame < top && frame % sizeof(void *) == 0 && top - frame >= 2 * sizeof(void *);
}

READS_STACK static bool has_root(uintptr_t frame, uintptr_t low, uintptr_t top)
{
    const void *pc = NULL;

    while (is_frame(frame, low, top)) {
        pc = ((void *volatile *)frame)[1];
        low = frame;
        frame = *(volatile uintptr_t *)frame;
    }
    return frame == 0 && pc == tni_fiber_root_end;
}

/* Finds the start of a chain that leads to the root frame. 0: none. A chain that leads elsewhere is followed once, not again
 * from each of its frames: in a deep recursion that would take a second. */
READS_STACK static uintptr_t first_frame(const tni_frames_at *at, uintptr_t top)
{
    uintptr_t end = top - at->sp < SEARCH_BYTES ? top : at->sp + SEARCH_BYTES;
    uintptr_t astray = at->frame; /* the next frame of a chain that does not lead to the root */

    if (has_root(at->frame, at->sp - 1, top)) /* a function without variables has its frame at the stack pointer */
        return at->frame;
    for (uintptr_t word = at->sp; word + sizeof word <= end; word += sizeof word) {
        uintptr_t frame = *(const volatile uintptr_t *)word;
        if (word == astray) {
            astray = frame;
            continue;
        }
        if (has_root(frame, word, top))
            return frame;
        if ((astray <= word || astray >= top) && frame > word && frame < top)
            astray = frame;
    }
    return 0;
}

READS_STACK static void copy_frames(tni_frames *out, uintptr_t frame, uintptr_t top)
{
    uintptr_t low = frame - 1;

    while (out->frames < TNI_FRAMES_MAX && is_frame(frame, low, top)) {
        out->frame[out->frames++] = ((void *volatile *)frame)[1];
        low = frame;
        frame = *(volatile uintptr_t *)frame;
    }
}

/* Copies the words from `begin` to `end`. If they are too many, those at the end: they are of the functions called from there. */
READS_STACK static void copy_words(tni_frames *out, uintptr_t begin, uintptr_t end)
{
    if (end - begin > out->words_max * sizeof *out->word)
        begin = end - out->words_max * sizeof *out->word;
    for (uintptr_t word = begin; word + sizeof word <= end; word += sizeof word)
        out->word[out->words++] = *(const void *volatile *)word;
}

static void take(tni_frames *out, const tni_frames_at *at, uintptr_t top, bool frame_is_innermost)
{
    uintptr_t frame = first_frame(at, top);

    out->pc = (const void *)at->pc;
    out->frames = 0;
    out->words = 0;
    if (!frame_is_innermost || frame != at->frame)
        copy_words(out, at->sp, frame != 0 ? frame : top);
    if (frame != 0)
        copy_frames(out, frame, top);
}

void tni_frames_interrupted(tni_frames *out, const tni_frames_at *at, uintptr_t top)
{
    take(out, at, top, false);
}

READS_STACK void tni_frames_suspended(tni_frames *out, const tni_context *ctx, const void *base, const void *top)
{
    uintptr_t sp = (uintptr_t)ctx->sp;
    tni_frames_at at;

    out->pc = NULL;
    out->frames = 0;
    out->words = 0;
    if (ctx->sp == NULL || sp < (uintptr_t)base || sp + TNI_FIBER_SAVED_SIZE > (uintptr_t)top)
        return;
    at.pc = *(uintptr_t *)(sp + TNI_FIBER_SAVED_PC);
    at.frame = *(uintptr_t *)(sp + TNI_FIBER_SAVED_FRAME);
    at.sp = sp + TNI_FIBER_SAVED_SIZE;
    take(out, &at, (uintptr_t)top, true); /* the library's functions have frame pointers */
}
