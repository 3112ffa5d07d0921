/* SPDX-License-Identifier: MIT */
/* Allocation through the allocator of a runtime, and the default allocator. */
#include "base/alloc.h"

#include "base/order.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Out of line: the usual allocation needs no frame. */
__attribute__((noinline)) static void *libc_alloc_aligned(size_t size_bytes, size_t align_bytes)
{
    void *ptr = NULL;

    return posix_memalign(&ptr, align_bytes, size_bytes) == 0 ? ptr : NULL;
}

static void *libc_alloc(void *ctx, size_t size_bytes, size_t align_bytes)
{
    (void)ctx;
    if (align_bytes <= _Alignof(max_align_t)) /* posix_memalign costs 40 instructions more */
        return malloc(size_bytes);
    return libc_alloc_aligned(size_bytes, align_bytes);
}

static void libc_free(void *ctx, void *ptr, size_t size_bytes)
{
    (void)ctx;
    (void)size_bytes;
    free(ptr);
}

const tn_allocator tni_alloc_default = {.alloc = libc_alloc, .free = libc_free, .ctx = NULL};

void *tni_alloc_uninitialized(const tn_allocator *allocator, size_t size_bytes, size_t align_bytes)
{
    void *ptr = allocator->alloc(allocator->ctx, size_bytes, align_bytes);

    tni_order_release(); /* ThreadSanitizer sees the allocation, and the free */
    return ptr;
}

void *tni_alloc(const tn_allocator *allocator, size_t size_bytes, size_t align_bytes)
{
    void *ptr = allocator->alloc(allocator->ctx, size_bytes, align_bytes);
    if (ptr != NULL)
        memset(ptr, 0, size_bytes);
    tni_order_release(); /* ThreadSanitizer sees the memset, and the free */
    return ptr;
}

void tni_free(const tn_allocator *allocator, void *ptr, size_t size_bytes)
{
    if (ptr == NULL)
        return;
    tni_order_acquire();
    allocator->free(allocator->ctx, ptr, size_bytes);
}
