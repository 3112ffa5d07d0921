/* SPDX-License-Identifier: MIT */
/* Memory allocation: every allocation of the library goes through the allocator of its runtime. */
#ifndef TNI_ALLOC_H
#define TNI_ALLOC_H

#include <tn/runtime.h>

#include "base/defs.h"

/* The allocator of the C library, for callers that pass none. */
extern const tn_allocator tni_alloc_default;

/* Returns zeroed memory, or NULL. `align_bytes`: a power of two, at least sizeof(void *). */
void *tni_alloc(const tn_allocator *allocator, size_t size_bytes, size_t align_bytes);
/* The same, but the content is undefined. */
void *tni_alloc_uninitialized(const tn_allocator *allocator, size_t size_bytes, size_t align_bytes);
/* NULL is allowed. */
void tni_free(const tn_allocator *allocator, void *ptr, size_t size_bytes);

#endif
