/* SPDX-License-Identifier: MIT */
/* Calls the context switch without disturbing the processor's return prediction.
 *
 * A processor predicts each `ret` from a stack of earlier `call`s. The switch is left by a jump. A `call` of it would leave an
 * entry that no `ret` pops, and each return of the resumed fiber would be predicted one frame off: one to three mispredictions
 * per resume. Therefore the return address is pushed by hand, and the switch is entered by a jump. The predictions that remain
 * are of the fibers' own calls, and they are right for tasks that run the same code. (bench/README.md has the figures.)
 *
 * For the switch this is the same as a call. The asm statement lists all that a call may change, so the compiler treats it as a
 * call that may return on another thread. Unwinding uses the frame pointer, which each function that inlines this keeps.
 */
#ifndef TNI_FIBER_ENTER_H
#define TNI_FIBER_ENTER_H

#include "base/defs.h"

#if !defined(__x86_64__) && !defined(__aarch64__)
#error "there is no context switch for this processor: runtime/fiber has fiber_x86_64.S and fiber_aarch64.S"
#endif

/* In fiber_<machine>.S. Saves the callee-saved registers and the floating-point control words on the current stack, stores the
 * stack pointer to *save_sp, resumes the context at to_sp and returns `message` there. */
__attribute__((visibility("hidden"))) void *tni_fiber_switch(void **save_sp, void *to_sp, void *message);

/* The functions that are called to enter a context: those below, or one that announces the switch to a tool (announce.c). Written
 * before there are fibers. The indirect jump is one instruction, as a direct one is. */
typedef void *tni_fiber_switch_fn(void **save_sp, void *to_sp, void *message);
typedef struct {
    tni_fiber_switch_fn *suspend; /* any context to any other */
    tni_fiber_switch_fn *resume;  /* from the home stack of a thread (tni_context_home) */
    tni_fiber_switch_fn *leave;   /* from a context that is never resumed */
} tni_fiber_switches;
__attribute__((visibility("hidden"))) extern tni_fiber_switches tni_fiber_used;

/* Offsets of the frame pointer and the resume address from a suspended context's `sp`; fiber_<machine>.S has the rest. */
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

/* In fiber_x86_64.S: the same with less to save. enter_from_home: the control words are constant, and stored before *save_sp.
 * exit: nothing is saved. control: stores the control words, for tni_context_home. */
__attribute__((visibility("hidden"))) void *tni_fiber_enter_from_home(void **save_sp, void *to_sp, void *message);
__attribute__((visibility("hidden"))) void *tni_fiber_exit(void **save_sp, void *to_sp, void *message);
__attribute__((visibility("hidden"))) void tni_fiber_control(uint64_t *control);

#ifdef __AVX512F__
#define TNI_FIBER_WIDE_REGISTERS \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", \
        "xmm29", "xmm30", "xmm31", "k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define TNI_FIBER_WIDE_REGISTERS
#endif

__attribute__((always_inline)) static inline void *tni_fiber_enter(tni_fiber_switch_fn **used, void **save_sp, void *to_sp,
                                                                   void *message)
{
    void *result;

    /* Skips the red zone of 128 bytes: the compiler sees no call here, so it may use memory below the stack pointer. */
    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\t"
                     "leaq 1f(%%rip), %%rcx\n\t"
                     "pushq %%rcx\n\t"
                     "jmp *%[used]\n"
                     "1:\n\t"
                     "leaq 128(%%rsp), %%rsp"
                     : "=a"(result), "+D"(save_sp), "+S"(to_sp), "+d"(message)
                     : [used] "m"(*used)
                     : "rcx", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
                       "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15" TNI_FIBER_WIDE_REGISTERS);
    return result;
}

/* Makes a context on the new stack whose upper end is `top`, and enters it from the home stack of a thread: entry(arg) is called
 * there. As tni_fiber_enter otherwise. */
#define TNI_FIBER_STARTS true

__attribute__((always_inline)) static inline void tni_fiber_start(void **save_sp, void *top, void (*entry)(void *), void *arg)
{
    void *result;

    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "jmp tni_fiber_begin\n"
                     "1:\n\t"
                     "leaq 128(%%rsp), %%rsp"
                     : "=a"(result), "+D"(save_sp), "+S"(top), "+d"(entry), "+c"(arg)
                     :
                     : "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                       "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15" TNI_FIBER_WIDE_REGISTERS);
    (void)result;
}

#else

/* Only x86-64 has a start without a frame. */
#define TNI_FIBER_STARTS false

static inline void tni_fiber_start(void **save_sp, void *top, void (*entry)(void *), void *arg)
{
    (void)save_sp, (void)top, (void)entry, (void)arg;
}

/* The control word is one instruction to read, so there is nothing to save. */
#define tni_fiber_enter_from_home tni_fiber_switch
#define tni_fiber_exit tni_fiber_switch

static inline void tni_fiber_control(uint64_t *control)
{
    *control = 0;
}

static inline void *tni_fiber_enter(tni_fiber_switch_fn **used, void **save_sp, void *to_sp, void *message)
{
    return (*used)(save_sp, to_sp, message);
}

#endif

#endif
