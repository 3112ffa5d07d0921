/* SPDX-License-Identifier: MIT */
/* The model's twin of runtime/os/os_symbol.h: no names; a dump in a model shows addresses. */
#include "os/os_symbol.h"

#include <stdio.h>

void tni_os_symbol(const void *pc, char *out, size_t size)
{
    (void)snprintf(out, size, "%p", pc);
}

bool tni_os_symbol_same_object(const void *a, const void *b)
{
    (void)a;
    (void)b;
    return false;
}

tni_symbol_found tni_os_symbol_is_defined(const char *name)
{
    (void)name;
    return TNI_SYMBOL_NONE;
}

unsigned tni_os_return_addresses(const void *const *words, unsigned count, const void **out, unsigned max)
{
    (void)words;
    (void)count;
    (void)out;
    (void)max;
    return 0;
}
