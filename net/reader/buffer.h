/* SPDX-License-Identifier: MIT */
/* The buffer of a reader or writer: memory that exists only while there are bytes in it. */
#ifndef TNI_BUFFER_H
#define TNI_BUFFER_H

#include <tn/buffer.h>

#include "base/defs.h"

/* The allocator of the calling task's runtime; on another thread that of the C library. */
const tn_allocator *tni_buffer_allocator_here(void);

/* Prepares an empty buffer. Returns 0, or TN_EINVAL after a line in the log that names `call`. */
int tni_buffer_init(tn_buffer *buffer, const tn_buffer_options *given, const char *call);

/* Makes space for at least one more byte at the end. It grows up to `most` bytes, which is more than it has; also to the usual
 * capacity. Moves the bytes. Returns 0 or TN_ENOMEM. */
int tni_buffer_make_space(tn_buffer *buffer, size_t most);

/* Makes space for `size` more bytes at the end. Moves the bytes. Returns 0 or TN_ENOMEM. */
int tni_buffer_reserve(tn_buffer *buffer, size_t size);

/* Frees the memory, with what is in it. */
void tni_buffer_free(tn_buffer *buffer);

static inline size_t tni_buffer_used(const tn_buffer *buffer)
{
    return buffer->end - buffer->begin;
}

static inline size_t tni_buffer_space(const tn_buffer *buffer)
{
    return buffer->capacity - buffer->end;
}

/* Which byte of a length of `size` bytes has the value's bits from 8 * `i` on. */
static inline size_t tni_buffer_length_byte(tn_frame_length length, size_t size, size_t i)
{
    return (size_t)length > 16 ? i : size - 1 - i;
}

#endif
