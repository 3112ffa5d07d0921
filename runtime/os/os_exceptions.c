/* SPDX-License-Identifier: MIT */
/* Finding the C++ runtime. */
#include "os/os_exceptions.h"

#include <dlfcn.h>

#include "os/os_symbol.h"

/* Weak: NULL in a program that is not linked with a C++ runtime. */
__attribute__((weak)) tni_os_exceptions *__cxa_get_globals(void);

/* The runtimes of GCC and LLVM. A plug-in loads them into its own scope, in which only their names find them. */
static const char *const runtimes[] = {"libstdc++.so.6", "libc++abi.so.1"};

tni_os_exceptions_fn tni_os_exceptions_find(void)
{
    tni_os_exceptions_fn found = __cxa_get_globals;

    if (found == NULL && tni_os_symbol_is_defined("__cxa_get_globals") == TNI_SYMBOL_NONE)
        return NULL;
    if (found == NULL)
        *(void **)&found = dlsym(RTLD_DEFAULT, "__cxa_get_globals");
    for (size_t i = 0; found == NULL && i < sizeof runtimes / sizeof *runtimes; i++) {
        /* NOLOAD: only if it is loaded already. NODELETE: the function is used from now on. */
        void *handle = dlopen(runtimes[i], RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
        if (handle != NULL)
            *(void **)&found = dlsym(handle, "__cxa_get_globals");
    }
    return found;
}
