/* SPDX-License-Identifier: MIT */
/* The switch between two stacks, and the first frame of a new one, for the procedure call standard of AArch64.
 *
 * A separate assembler file, so that link-time optimization cannot inline it: the compiler must see a call that may return on
 * another thread. */

#if defined(__aarch64__)

/* The frame at a suspended context's `sp`, lowest address first: x29 and x30 as a frame record, then the other callee-saved
 * registers. Debugger scripts may rely on this layout. */
#define FRAME_X29 0
#define FRAME_X30 8
#define FRAME_X19 16
#define FRAME_X20 24
#define FRAME_X21 32
#define FRAME_X23 48
#define FRAME_X25 64
#define FRAME_X27 80
#define FRAME_D8 96
#define FRAME_D10 112
#define FRAME_D12 128
#define FRAME_D14 144
#define FRAME_FPCR 160
#define FRAME_SIZE 176

/* DWARF numbers of d8 to d15: the assembler's directives do not know the names. */
#define DW_D8 72

/* Written as hints: they assemble for processors without branch target identification, and do nothing there. */
#define BTI_C hint #34
#define BTI_JC hint #38

    .text

/* void *tni_fiber_switch(void **save_sp, void *to_sp, void *message)
 *
 * Writing FPCR stalls, and its value rarely differs, hence the comparison. The exit is `ret`: a plain branch would need a
 * landing pad at the return address. x30 is saved without a signature, because it has none on entry. */
    .p2align 6
    .globl tni_fiber_switch
    .hidden tni_fiber_switch
    .type tni_fiber_switch, %function
