/* SPDX-License-Identifier: MIT */
/* The switch between two stacks, and the first frame of a new one, for x86-64 and its System V ABI.
 *
 * A separate assembler file, so that link-time optimization cannot inline it: the compiler must see a call that may return on
 * another thread. */

#if defined(__x86_64__)

/* The frame at a suspended context's `sp`, lowest address first. Debugger scripts may rely on this layout. */
#define FRAME_MXCSR 0
#define FRAME_X87_CW 4
#define FRAME_R15 8
#define FRAME_R14 16
#define FRAME_R13 24
#define FRAME_R12 32
#define FRAME_RBX 40
#define FRAME_RBP 48
#define FRAME_RIP 56
#define FRAME_SIZE 64

/* The ABI's control words at process start: a task must not inherit the settings of the thread that spawned it. */
#define MXCSR_AT_START 0x1f80
#define X87_CW_AT_START 0x037f

/* Offset of tni_context_home.control from tni_context_home.context.sp. */
#define HOME_CONTROL -8

/* Saves the callee-saved registers, in the order of the frame. */
.macro save_registers
    .irp register, rbp, rbx, r12, r13, r14, r15
    pushq %\register
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %\register, 0
    .endr
.endm

/* Resumes the frame at %rsp, of which the control words are loaded already, and returns %rdx there. A macro: a jump to common
 * code would be one instruction more for each switch. */
.macro resume_saved
    movq %rdx, %rax
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    .irp register, r15, r14, r13, r12, rbx, rbp
    popq %\register
    .cfi_adjust_cfa_offset -8
    .cfi_restore %\register
    .endr
    popq %rcx
    .cfi_adjust_cfa_offset -8
    .cfi_register %rip, %rcx
    notrack jmp *%rcx
.endm

    .text

/* void *tni_fiber_switch(void **save_sp, void *to_sp, void *message)
 *
 * By the ABI the status halves of the two floating-point words are caller-saved, and the control halves are callee-saved. MXCSR
 * is loaded without a comparison: a comparison would wait for the store (bench/README.md has the figures). The x87 word is
 * compared: it rarely differs, and older processors load it slowly. The exit is a jump: `ret` would be predicted to return to
 * the caller of this function, which is never the target. */
    .p2align 6
    .globl tni_fiber_switch
    .hidden tni_fiber_switch
    .type tni_fiber_switch, @function
tni_fiber_switch:
    .cfi_startproc
    endbr64
    save_registers
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    stmxcsr FRAME_MXCSR(%rsp)
    fnstcw FRAME_X87_CW(%rsp)
    movzwl FRAME_X87_CW(%rsp), %ecx
    movq %rsp, (%rdi)

    /* The frame of `to` has the same layout: the unwind information above holds on its stack too. */
    movq %rsi, %rsp
    ldmxcsr FRAME_MXCSR(%rsp)
    cmpw FRAME_X87_CW(%rsp), %cx
    jne .Lload_x87_cw
.Lx87_cw_is_right:
    .cfi_remember_state
    resume_saved

    .cfi_restore_state
.Lload_x87_cw:
    fldcw FRAME_X87_CW(%rsp)
    jmp .Lx87_cw_is_right
    .cfi_endproc
    .size tni_fiber_switch, . - tni_fiber_switch

/* void *tni_fiber_enter_from_home(void **save_sp, void *to_sp, void *message)
 *
 * As tni_fiber_switch, for a caller on the home stack of a thread, which gets back the same control words each time: those in
 * the eight bytes before *save_sp (tni_context_home). Storing MXCSR is slow (bench/README.md has the figures). The x87 word is
 * loaded without a comparison: what has run on the home stack may have changed it, so a comparison would have to store it. */
    .p2align 6
    .globl tni_fiber_enter_from_home
    .hidden tni_fiber_enter_from_home
    .type tni_fiber_enter_from_home, @function
tni_fiber_enter_from_home:
    .cfi_startproc
    endbr64
    save_registers
    pushq HOME_CONTROL(%rdi)
    .cfi_adjust_cfa_offset 8
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    ldmxcsr FRAME_MXCSR(%rsp)
    fldcw FRAME_X87_CW(%rsp)
    resume_saved
    .cfi_endproc
    .size tni_fiber_enter_from_home, . - tni_fiber_enter_from_home

/* tni_fiber_begin, entered by tni_fiber_start alone: saves the caller as tni_fiber_enter_from_home does, and calls the function
 * in %rdx with the argument in %rcx on the new stack that ends at %rsi. It does what tni_fiber_frame, the second half of
 * tni_fiber_switch, and tni_fiber_root do together. */
    .p2align 6
    .globl tni_fiber_begin
    .hidden tni_fiber_begin
    .type tni_fiber_begin, @function
