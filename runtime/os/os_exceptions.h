/* SPDX-License-Identifier: MIT */
/* The OS layer for the C++ runtime's record of exceptions, which each thread has (Itanium C++ ABI, "__cxa_eh_globals"). */
#ifndef TNI_OS_EXCEPTIONS_H
#define TNI_OS_EXCEPTIONS_H

#include "base/defs.h"

/* The beginning of __cxa_eh_globals, which that ABI fixes. */
typedef struct {
    void *caught;          /* exceptions in whose handlers the thread is, the innermost first */
    unsigned int uncaught; /* exceptions that are thrown and not caught yet */
} tni_os_exceptions;

/* Returns the record of the calling thread. */
typedef tni_os_exceptions *(*tni_os_exceptions_fn)(void);

/* Finds the function of the C++ runtime that is linked or loaded by now; NULL: there is none. It takes the dynamic linker's
 * lock only if a C++ runtime is loaded, or is being loaded, in a program that is not linked with one. The caller may lose its
 * core meanwhile. A runtime that is found stays loaded. One that is loaded later has thread-local storage of a later
 * generation. */
tni_os_exceptions_fn tni_os_exceptions_find(void);

/* Returns the generation of the calling thread's vector of thread-local storage (dtv[0] of the ELF specification of TLS). The
 * dynamic linker raises it when the thread first uses a thread-local variable of an object that was loaded since, as the C++
 * runtime's record is. So while it has not grown, this thread has used no record of a C++ runtime that was loaded since. A C
 * library with another layout has the constant 0. The asm statement is volatile because a fiber may continue on another
 * thread. */
#if defined(__GLIBC__) && defined(__x86_64__) && !defined(__ILP32__)
static inline uint64_t tni_os_exceptions_generation(void)
{
    const uint64_t *dtv;

    __asm__ volatile("movq %%fs:8, %0" : "=r"(dtv));
    return dtv[0];
}
#elif defined(__GLIBC__) && defined(__aarch64__) && !defined(__ILP32__)
static inline uint64_t tni_os_exceptions_generation(void)
{
    const uint64_t *const *thread;

    __asm__ volatile("mrs %0, tpidr_el0" : "=r"(thread));
    return thread[0][0];
}
#else
static inline uint64_t tni_os_exceptions_generation(void)
{
    return 0;
}
#endif

#endif
