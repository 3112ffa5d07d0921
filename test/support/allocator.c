/* SPDX-License-Identifier: MIT */
#include "support/allocator.h"

#include <stdlib.h>
#include <string.h>

#include "support/runtime.h"

/* Is in memory directly before each block, after the padding for its alignment. */
typedef struct {
    void *start; /* the argument of free() */
    size_t size;
    uint64_t mark;
} block_header;

#define MARK_LIVE UINT64_C(0x4c4956454c495645)
#define MARK_FREE UINT64_C(0x4652454546524545)

static void *counting_alloc(void *ctx, size_t size_bytes, size_t align_bytes)
{
    tt_allocator *allocator = ctx;
    long call = atomic_fetch_add(&allocator->calls, 1) + 1;
    long fail_from = atomic_load(&allocator->fail_from);
    size_t align = align_bytes < 64 ? 64 : align_bytes;
    block_header *header;
    char *memory;

    tt_check(size_bytes > 0 && align_bytes > 0 && (align_bytes & (align_bytes - 1)) == 0);
    if (fail_from != 0 && call >= fail_from && call < fail_from + atomic_load(&allocator->fail_count)) {
        if (allocator->before_failure != NULL)
            allocator->before_failure(allocator->arg);
        return NULL;
    }
    memory = aligned_alloc(align, (align + size_bytes + align - 1) / align * align);
    if (memory == NULL)
        return NULL;
    memset(memory, 0xa5, align + size_bytes); /* finds code that relies on zeroed memory */
    header = (block_header *)(void *)(memory + align - sizeof *header);
    *header = (block_header){memory, size_bytes, MARK_LIVE};
    atomic_fetch_add(&allocator->blocks, 1);
    atomic_fetch_add(&allocator->bytes, (long)size_bytes);
    return memory + align;
}

static void counting_free(void *ctx, void *ptr, size_t size_bytes)
{
    tt_allocator *allocator = ctx;
    block_header *header;

    tt_check(ptr != NULL);
    header = (block_header *)ptr - 1;
    tt_check(header->mark == MARK_LIVE && header->size == size_bytes);
    header->mark = MARK_FREE;
    free(header->start);
    atomic_fetch_sub(&allocator->bytes, (long)size_bytes);
    atomic_fetch_sub(&allocator->blocks, 1); /* last: a thread that sees no block may free the allocator */
}

void tt_allocator_init(tt_allocator *allocator)
{
    allocator->as_option = (tn_allocator){counting_alloc, counting_free, allocator};
    atomic_init(&allocator->calls, 0);
    atomic_init(&allocator->blocks, 0);
    atomic_init(&allocator->bytes, 0);
    atomic_init(&allocator->fail_from, 0);
    atomic_init(&allocator->fail_count, 0);
    allocator->before_failure = NULL;
    allocator->arg = NULL;
}

void tt_allocator_fail(tt_allocator *allocator, long nth, long count)
{
    atomic_store(&allocator->fail_count, count);
    atomic_store(&allocator->fail_from, nth == 0 ? 0 : atomic_load(&allocator->calls) + nth);
}
