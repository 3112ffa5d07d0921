/* SPDX-License-Identifier: MIT */
/* The part of virtual time that has no C calling convention: the clock advances by a step where a run of a task begins. That is a
 * switch to a fiber that was suspended, the first switch to one, or the poll of a stackless task. The switches are entered by a
 * jump, with their arguments in registers of their own choice, so nothing here may change a register. */

#if defined(__x86_64__)

.macro advance_before name
    .p2align 4
    .globl __wrap_\name
    .type __wrap_\name, @function
__wrap_\name:
    .cfi_startproc
    endbr64
    addq $VIRTUAL_RUN_NS, virtual_now_ns(%rip)
    jmp __real_\name
    .cfi_endproc
    .size __wrap_\name, . - __wrap_\name
.endm

    .text
    advance_before tni_fiber_enter_from_home
    advance_before tni_fiber_begin
    advance_before tni_run_future

#endif

    .section .note.GNU-stack, "", @progbits
