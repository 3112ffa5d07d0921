/* SPDX-License-Identifier: MIT */
/* tournant: what readers and writers of byte streams share: their buffer, and the length in front of a frame. */
#ifndef TN_BUFFER_H
#define TN_BUFFER_H

#include <string.h>

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

/* Private: the number of bytes of such a length; 0: it is none. */
static inline size_t tn_frame_prefix_(tn_frame_length length)
{
    switch (length) {
    case TN_FRAME_8:
    case TN_FRAME_16_BE:
    case TN_FRAME_32_BE:
    case TN_FRAME_64_BE:
        return (size_t)length;
    case TN_FRAME_16_LE:
    case TN_FRAME_32_LE:
    case TN_FRAME_64_LE:
        return (size_t)length - 16;
    default:
        return 0;
    }
}

/* Private: the value of such a length, at `bytes`. */
static inline uint64_t tn_frame_value_(tn_frame_length length, const char *bytes)
{
    bool swapped = ((size_t)length > 16) != (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
    uint16_t of_16;
    uint32_t of_32;
    uint64_t of_64;

    switch (tn_frame_prefix_(length)) {
    case 2:
        memcpy(&of_16, bytes, sizeof of_16);
        return swapped ? __builtin_bswap16(of_16) : of_16;
    case 4:
        memcpy(&of_32, bytes, sizeof of_32);
        return swapped ? __builtin_bswap32(of_32) : of_32;
    case 8:
        memcpy(&of_64, bytes, sizeof of_64);
        return swapped ? __builtin_bswap64(of_64) : of_64;
    default:
        return (unsigned char)*bytes;
    }
}

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
