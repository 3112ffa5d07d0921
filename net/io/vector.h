/* SPDX-License-Identifier: MIT */
/* Arrays of buffers (struct iovec). */
#ifndef TNI_VECTOR_H
#define TNI_VECTOR_H

#include <sys/uio.h>

/* Removes the first `n` bytes from the buffers, which have so many. */
static inline void tni_vector_advance(struct iovec *iov, size_t n)
{
    for (; n > 0; iov++) {
        size_t part = n < iov->iov_len ? n : iov->iov_len; /* NOLINT(clang-analyzer-core.*): they have so many bytes */
        iov->iov_base = (char *)iov->iov_base + part;
        iov->iov_len -= part;
        n -= part;
    }
}

#endif
