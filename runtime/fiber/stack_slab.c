/* SPDX-License-Identifier: MIT */
/* Unmapping slabs of stacks. */
#include "fiber/stack_slab.h"

#include "base/san.h"
#include "os/os_memory.h"

void tni_stack_slab_unmap(tni_stack_slab *slab)
{
    char *base = slab->base;
    size_t size = slab->size;

    tni_san_unmap(base, size);
    if (tni_os_unmap(base, size) != 0)
        (void)tni_os_advise(base, size, TNI_ADVICE_DISCARD); /* an error leaves the memory with the slab: it costs as before */
}
