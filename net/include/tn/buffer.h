/* SPDX-License-Identifier: MIT */
/* tournant: what readers and writers of byte streams share: their buffer, and the length in front of a frame. */
#ifndef TN_BUFFER_H
#define TN_BUFFER_H

#include <tn/io.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes in another object's memory. */
typedef struct tn_bytes {
    const char *data; /* not terminated */
    size_t size;      /* bytes */
} tn_bytes;

/* The length in front of a frame: an unsigned number of 1, 2, 4 or 8 bytes, the most significant byte first (BE) or last (LE).
 * It counts the bytes of the frame that follow it. */
typedef enum tn_frame_length {
    TN_FRAME_8 = 1,
    TN_FRAME_16_BE = 2,
    TN_FRAME_32_BE = 4,
    TN_FRAME_64_BE = 8,
    TN_FRAME_16_LE = 16 + 2,
    TN_FRAME_32_LE = 16 + 4,
    TN_FRAME_64_LE = 16 + 8,
} tn_frame_length;

/* Options of a reader or writer; begin with tn_buffer_options_default(). */
typedef struct tn_buffer_options {
    size_t size;                   /* of this struct, in bytes; set by tn_buffer_options_default() */
    size_t buffer_size;            /* bytes of the buffer while there is one; 0: 16384, which cores keep; at least 64 */
    const tn_allocator *allocator; /* copied; NULL: that of the calling task's runtime, or the C library's */
} tn_buffer_options;

/* Returns the default options.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the result is a value.
 * Errors: none.
 * Cancellation: no. */
static inline tn_buffer_options tn_buffer_options_default(void)
{
    tn_buffer_options options = {sizeof(tn_buffer_options), 0, NULL};
    return options;
}

/* The buffer of a reader or writer. All members are private. */
typedef struct tn_buffer {
    tn_allocator allocator;
    char *bytes;     /* NULL: there is none */
    size_t capacity; /* of `bytes` */
    size_t usual;    /* the capacity that it begins with */
    size_t begin;    /* bytes[begin … end) are in it */
    size_t end;
} tn_buffer;

#ifdef __cplusplus
}
#endif

#endif
