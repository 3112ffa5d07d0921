/* SPDX-License-Identifier: MIT */
/* The library's only thread-local variable. */
#include "base/tls.h"

static _Thread_local tni_tls local;

__attribute__((noinline)) tni_tls *tni_tls_get(void)
{
    tni_tls *address = &local;
    __asm__ volatile("" : "+r"(address)); /* the compiler must not know that two calls return the same */
    return address;
}
