/* SPDX-License-Identifier: MIT */
/* Arrays of buffers (struct iovec). */
#ifndef TNI_VECTOR_H
#define TNI_VECTOR_H

#include <stdint.h>
#include <sys/uio.h>

#include <tn/base.h>

/* More buffers are refused by the kernel too. */
#define TNI_VECTOR_MAX 1024

/* The bytes of the buffers. TN_EINVAL: `count` is negative or above TNI_VECTOR_MAX, or there are more than SSIZE_MAX. */
static inline ssize_t tni_vector_total(const struct iovec *iov, int count)
{
    size_t total = 0;

    if (count < 0 || count > TNI_VECTOR_MAX)
        return TN_EINVAL;
    for (int i = 0; i < count; i++) {
        if (iov[i].iov_len > (size_t)SSIZE_MAX - total)
            return TN_EINVAL;
        total += iov[i].iov_len;
    }
    return (ssize_t)total;
}

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
