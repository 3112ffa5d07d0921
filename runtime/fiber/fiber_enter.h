/* SPDX-License-Identifier: MIT */
/* Entering the switch so that returns stay predicted.
 *
 * A processor predicts each `ret` by the `call` that came last. The switch is left by a jump, so a `call` of it would leave an
 * entry that no `ret` takes away, and every return of the fiber that is gone to would be predicted one frame off: one to three
 * mispredictions a resume, 5 ns each (yield 42 -> 28 ns). So the return address is pushed by hand, and the switch entered by a
 * jump: what remains of predictions are the fibers' own calls, and tasks that run the same code have them right.
 *
 * For the switch nothing is different from a call. For the compiler it is one: all that a call may change is named, and a fiber
 * goes on behind it, maybe on another thread. Unwinding goes by the frame pointer, which stands in each function that gets this
 * inlined.
 */
#ifndef TNI_FIBER_ENTER_H
#define TNI_FIBER_ENTER_H

#include "base/defs.h"

/* In fiber_<machine>.S. Saves the callee's registers and the floating-point control words on the stack it runs on, stores the
 * stack pointer to *save_sp, goes on at to_sp and answers `message` there. */
__attribute__((visibility("hidden"))) void *tni_fiber_switch(void **save_sp, void *to_sp, void *message);

/* Where a suspended context's `sp` has the frame pointer and the address it goes on at; fiber_<machine>.S has the rest. */
#if defined(__x86_64__)
#define TNI_FIBER_SAVED_FRAME 48
#define TNI_FIBER_SAVED_PC 56
#define TNI_FIBER_SAVED_SIZE 64
#else
#define TNI_FIBER_SAVED_FRAME 0
#define TNI_FIBER_SAVED_PC 8
#define TNI_FIBER_SAVED_SIZE 176
#endif

#if defined(__x86_64__)

#ifdef __AVX512F__
#define TNI_FIBER_WIDE_REGISTERS \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", \
        "xmm29", "xmm30", "xmm31", "k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define TNI_FIBER_WIDE_REGISTERS
#endif

__attribute__((always_inline)) static inline void *tni_fiber_enter(void **save_sp, void *to_sp, void *message)
{
    void *answer;

    /* 128 bytes are left out: the compiler sees no call, so it may keep something below the stack pointer. */
    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\t"
                     "leaq 1f(%%rip), %%rcx\n\t"
                     "pushq %%rcx\n\t"
                     "jmp tni_fiber_switch\n"
                     "1:\n\t"
                     "leaq 128(%%rsp), %%rsp"
                     : "=a"(answer), "+D"(save_sp), "+S"(to_sp), "+d"(message)
                     :
                     : "rcx", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
                       "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15" TNI_FIBER_WIDE_REGISTERS);
    return answer;
}

#else

static inline void *tni_fiber_enter(void **save_sp, void *to_sp, void *message)
{
    return tni_fiber_switch(save_sp, to_sp, message);
}

#endif

#endif
