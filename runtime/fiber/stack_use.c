/* SPDX-License-Identifier: MIT */
#include "fiber/stack_use.h"

#include <string.h>

#include "base/san.h"
#include "os/os_memory.h"

/* Trimming is a system call of some 500 ns, as much as all the rest of a short task's life, and most tasks do not get past the
 * page that their descriptor is in. So that page's lowest line holds a pattern: while it is intact, nothing is given back. The
 * watermark itself would be the exact place for it, at the price of one more page a stack. A frame that leaves a large buffer
 * unwritten may step over the line; therefore it is believed only where little is at stake, for stacks of the default size and
 * smaller. */
#define TELL_WORDS 8
#define TELL_PATTERN UINT64_C(0x7461636f6d657421)

static uint64_t *tell_line(const tni_stack_pool *pool, const tni_stack *stack)
{
    return (uint64_t *)((uintptr_t)stack & ~(uintptr_t)(pool->page_size - 1));
}

TNI_SAN_UNCHECKED static void tell_write(uint64_t *line)
{
    for (int i = 0; i < TELL_WORDS; i++)
        line[i] = TELL_PATTERN;
}

TNI_SAN_UNCHECKED static bool tell_is_intact(const uint64_t *line)
{
    uint64_t differs = 0;
    for (int i = 0; i < TELL_WORDS; i++)
        differs |= line[i] ^ TELL_PATTERN;
    return differs == 0;
}

/* Bytes from the stack's base up to the watermark; 0 where that is not worth a call. */
static size_t below_watermark(const tni_stack_pool *pool, const tni_stack *stack)
{
    uintptr_t base = (uintptr_t)tni_stack_base(stack);
    uintptr_t watermark = ((uintptr_t)tni_stack_top(stack) - TNI_STACK_WATERMARK) & ~(uintptr_t)(pool->page_size - 1);
    return watermark > base + pool->page_size ? watermark - base : 0;
}

void tni_stack_use_init(const tni_stack_pool *pool, tni_stack *stack)
{
    if (!pool->config.measure && below_watermark(pool, stack) != 0)
        tell_write(tell_line(pool, stack));
}

void tni_stack_trim(const tni_stack_pool *pool, tni_stack *stack)
{
    size_t size = below_watermark(pool, stack);
    uint64_t *line = tell_line(pool, stack);
    if (size == 0 || (tni_stack_slot_size(stack) <= TNI_STACK_DEFAULT_BYTES && tell_is_intact(line)))
        return;
    (void)tni_os_advise(tni_stack_base(stack), size, TNI_ADVICE_DISCARD);
    tell_write(line);
}

TNI_SAN_UNCHECKED static void zero(char *low, size_t size)
{
    memset(low, 0, size);
}

void tni_stack_clear(const tni_stack_pool *pool, tni_stack *stack)
{
    char *base = tni_stack_base(stack);
    char *top = tni_stack_top(stack);
    char *top_page = (char *)tell_line(pool, stack);
    if (tni_os_advise(base, (size_t)(top_page - base), TNI_ADVICE_DISCARD) < 0)
        zero(base, (size_t)(top_page - base));
    zero(top_page, (size_t)(top - top_page));
}

/* The owner may be running, and its red zones lie in between: neither matters to a high-water mark. */
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
