/* SPDX-License-Identifier: MIT */
/* The OS layer for valgrind: its client requests. The instruction sequences and the numbers are those of valgrind.h, which
 * valgrind keeps stable. On a real processor the sequence does nothing, and the result is 0. */
#ifndef TNI_OS_VALGRIND_H
#define TNI_OS_VALGRIND_H

#include "base/defs.h"

/* The last one is memcheck's; other tools ignore it. */
enum {
    TNI_VALGRIND_STACK_REGISTER = 0x1501,
    TNI_VALGRIND_STACK_DEREGISTER = 0x1502,
    TNI_VALGRIND_MAKE_DEFINED = 'M' << 24 | 'C' << 16 | 2,
};

/* `words`: six of them, the request and its arguments. */
#if defined(__x86_64__)
static inline uint64_t tni_os_valgrind_trap(volatile uint64_t *words)
{
    uint64_t result = 0;

    __asm__ volatile("rolq $3, %%rdi\n\trolq $13, %%rdi\n\trolq $61, %%rdi\n\trolq $51, %%rdi\n\txchgq %%rbx, %%rbx"
                     : "+d"(result)
                     : "a"(words)
                     : "cc", "memory");
    return result;
}
#elif defined(__aarch64__)
static inline uint64_t tni_os_valgrind_trap(volatile uint64_t *words)
{
    uint64_t result;

    __asm__ volatile("mov x3, xzr\n\tmov x4, %1\n\t"
                     "ror x12, x12, #3\n\tror x12, x12, #13\n\tror x12, x12, #51\n\tror x12, x12, #61\n\torr x10, x10, x10\n\t"
                     "mov %0, x3"
                     : "=r"(result)
                     : "r"(words)
                     : "cc", "memory", "x3", "x4");
    return result;
}
#endif

static inline uint64_t tni_os_valgrind_request(uint64_t request, uint64_t a, uint64_t b)
{
    volatile uint64_t words[6] = {request, a, b, 0, 0, 0};

    return tni_os_valgrind_trap(words);
}

/* Whether the program runs under memcheck. Under valgrind's other tools fibers need not be announced, and callgrind counts what a
 * program does without that. */
static inline bool tni_os_memcheck_is_running(void)
{
    uint64_t own = 0;

    return tni_os_valgrind_request(TNI_VALGRIND_MAKE_DEFINED, (uintptr_t)&own, sizeof own) != 0;
}

#endif
