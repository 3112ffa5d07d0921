/* SPDX-License-Identifier: MIT */
/* tournant: counted bytes that many writers share, so that a message to many connections is not copied for each. */
#ifndef TN_SLICE_H
#define TN_SLICE_H

#include <tn/buffer.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The memory behind slices, with the number of references to it. Opaque. */
typedef struct tn_slice_block tn_slice_block;

/* A view of counted bytes. It is a value; a copy of it stands for the same reference. All holders only read. To share a slice,
 * give each holder a reference of its own:
 *
 *     tn_slice_copy(&message, text, size, NULL);
 *     for (each subscriber)
 *         send(subscriber, tn_slice_retain(message));
 *     tn_slice_release(message); */
typedef struct tn_slice {
    tn_bytes bytes;        /* what it shows */
    tn_slice_block *block; /* NULL: the bytes live for ever, and are not counted; private otherwise */
} tn_slice;

/* Allocates a slice of `size` bytes. The caller writes to `*bytes` before it gives a reference to another task.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: on success the caller owns the only reference. `allocator` is copied; NULL: that of the calling task's runtime, or
 * the C library's. It must work until the last reference is released.
 * Errors: TN_ENOMEM.
 * Cancellation: no. */
TN_API int tn_slice_alloc(tn_slice *out, char **bytes, size_t size, const tn_allocator *allocator);

/* Allocates a slice with a copy of `size` bytes of `data`.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: as that of tn_slice_alloc; `data` is borrowed for the call.
 * Errors: TN_ENOMEM.
 * Cancellation: no. */
TN_API int tn_slice_copy(tn_slice *out, const void *data, size_t size, const tn_allocator *allocator);

/* Makes a slice of the caller's memory. The last release calls drop(arg), on the thread that makes it.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: on success `data` is borrowed until drop(arg). On failure `drop` is not called. `allocator`: as in tn_slice_alloc.
 * Errors: TN_ENOMEM.
 * Cancellation: no. */
TN_API int tn_slice_wrap(tn_slice *out, const void *data, size_t size, void (*drop)(void *arg), void *arg,
                         const tn_allocator *allocator);

/* Returns a slice of bytes that are never freed, such as a string constant.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the result is a value, which needs no release.
 * Errors: none.
 * Cancellation: no. */
static inline tn_slice tn_slice_static(const void *data, size_t size)
{
    tn_slice slice = {{(const char *)data, size}, NULL};
    return slice;
}

/* Adds a reference. Returns `slice`.
 *
 * Suspends: no.
 * Callable from: anywhere; the caller already holds a reference.
 * Ownership: the caller owns one more reference.
 * Errors: none.
 * Cancellation: no. */
TN_API tn_slice tn_slice_retain(tn_slice slice);

/* Returns a slice of `size` bytes of `slice` from `offset` on; they are in it (asserted).
 *
 * Suspends: no.
 * Callable from: anywhere; the caller holds a reference to `slice`.
 * Ownership: the result is a reference of its own; that to `slice` stays.
 * Errors: none.
 * Cancellation: no. */
TN_API tn_slice tn_slice_part(tn_slice slice, size_t offset, size_t size);

/* Gives up a reference. The last one frees the bytes.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: consumes a reference.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_slice_release(tn_slice slice);

#ifdef __cplusplus
}
#endif

#endif
