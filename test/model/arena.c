/* SPDX-License-Identifier: MIT */
/* Tracked memory: the allocator that the checker watches. Freed memory is not used again within an execution, so a late
 * access is seen. Each thread allocates from its own part. So an allocation by another thread does not change its addresses,
 * and interleavings that differ only in that remain equal. */
#include <stdio.h>
#include <string.h>

#include "engine.h"

#define PART_BYTES (MODEL_ARENA_BYTES / MODEL_THREADS)
#define GRANULE 8
#define BLOCKS_MAX 4096
#define NAMES_MAX 256

typedef struct {
    char *begin;
    size_t bytes;
    unsigned thread;
    uint16_t clock;
    bool freed;
    const void *where;
} block;

char model_arena[MODEL_ARENA_BYTES] __attribute__((aligned(1 << 20)));
static uint16_t owners[MODEL_ARENA_BYTES / GRANULE]; /* block + 1; 0: in no block */
static size_t used[MODEL_THREADS];
static block blocks[BLOCKS_MAX];
static unsigned block_count;

static struct {
    const char *ptr;
    size_t bytes;
    const char *name;
} names[NAMES_MAX];
static unsigned name_count;

void arena_reset(void)
{
    for (unsigned t = 0; t < MODEL_THREADS; t++) {
        memset(&owners[t * (PART_BYTES / GRANULE)], 0, used[t] / GRANULE * sizeof owners[0]);
        used[t] = 0;
    }
    block_count = 0;
    name_count = 0;
}

bool arena_contains(const void *ptr)
{
    return (uintptr_t)ptr - (uintptr_t)model_arena < MODEL_ARENA_BYTES;
}

static size_t granule_of(const void *ptr)
{
    return ((uintptr_t)ptr - (uintptr_t)model_arena) / GRANULE;
}

void *arena_alloc(size_t bytes, size_t align_bytes, const void *pc)
{
    unsigned self = engine.self;
    size_t align = align_bytes < 16 ? 16 : align_bytes;
    size_t at = (used[self] + align - 1) & ~(align - 1);
    size_t taken = (bytes + GRANULE - 1) & ~(size_t)(GRANULE - 1);
    char *ptr = model_arena + self * PART_BYTES + at;
    char where[64];

    if (at + taken + 2 * GRANULE > PART_BYTES || block_count == BLOCKS_MAX)
        model_fail("leak", "the scenario allocates more than %zu bytes per thread", PART_BYTES);
    used[self] = at + taken + 2 * GRANULE; /* an unused gap follows each block */
    memset(ptr, 0, bytes);
    blocks[block_count++] = (block){.begin = ptr, .bytes = bytes, .thread = self, .clock = memory_clock()[self], .where = pc};
    for (size_t g = granule_of(ptr), end = g + taken / GRANULE; g < end; g++)
        owners[g] = (uint16_t)block_count;
    if (engine.tracing) {
        arena_describe(ptr, where, sizeof where);
        trace_add(pc, "alloc %zu: %s", bytes, where);
    }
    return ptr;
}

void arena_free(void *ptr, const void *pc)
{
    unsigned index = arena_contains(ptr) ? owners[granule_of(ptr)] : 0;
    block *b = &blocks[index - 1];
    char where[64];

    arena_describe(ptr, where, sizeof where);
    trace_add(pc, "free %s", where);
    if (index == 0 || b->begin != (char *)ptr)
        model_fail("double-free", "%s is freed at %s, but was never allocated", where, trace_place(pc));
    if (b->freed)
        model_fail("double-free", "%s is freed a second time, at %s", where, trace_place(pc));
    race_free(b->begin, b->bytes, pc);
    b->freed = true;
}

arena_origin arena_touch(const void *ptr, size_t bytes, const void *pc)
{
    unsigned index = owners[granule_of(ptr)];
    const block *b = &blocks[index - 1];
    char where[64];

    if (index != 0 && !b->freed && (const char *)ptr + bytes <= b->begin + b->bytes)
        return (arena_origin){b->thread, b->clock};
    arena_describe(ptr, where, sizeof where);
    if (index != 0 && b->freed)
        model_fail("use-after-free", "%s is accessed at %s after it was freed", where, trace_place(pc));
    model_fail("use-after-free", "%s is accessed at %s outside any allocation", where, trace_place(pc));
}

void arena_check_leaks(void)
{
    char where[64];

    for (unsigned i = 0; i < block_count; i++) {
        if (blocks[i].freed)
            continue;
        arena_describe(blocks[i].begin, where, sizeof where);
        model_fail("leak", "%s (%zu bytes, allocated at %s) is never freed", where, blocks[i].bytes,
                   trace_place(blocks[i].where));
    }
}

void model_name(const void *ptr, size_t bytes, const char *name)
{
    if (name_count < NAMES_MAX) {
        names[name_count].ptr = ptr;
        names[name_count].bytes = bytes;
        names[name_count++].name = name;
    }
}

/* Uses the narrowest name that covers `ptr`, or else the number of its block. */
void arena_describe(const void *ptr, char *text, size_t size)
{
    const char *at = ptr;
    size_t best = SIZE_MAX;
    unsigned found = 0;

    for (unsigned i = 0; i < name_count; i++)
        if (at >= names[i].ptr && at < names[i].ptr + names[i].bytes && names[i].bytes < best) {
            best = names[i].bytes;
            found = i;
        }
    if (best != SIZE_MAX && at == names[found].ptr) {
        (void)snprintf(text, size, "%s", names[found].name);
    } else if (best != SIZE_MAX) {
        (void)snprintf(text, size, "%s+%zu", names[found].name, (size_t)(at - names[found].ptr));
    } else if (arena_contains(ptr) && owners[granule_of(ptr)] != 0) {
        unsigned index = owners[granule_of(ptr)] - 1u;
        (void)snprintf(text, size, "block%u+%zu", index, (size_t)(at - blocks[index].begin));
    } else {
        (void)snprintf(text, size, "%p", ptr);
    }
}

void *model_alloc(size_t bytes, size_t align_bytes)
{
    return arena_alloc(bytes, align_bytes, MODEL_PC);
}

void model_free(void *ptr)
{
    arena_free(ptr, MODEL_PC);
}
