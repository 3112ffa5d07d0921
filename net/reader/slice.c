/* SPDX-License-Identifier: MIT */
/* Counted bytes.
 *
 * State: `references` of a block. A holder of a reference may read the bytes and add references. The bytes do not change once
 * there is a second reference.
 *
 * *Freed once, and not too early.* A reference is added only by a holder, so the count does not leave 0. Each release is one
 * decrement. Exactly one of them finds 1, and all reads of the other holders come before theirs: each decrement releases, and the
 * last one acquires. */
#include <tn/slice.h>

#include <string.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/order.h"
#include "reader/buffer.h"

struct tn_slice_block {
    tni_a32 references;
    tn_allocator allocator;
    size_t size; /* of this struct and the bytes behind it */
    void (*drop)(void *arg);
    void *arg;
};

static tn_slice_block *block_alloc(size_t behind, const tn_allocator *allocator)
{
    tn_slice_block *block;

    if (allocator == NULL)
        allocator = tni_buffer_allocator_here();
    if (behind > SSIZE_MAX - sizeof *block)
        return NULL;
    block = tni_alloc_uninitialized(allocator, sizeof *block + behind, _Alignof(tn_slice_block));
    if (block == NULL)
        return NULL;
    block->allocator = *allocator;
    block->size = sizeof *block + behind;
    block->drop = NULL;
    block->arg = NULL;
    tni_a32_init(&block->references, 1);
    return block;
}

int tn_slice_alloc(tn_slice *out, char **bytes, size_t size, const tn_allocator *allocator)
{
    tn_slice_block *block = block_alloc(size, allocator);

    if (block == NULL)
        return TN_ENOMEM;
    *bytes = (char *)(block + 1);
    *out = (tn_slice){{*bytes, size}, block};
    return 0;
}

int tn_slice_copy(tn_slice *out, const void *data, size_t size, const tn_allocator *allocator)
{
    char *bytes;
    int rc = tn_slice_alloc(out, &bytes, size, allocator);

    if (rc == 0 && size > 0)
        memcpy(bytes, data, size);
    return rc;
}

int tn_slice_wrap(tn_slice *out, const void *data, size_t size, void (*drop)(void *arg), void *arg, const tn_allocator *allocator)
{
    tn_slice_block *block = block_alloc(0, allocator);

    if (block == NULL)
        return TN_ENOMEM;
    block->drop = drop;
    block->arg = arg;
    *out = (tn_slice){{data, size}, block};
    return 0;
}

tn_slice tn_slice_retain(tn_slice slice)
{
    if (slice.block != NULL) {
        /* Relaxed: the caller has a reference, so one more publishes nothing. */
        uint32_t old = tni_a32_fetch_add(&slice.block->references, 1, TNI_RELAXED);
        tni_assert(old != 0 && old != UINT32_MAX, "tn_slice_retain: there is no reference to the slice");
    }
    return slice;
}

tn_slice tn_slice_part(tn_slice slice, size_t offset, size_t size)
{
    tni_assert(offset <= slice.bytes.size && size <= slice.bytes.size - offset, "tn_slice_part: the slice has fewer bytes");
    slice.bytes = (tn_bytes){slice.bytes.data + offset, size};
    return tn_slice_retain(slice);
}

void tn_slice_release(tn_slice slice)
{
    tn_slice_block *block = slice.block;
    tn_allocator allocator;
    uint32_t old;

    if (block == NULL)
        return;
    tni_order_release();
    /* Release: the reads of each holder come before the free. Acquire: the last holder observes that. Weaker: it could free, and
     * another task write to the memory, while a read is under way. Partner: the other holders in tn_slice_release. */
    old = tni_a32_fetch_sub(&block->references, 1, TNI_ACQ_REL);
    tni_assert(old != 0, "tn_slice_release: released more often than retained");
    if (old != 1)
        return;
    tni_order_acquire();
    if (block->drop != NULL)
        block->drop(block->arg);
    allocator = block->allocator;
    tni_free(&allocator, block, block->size);
}