tni_fiber_switch:
    .cfi_startproc
    BTI_C
    sub sp, sp, #FRAME_SIZE
    .cfi_adjust_cfa_offset FRAME_SIZE
    stp x29, x30, [sp, #FRAME_X29]
    .cfi_rel_offset x29, FRAME_X29
    .cfi_rel_offset x30, FRAME_X30
    stp x19, x20, [sp, #FRAME_X19]
    .cfi_rel_offset x19, FRAME_X19
    .cfi_rel_offset x20, FRAME_X19 + 8
    stp x21, x22, [sp, #FRAME_X21]
    .cfi_rel_offset x21, FRAME_X21
    .cfi_rel_offset x22, FRAME_X21 + 8
    stp x23, x24, [sp, #FRAME_X23]
    .cfi_rel_offset x23, FRAME_X23
    .cfi_rel_offset x24, FRAME_X23 + 8
    stp x25, x26, [sp, #FRAME_X25]
    .cfi_rel_offset x25, FRAME_X25
    .cfi_rel_offset x26, FRAME_X25 + 8
    stp x27, x28, [sp, #FRAME_X27]
    .cfi_rel_offset x27, FRAME_X27
    .cfi_rel_offset x28, FRAME_X27 + 8
    stp d8, d9, [sp, #FRAME_D8]
    .cfi_rel_offset DW_D8, FRAME_D8
    .cfi_rel_offset DW_D8 + 1, FRAME_D8 + 8
    stp d10, d11, [sp, #FRAME_D10]
    .cfi_rel_offset DW_D8 + 2, FRAME_D10
    .cfi_rel_offset DW_D8 + 3, FRAME_D10 + 8
    stp d12, d13, [sp, #FRAME_D12]
    .cfi_rel_offset DW_D8 + 4, FRAME_D12
    .cfi_rel_offset DW_D8 + 5, FRAME_D12 + 8
    stp d14, d15, [sp, #FRAME_D14]
    .cfi_rel_offset DW_D8 + 6, FRAME_D14
    .cfi_rel_offset DW_D8 + 7, FRAME_D14 + 8
    mrs x9, fpcr
    str x9, [sp, #FRAME_FPCR]
    mov x10, sp
    str x10, [x0]

    /* The frame of `to` has the same layout: the unwind information above holds on its stack too. */
    mov sp, x1
    mov x0, x2
    ldr x11, [sp, #FRAME_FPCR]
    cmp x9, x11
    b.ne .Lload_fpcr
.Lfpcr_is_right:
    .cfi_remember_state
    ldp d14, d15, [sp, #FRAME_D14]
    .cfi_restore DW_D8 + 6
    .cfi_restore DW_D8 + 7
    ldp d12, d13, [sp, #FRAME_D12]
    .cfi_restore DW_D8 + 4
    .cfi_restore DW_D8 + 5
    ldp d10, d11, [sp, #FRAME_D10]
    .cfi_restore DW_D8 + 2
    .cfi_restore DW_D8 + 3
    ldp d8, d9, [sp, #FRAME_D8]
    .cfi_restore DW_D8
    .cfi_restore DW_D8 + 1
    ldp x27, x28, [sp, #FRAME_X27]
    .cfi_restore x27
    .cfi_restore x28
    ldp x25, x26, [sp, #FRAME_X25]
    .cfi_restore x25
    .cfi_restore x26
    ldp x23, x24, [sp, #FRAME_X23]
    .cfi_restore x23
    .cfi_restore x24
    ldp x21, x22, [sp, #FRAME_X21]
    .cfi_restore x21
    .cfi_restore x22
    ldp x19, x20, [sp, #FRAME_X19]
    .cfi_restore x19
    .cfi_restore x20
    ldp x29, x30, [sp, #FRAME_X29]
    .cfi_restore x29
    .cfi_restore x30
    add sp, sp, #FRAME_SIZE
    .cfi_adjust_cfa_offset -FRAME_SIZE
    ret

    .cfi_restore_state
.Lload_fpcr:
    msr fpcr, x11
    b .Lfpcr_is_right
    .cfi_endproc
    .size tni_fiber_switch, . - tni_fiber_switch

/* The root frame of every fiber. It has no return address and a zero frame pointer, so unwinders of either kind stop here. The
 * `nop` is part of it because unwinders use the instruction before a return address, and that of an unstarted fiber is
 * .Lroot_start. */
    .p2align 4
    .type tni_fiber_root, %function
tni_fiber_root:
    .cfi_startproc
    .cfi_undefined x30
    nop
.Lroot_start:
    BTI_JC
    mov x1, x0
    mov x0, x20
    blr x19
    .globl tni_fiber_root_end
    .hidden tni_fiber_root_end
tni_fiber_root_end:
    brk #1
    .cfi_endproc
    .size tni_fiber_root, . - tni_fiber_root

/* void *tni_fiber_frame(void *top, void (*entry)(void *), void *arg) */
    .p2align 4
    .globl tni_fiber_frame
    .hidden tni_fiber_frame
    .type tni_fiber_frame, %function
tni_fiber_frame:
    .cfi_startproc
    BTI_C
    adr x9, .Lroot_start
    sub x0, x0, #FRAME_SIZE
    stp xzr, x9, [x0, #FRAME_X29]
    stp x1, x2, [x0, #FRAME_X19]
    stp xzr, xzr, [x0, #FRAME_X21]
    stp xzr, xzr, [x0, #FRAME_X23]
    stp xzr, xzr, [x0, #FRAME_X25]
    stp xzr, xzr, [x0, #FRAME_X27]
    stp xzr, xzr, [x0, #FRAME_D8]
    stp xzr, xzr, [x0, #FRAME_D10]
    stp xzr, xzr, [x0, #FRAME_D12]
    stp xzr, xzr, [x0, #FRAME_D14]
    stp xzr, xzr, [x0, #FRAME_FPCR]     /* zero: the ABI's value at process start */
    ret
    .cfi_endproc
    .size tni_fiber_frame, . - tni_fiber_frame

/* Compatible with branch target identification. Without this note the linker would drop the property for the whole library. */
    .section .note.gnu.property, "a", %note
    .p2align 3
    .word 4                     /* length of the name */
    .word 16                    /* length of the properties */
    .word 5                     /* NT_GNU_PROPERTY_TYPE_0 */
    .asciz "GNU"
    .word 0xc0000000            /* GNU_PROPERTY_AARCH64_FEATURE_1_AND */
    .word 4
    .word 1                     /* GNU_PROPERTY_AARCH64_FEATURE_1_BTI */
    .word 0                     /* padding to 8 */

#endif

    .section .note.GNU-stack, "", %progbits
