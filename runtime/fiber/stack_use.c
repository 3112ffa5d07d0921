/* SPDX-License-Identifier: MIT */
/* Measuring how much stack a task has used, and trimming stacks: returning unused memory to the kernel. */
#include "fiber/stack_use.h"

#include <string.h>

#include "base/san.h"
#include "os/os_memory.h"

/* Trimming is a system call that costs as much as the rest of a short task, and most tasks stay within the page of their
 * descriptor. So the lowest line of that page holds a pattern: while it is intact, no memory is returned. The exact place would
 * be at the watermark, but that costs one more page per stack. A frame with a large unwritten buffer may skip the line.
 * Therefore the pattern is trusted only for stacks of the default size and smaller, where little memory is at stake. */
#define CANARY_WORDS 8
#define CANARY_PATTERN UINT64_C(0x7461636f6d657421)

static uint64_t *canary_line(const tni_stack_pool *pool, const tni_stack *stack)
{
    return (uint64_t *)((uintptr_t)stack & ~(uintptr_t)(pool->page_size - 1));
}

TNI_SAN_UNCHECKED static void canary_write(uint64_t *line)
{
    for (int i = 0; i < CANARY_WORDS; i++)
        line[i] = CANARY_PATTERN;
}

TNI_SAN_UNCHECKED static bool canary_is_intact(const uint64_t *line)
{
    uint64_t differs = 0;
    for (int i = 0; i < CANARY_WORDS; i++)
        differs |= line[i] ^ CANARY_PATTERN;
    return differs == 0;
}

/* Bytes from the stack's base up to the watermark; 0 if too few for a system call. */
static size_t below_watermark(const tni_stack_pool *pool, const tni_stack *stack)
{
    uintptr_t base = (uintptr_t)tni_stack_base(stack);
    uintptr_t watermark = ((uintptr_t)tni_stack_top(stack) - TNI_STACK_WATERMARK) & ~(uintptr_t)(pool->page_size - 1);
    return watermark > base + pool->page_size ? watermark - base : 0;
}

void tni_stack_use_init(const tni_stack_pool *pool, tni_stack *stack)
{
    if (!pool->config.measure && below_watermark(pool, stack) != 0)
        canary_write(canary_line(pool, stack));
}

void tni_stack_trim(const tni_stack_pool *pool, tni_stack *stack)
{
    size_t size = below_watermark(pool, stack);
    uint64_t *line = canary_line(pool, stack);
    if (size == 0 || (tni_stack_slot_size(stack) <= TNI_STACK_DEFAULT_BYTES && canary_is_intact(line)))
        return;
    (void)tni_os_advise(tni_stack_base(stack), size, TNI_ADVICE_DISCARD);
    canary_write(line);
}

void tni_stack_strip(const tni_stack_pool *pool, tni_stack *stack)
{
    char *base = tni_stack_base(stack);

    /* The error is ignored: memory that is locked stays. */
    (void)tni_os_advise(base, (size_t)((char *)canary_line(pool, stack) - base), TNI_ADVICE_DISCARD);
}

TNI_SAN_UNCHECKED static void zero(char *low, size_t size)
{
    memset(low, 0, size);
}

void tni_stack_clear(const tni_stack_pool *pool, tni_stack *stack)
{
    char *base = tni_stack_base(stack);
    char *top = tni_stack_top(stack);
    char *top_page = (char *)canary_line(pool, stack);
    if (tni_os_advise(base, (size_t)(top_page - base), TNI_ADVICE_DISCARD) < 0)
        zero(base, (size_t)(top_page - base));
    zero(top_page, (size_t)(top - top_page));
}

/* Unchecked by the sanitizers: the owner may be running, and the range contains red zones. Neither affects a high-water
 * mark. */
TNI_SAN_UNCHECKED static size_t used_bytes(const char *base, const char *top)
{
    const uint64_t *word = (const uint64_t *)(const void *)base;
    const uint64_t *end = (const uint64_t *)(const void *)top;
    while (word < end && *word == 0)
        word++;
    return (size_t)((const char *)end - (const char *)word);
}

size_t tni_stack_used(const tni_stack *stack)
{
    return stack->pool->config.measure ? used_bytes(tni_stack_base(stack), tni_stack_top(stack)) : 0;
}