tni_fiber_begin:
    .cfi_startproc
    endbr64
    save_registers
    pushq HOME_CONTROL(%rdi)
    .cfi_adjust_cfa_offset 8
    movq %rsp, (%rdi)
    xorl %ebp, %ebp
    movq %rsi, %rsp
    /* From here on this is a root frame. */
    .cfi_undefined %rip
    ldmxcsr .Lcontrol_at_start + FRAME_MXCSR(%rip)
    fldcw .Lcontrol_at_start + FRAME_X87_CW(%rip)
    movq %rcx, %rdi
    leaq tni_fiber_root_end(%rip), %rcx
    pushq %rcx
    jmp *%rdx
    .cfi_endproc
    .size tni_fiber_begin, . - tni_fiber_begin

    .section .rodata
    .p2align 3
.Lcontrol_at_start:
    .long MXCSR_AT_START
    .long X87_CW_AT_START
    .text

/* void *tni_fiber_exit(void **save_sp, void *to_sp, void *message): resumes `to`, and saves nothing, because the caller is never
 * resumed. It does not know the x87 word that the caller leaves, so it loads the other one without a comparison. */
    .p2align 4
    .globl tni_fiber_exit
    .hidden tni_fiber_exit
    .type tni_fiber_exit, @function
tni_fiber_exit:
    .cfi_startproc
    endbr64
    movq %rsi, %rsp
    .cfi_def_cfa_offset FRAME_SIZE
    .cfi_rel_offset %rbp, FRAME_RBP
    .cfi_rel_offset %rbx, FRAME_RBX
    .cfi_rel_offset %r12, FRAME_R12
    .cfi_rel_offset %r13, FRAME_R13
    .cfi_rel_offset %r14, FRAME_R14
    .cfi_rel_offset %r15, FRAME_R15
    ldmxcsr FRAME_MXCSR(%rsp)
    fldcw FRAME_X87_CW(%rsp)
    resume_saved
    .cfi_endproc
    .size tni_fiber_exit, . - tni_fiber_exit

/* void tni_fiber_control(uint64_t *control): stores the control words as they are in a frame. */
    .p2align 4
    .globl tni_fiber_control
    .hidden tni_fiber_control
    .type tni_fiber_control, @function
tni_fiber_control:
    .cfi_startproc
    endbr64
    movq $0, (%rdi)
    stmxcsr FRAME_MXCSR(%rdi)
    fnstcw FRAME_X87_CW(%rdi)
    retq
    .cfi_endproc
    .size tni_fiber_control, . - tni_fiber_control

/* The root frame of every fiber. It has no return address and a zero frame pointer, so unwinders of either kind stop here. The
 * `nop` is part of it because unwinders use the byte before a return address, and that of an unstarted fiber is
 * .Lroot_start. */
    .p2align 4
    .type tni_fiber_root, @function
tni_fiber_root:
    .cfi_startproc
    .cfi_undefined %rip
    nop
.Lroot_start:
    endbr64
    movq %r12, %rdi
    movq %rax, %rsi
    /* As in fiber_enter.h: no return prediction for a call that never returns. */
    leaq tni_fiber_root_end(%rip), %rcx
    pushq %rcx
    jmp *%rbx
    .globl tni_fiber_root_end
    .hidden tni_fiber_root_end
tni_fiber_root_end:
    ud2
    .cfi_endproc
    .size tni_fiber_root, . - tni_fiber_root

/* void *tni_fiber_frame(void *top, void (*entry)(void *), void *arg) */
    .p2align 4
    .globl tni_fiber_frame
    .hidden tni_fiber_frame
    .type tni_fiber_frame, @function
tni_fiber_frame:
    .cfi_startproc
    endbr64
    leaq .Lroot_start(%rip), %rcx
    leaq -FRAME_SIZE(%rdi), %rax
    movl $MXCSR_AT_START, FRAME_MXCSR(%rax)
    movl $X87_CW_AT_START, FRAME_X87_CW(%rax)
    movq $0, FRAME_R15(%rax)
    movq $0, FRAME_R14(%rax)
    movq $0, FRAME_R13(%rax)
    movq %rdx, FRAME_R12(%rax)
    movq %rsi, FRAME_RBX(%rax)
    movq $0, FRAME_RBP(%rax)
    movq %rcx, FRAME_RIP(%rax)
    retq
    .cfi_endproc
    .size tni_fiber_frame, . - tni_fiber_frame

/* Compatible with indirect branch tracking, but not with shadow stacks: the switch would have to switch those too. Without this
 * note the linker would drop the first property for the whole library. With the second, a process would die at the first
 * switch. */
    .section .note.gnu.property, "a", @note
    .p2align 3
    .long 4                     /* length of the name */
    .long 16                    /* length of the properties */
    .long 5                     /* NT_GNU_PROPERTY_TYPE_0 */
    .asciz "GNU"
    .long 0xc0000002            /* GNU_PROPERTY_X86_FEATURE_1_AND */
    .long 4
    .long 1                     /* GNU_PROPERTY_X86_FEATURE_1_IBT */
    .long 0                     /* padding to 8 */

#endif

    .section .note.GNU-stack, "", @progbits
