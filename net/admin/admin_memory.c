/* SPDX-License-Identifier: MIT */
/* The memory of the admin server: blocks of powers of two, cut from one mapping. */
#include "admin/admin_memory.h"

#include <sys/mman.h>

#define SMALLEST_LOG2 6

static unsigned class_of(size_t size)
{
    unsigned log2 = size <= 1 ? 0 : 64 - (unsigned)__builtin_clzll((unsigned long long)size - 1);

    return log2 < SMALLEST_LOG2 ? 0 : log2 - SMALLEST_LOG2;
}

static void lock(tni_admin_memory *self)
{
    /* Threads of the server's own runtime alone, for some instructions. */
    while (atomic_flag_test_and_set_explicit(&self->busy, memory_order_acquire))
        ;
}

static void unlock(tni_admin_memory *self)
{
    atomic_flag_clear_explicit(&self->busy, memory_order_release);
}

/* Cuts a block from what was never used. */
static void *cut(tni_admin_memory *self, size_t size, size_t align)
{
    size_t at = (self->used + align - 1) & ~(align - 1);

    if (at > self->size || size > self->size - at)
        return NULL;
    self->used = at + size;
    return self->base + at;
}

static void *alloc(void *ctx, size_t size, size_t align)
{
    tni_admin_memory *self = ctx;
    unsigned class = class_of(size);
    void *block;

    if (class >= TNI_ADMIN_MEMORY_SIZES)
        return NULL;
    size = (size_t)1 << (class + SMALLEST_LOG2);
    lock(self);
    block = align <= size ? self->free[class] : NULL;
    if (block != NULL)
        self->free[class] = *(void **)block;
    else
        block = cut(self, size, align > size ? align : size);
    unlock(self);
    return block;
}

static void give_back(void *ctx, void *block, size_t size)
{
    tni_admin_memory *self = ctx;
    unsigned class = class_of(size);

    lock(self);
    *(void **)block = self->free[class];
    self->free[class] = block;
    unlock(self);
}

int tni_admin_memory_init(tni_admin_memory *self, size_t size)
{
    /* Aligned to its size by mapping twice as much would be waste: no block is larger than the alignment of a mapping asks for,
     * because `cut` aligns addresses relative to a base that is aligned to 1 MiB here. */
    size_t align = (size_t)1 << 20;
    char *mapped = mmap(NULL, size + align, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    size_t before;

    if (mapped == MAP_FAILED)
        return TN_ENOMEM;
    before = (align - (uintptr_t)mapped % align) % align;
    if (before > 0)
        (void)munmap(mapped, before);
    if (align > before)
        (void)munmap(mapped + before + size, align - before);
    *self = (tni_admin_memory){
        .allocator = {alloc, give_back, self}, .base = mapped + before, .size = size, .busy = ATOMIC_FLAG_INIT};
    return 0;
}

void tni_admin_memory_fini(tni_admin_memory *self)
{
    (void)munmap(self->base, self->size);
}
