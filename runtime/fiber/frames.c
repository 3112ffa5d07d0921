/* SPDX-License-Identifier: MIT */
/* Walks over the stack of a fiber.
 *
 * Code with frame pointers forms a chain from the frame register to the root frame of the fiber. Code without them may use the
 * register for anything, so a word that looks like a frame may lead anywhere. A chain counts only if it ends at the root frame:
 * the frame that saves a zero and returns to tni_fiber_root_end. If the chain from the register does not, the first word from
 * the stack pointer on is taken whose chain does: a function that uses the register for something else has saved its caller's
 * frame there. The words below it are copied too, because return addresses of the functions in between are among them.
 *
 * The stack may be a copy elsewhere in memory: all addresses here are those of the stack, and load() finds the copy.
 */
#include "fiber/frames.h"

/* In fiber_<machine>.S: the return address of the outermost function of each fiber. */
extern const char tni_fiber_root_end[] __attribute__((visibility("hidden")));

/* The words that are read need not belong to a variable, and an address that looks like a frame may point at anything on the
 * stack. */
#define READS_STACK __attribute__((no_sanitize("address", "thread")))

/* Bytes above the stack pointer that are searched for the first frame. */
#define SEARCH_BYTES ((uintptr_t)32 * 1024)

/* What is read. */
typedef struct {
    uintptr_t top;   /* where the stack ends */
    ptrdiff_t moved; /* from the stack to the copy that is read; 0: the stack itself is */
} view;

READS_STACK static uintptr_t load(const view *v, uintptr_t address)
{
    return *(const volatile uintptr_t *)(address + (uintptr_t)v->moved);
}

/* A frame holds the address of the older frame, and above it the return address. */
static bool is_frame(uintptr_t frame, uintptr_t low, uintptr_t top)
{
    return frame > low && frame < top && frame % sizeof(void *) == 0 && top - frame >= 2 * sizeof(void *);
}

static bool has_root(const view *v, uintptr_t frame, uintptr_t low)
{
    uintptr_t pc = 0;

    while (is_frame(frame, low, v->top)) {
        pc = load(v, frame + sizeof frame);
        low = frame;
        frame = load(v, frame);
    }
    return frame == 0 && pc == (uintptr_t)tni_fiber_root_end;
}

/* Finds the start of a chain that leads to the root frame. 0: none. A chain that leads elsewhere is followed once, not again
 * from each of its frames: in a deep recursion that would take a second. */
static uintptr_t first_frame(const view *v, const tni_frames_at *at)
{
    uintptr_t end = v->top - at->sp < SEARCH_BYTES ? v->top : at->sp + SEARCH_BYTES;
    uintptr_t astray = at->frame; /* the next frame of a chain that does not lead to the root */

    if (has_root(v, at->frame, at->sp - 1)) /* a function without variables has its frame at the stack pointer */
        return at->frame;
    for (uintptr_t word = at->sp; word + sizeof word <= end; word += sizeof word) {
        uintptr_t frame = load(v, word);
        if (word == astray) {
            astray = frame;
            continue;
        }
        if (has_root(v, frame, word))
            return frame;
        if ((astray <= word || astray >= v->top) && frame > word && frame < v->top)
            astray = frame;
    }
    return 0;
}

static void copy_frames(tni_frames *out, const view *v, uintptr_t frame)
{
    uintptr_t low = frame - 1;

    while (out->frames < TNI_FRAMES_MAX && is_frame(frame, low, v->top)) {
        out->frame[out->frames++] = (void *)load(v, frame + sizeof frame); /* NOLINT(performance-no-int-to-ptr) */
        low = frame;
        frame = load(v, frame);
    }
}

/* Copies the words from `begin` to `end`. If they are too many, those at the end: they are of the functions called from there. */
static void copy_words(tni_frames *out, const view *v, uintptr_t begin, uintptr_t end)
{
    if (end - begin > out->words_max * sizeof *out->word)
        begin = end - out->words_max * sizeof *out->word;
    for (uintptr_t word = begin; word + sizeof word <= end; word += sizeof word)
        out->word[out->words++] = (const void *)load(v, word); /* NOLINT(performance-no-int-to-ptr) */
}

static void take(tni_frames *out, const view *v, const tni_frames_at *at, bool frame_is_innermost)
{
    uintptr_t frame = first_frame(v, at);

    out->pc = (const void *)at->pc;
    out->frames = 0;
    out->words = 0;
    if (!frame_is_innermost || frame != at->frame)
        copy_words(out, v, at->sp, frame != 0 ? frame : v->top);
    if (frame != 0)
        copy_frames(out, v, frame);
}

void tni_frames_interrupted(tni_frames *out, const tni_frames_at *at, uintptr_t top)
{
    take(out, &(view){top, 0}, at, false);
}

void tni_frames_copied(tni_frames *out, const tni_frames_at *at, uintptr_t top, const void *copy)
{
    take(out, &(view){top, (ptrdiff_t)((uintptr_t)copy - at->sp)}, at, false);
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
    take(out, &(view){(uintptr_t)top, 0}, &at, true); /* the library's functions have frame pointers */
}
