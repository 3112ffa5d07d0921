/* SPDX-License-Identifier: MIT */
/* Structs that a call fills. The caller has set their first member, `size`, and may have been built with other headers: its
 * struct may be shorter or longer than the library's. */
#ifndef TNI_RESULT_H
#define TNI_RESULT_H

#include <string.h>

#include "base/defs.h"

/* No caller means a larger one: then it has not set the size. */
#define TNI_RESULT_MAX_BYTES ((size_t)1 << 20)

static inline bool tni_result_has_size(size_t size)
{
    return size >= sizeof(size_t) && size <= TNI_RESULT_MAX_BYTES;
}

/* Fills the caller's `size` bytes: with what it has space for of `known`, and 0 for members that only it knows. */
static inline void tni_result_copy(void *out, size_t size, const void *known, size_t known_bytes)
{
    memset(out, 0, size);
    memcpy(out, known, size < known_bytes ? size : known_bytes);
    *(size_t *)out = size;
}

#endif
