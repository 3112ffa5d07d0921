#include "local.h"

static _Thread_local tni_local local;

__attribute__((noinline)) tni_local *tni_local_get(void)
{
    tni_local *address = &local;
    __asm__ volatile("" : "+r"(address)); /* the compiler must not know that two calls answer the same */
    return address;
}
