/* SPDX-License-Identifier: MIT */
/* The buffer of a reader or writer. */
#include "reader/buffer.h"

#include <string.h>

#include "base/alloc.h"
#include "base/config.h"
#include "base/options.h"
#include "sched/core.h"
#include "sched/runtime.h"

#define SIZE_DEFAULT TNI_BLOCK_BYTES
#define SIZE_MIN 64
#define SIZE_LARGEST ((size_t)1 << 40) /* so that twice a capacity does not overflow */

const tn_allocator *tni_buffer_allocator_here(void)
{
    tn_runtime *runtime = tn_runtime_current();

    return runtime != NULL ? &runtime->allocator : &tni_alloc_default;
}

int tni_buffer_init(tn_buffer *buffer, const tn_buffer_options *given, const char *call)
{
    tn_buffer_options options = tn_buffer_options_default();
    int rc = tni_options_read(&options, allocator, given, tni_runtime_log_here(), call);

    if (rc != 0)
        return rc;
    if (options.buffer_size != 0 && (options.buffer_size < SIZE_MIN || options.buffer_size > SIZE_LARGEST))
        return tni_options_refuse(tni_runtime_log_here(), call, "buffer_size is out of range: 0, or from 64 to 2^40");
    rc = tni_options_check_allocator(options.allocator, tni_runtime_log_here(), call);
    if (rc != 0)
        return rc;
    *buffer = (tn_buffer){.usual = options.buffer_size != 0 ? options.buffer_size : SIZE_DEFAULT};
    buffer->allocator = options.allocator != NULL ? *options.allocator : *tni_buffer_allocator_here();
    return 0;
}

/* Blocks of the default size go through the cache of the core. */
static char *alloc_bytes(const tn_buffer *buffer, size_t capacity)
{
    if (capacity == TNI_BLOCK_BYTES)
        return tni_core_block_alloc(&buffer->allocator);
    return tni_alloc_uninitialized(&buffer->allocator, capacity, _Alignof(max_align_t));
}

static void free_bytes(const tn_buffer *buffer)
{
    if (buffer->capacity == TNI_BLOCK_BYTES)
        tni_core_block_free(&buffer->allocator, buffer->bytes);
    else
        tni_free(&buffer->allocator, buffer->bytes, buffer->capacity);
}

/* Moves the bytes to the beginning of memory of `capacity` bytes, which may be that of the buffer. */
static int move(tn_buffer *buffer, size_t capacity)
{
    size_t used = tni_buffer_used(buffer);
    char *bytes = buffer->bytes;

    if (capacity > SIZE_LARGEST)
        return TN_ENOMEM;
    if (capacity != buffer->capacity) {
        bytes = alloc_bytes(buffer, capacity);
        if (bytes == NULL)
            return TN_ENOMEM;
    }
    if (used > 0)
        memmove(bytes, buffer->bytes + buffer->begin, used); /* NOLINT(clang-analyzer-core.*): bytes that are used have memory */
    if (bytes != buffer->bytes)
        free_bytes(buffer);
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    buffer->begin = 0;
    buffer->end = used;
    return 0;
}

int tni_buffer_make_space(tn_buffer *buffer, size_t most)
{
    size_t wanted = 2 * buffer->capacity;

    if (buffer->bytes == NULL)
        return move(buffer, buffer->usual);
    if (tni_buffer_space(buffer) > 0)
        return 0;
    if (buffer->begin > 0)
        return move(buffer, buffer->capacity);
    return move(buffer, wanted < most ? wanted : most);
}

int tni_buffer_reserve(tn_buffer *buffer, size_t size)
{
    size_t used = tni_buffer_used(buffer);

    if (size > SIZE_LARGEST)
        return TN_ENOMEM;
    if (buffer->bytes != NULL && size <= tni_buffer_space(buffer))
        return 0;
    if (buffer->bytes != NULL && used + size <= buffer->capacity)
        return move(buffer, buffer->capacity);
    return move(buffer, used + size > buffer->usual ? used + size : buffer->usual);
}

void tni_buffer_free(tn_buffer *buffer)
{
    if (buffer->bytes == NULL)
        return;
    free_bytes(buffer);
    buffer->bytes = NULL;
    buffer->capacity = 0;
    buffer->begin = buffer->end = 0;
}
