/* SPDX-License-Identifier: MIT */
/* Unmapping slabs of stacks. */
#include "fiber/stack_slab.h"

#include "base/san.h"
#include "os/os_memory.h"

void tni_stack_slab_unmap(tni_stack_slab *slab)
{
    char *base = slab->base;
    size_t size = slab->size;
    int rc;

    tni_san_unmap(base, size);
    rc = tni_os_unmap(base, size);
    tni_assert(rc == 0, "a slab of stacks could not be unmapped");
}
