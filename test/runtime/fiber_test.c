/* SPDX-License-Identifier: MIT */
/* Contexts and the switch. Fibers record what they find, and the test's own stack checks it: a failing assertion leaves the
 * test by a jump, which must not happen on a fiber. */
#include <criterion/criterion.h>

#include <execinfo.h>
#include <fenv.h>
#include <stdio.h>
#include <string.h>

#include "base/thread.h"
#include "fiber/context.h"

#if defined(TNI_SAN_ADDRESS) || defined(TNI_SAN_THREAD)
#define CONTEXTS 1000
#else
#define CONTEXTS 10000
#endif

static tni_stack_pool pool;
static tni_context_home home;

static void set_up(void)
{
    tni_stack_config config = {.unguarded_fallback = true};
    cr_assert_eq(tni_stack_pool_init(&pool, &config), 0);
    tni_context_init_home(&home);
}

static void tear_down(void)
{
    tni_context_fini(&home.context);
    tni_stack_pool_fini(&pool);
}

TestSuite(fiber, .init = set_up, .fini = tear_down);

/* A fiber and its stack. */
typedef struct {
    tni_context ctx;
    tni_stack *stack;
    tni_context *back; /* where to switch when the fiber pauses or ends */
    uint64_t number;   /* passes a number between the test and the fiber */
    bool done;
} fiber;

static void fiber_prepare(fiber *f, uint64_t number)
{
    *f = (fiber){.back = &home.context, .number = number};
    cr_assert_eq(tni_stack_get(&pool, NULL, 0, &f->stack), 0);
}

static void fiber_make(fiber *f, void (*entry)(void *), uint64_t number)
{
    fiber_prepare(f, number);
    tni_context_make(&f->ctx, f->stack, entry, f);
}

static void fiber_drop(fiber *f)
{
    tni_context_fini(&f->ctx);
    tni_stack_put(&pool, NULL, f->stack);
}

static void fiber_pause(fiber *f)
{
    tni_context_switch(&f->ctx, f->back);
}

_Noreturn static void fiber_end(fiber *f)
{
    f->done = true;
    tni_context_exit_to(&f->ctx, f->back);
}

static void fiber_resume(fiber *f)
{
    tni_context_enter(&home, &f->ctx);
}

/* --- Switching there and back -------------------------------------------------------------------------------------------- */

static void count_three(void *arg)
{
    fiber *f = arg;
    for (int i = 0; i < 3; i++) {
        f->number++;
        fiber_pause(f);
    }
    fiber_end(f);
}

Test(fiber, goes_there_and_back)
{
    fiber f;
    fiber_make(&f, count_three, 100);
    cr_assert_eq(f.number, 100, "making a context must not run it");
    for (uint64_t i = 1; i <= 3; i++) {
        fiber_resume(&f);
        cr_assert_eq(f.number, 100 + i);
        cr_assert(!f.done);
    }
    fiber_resume(&f);
    cr_assert(f.done);
    fiber_drop(&f);
}

Test(fiber, a_stack_serves_one_fiber_after_the_other)
{
    for (uint64_t i = 0; i < 100; i++) {
        fiber f;
        fiber_make(&f, count_three, i);
        while (!f.done)
            fiber_resume(&f);
        cr_assert_eq(f.number, i + 3);
        fiber_drop(&f);
    }
}

static void print_a_number(void *arg)
{
    fiber *f = arg;
    char text[64];
    _Alignas(64) volatile char aligned[64] = {0};
    /* The formatting of numbers saves vector registers with aligned stores, so it needs an aligned stack. */
    (void)snprintf(text, sizeof text, "%.3f", (double)f->number / 8);
    f->number = strcmp(text, "1.375") == 0 && (uintptr_t)aligned % 64 == 0;
    fiber_end(f);
}

Test(fiber, the_stack_is_aligned)
{
    fiber f;
    fiber_make(&f, print_a_number, 11);
    fiber_resume(&f);
    cr_assert_eq(f.number, 1);
    fiber_drop(&f);
}

static __attribute__((noinline)) uint64_t sum_deep(uint64_t n)
{
    volatile char frame[1024];
    frame[0] = (char)n;
    return n == 0 ? 0 : (uint64_t)(unsigned char)frame[0] + sum_deep(n - 1);
}

static void use_much_stack(void *arg)
{
    fiber *f = arg;
    f->number = sum_deep(f->number);
    fiber_end(f);
}

Test(fiber, most_of_the_stack_is_usable)
{
    fiber f;
    fiber_make(&f, use_much_stack, 100);
    fiber_resume(&f);
    cr_assert_eq(f.number, 5050);
    fiber_drop(&f);
}

/* --- Many ---------------------------------------------------------------------------------------------------------------- */

Test(fiber, many_contexts_take_turns, .timeout = 60)
{
    fiber *all = calloc(CONTEXTS, sizeof *all);
    for (uint64_t i = 0; i < CONTEXTS; i++)
        fiber_make(&all[i], count_three, i);
    for (int round = 0; round < 4; round++)
        for (int i = 0; i < CONTEXTS; i++)
            fiber_resume(&all[i]);
    for (uint64_t i = 0; i < CONTEXTS; i++) {
        cr_assert(all[i].done);
        cr_assert_eq(all[i].number, i + 3);
        fiber_drop(&all[i]);
    }
    free(all);
}

#define DEPTH 500
static fiber nested[DEPTH];

/* Switches to the next fiber, which switches back twice: when it pauses and when it ends. */
static void go_deeper(void *arg)
{
    fiber *f = arg;
    fiber *inner = f + 1;
    if (inner < nested + DEPTH) {
        inner->back = &f->ctx;
        tni_context_switch(&f->ctx, &inner->ctx);
        f->number += inner->number;
        fiber_pause(f);
        tni_context_switch(&f->ctx, &inner->ctx);
    } else {
        fiber_pause(f);
    }
    fiber_end(f);
}

Test(fiber, contexts_nest)
{
    for (int i = 0; i < DEPTH; i++)
        fiber_make(&nested[i], go_deeper, 1);
    fiber_resume(&nested[0]);
    cr_assert_eq(nested[0].number, DEPTH);
    cr_assert(!nested[DEPTH - 1].done);
    fiber_resume(&nested[0]);
    for (int i = 0; i < DEPTH; i++) {
        cr_assert(nested[i].done);
        fiber_drop(&nested[i]);
    }
}

/* --- Registers ----------------------------------------------------------------------------------------------------------- */

/* Loads every callee-saved register from `in`, does what `function` does, and stores the registers to `out` when the
 * other side has switched back. */
void *switch_with_registers(void **save_sp, void *to_sp, void *message, const uint64_t *in, uint64_t *out,
                            tni_fiber_switch_fn *function);

#if defined(__x86_64__)
#define KEPT 6
__asm__(".text\n"
        ".type switch_with_registers, @function\n"
        "switch_with_registers:\n"
        "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n    pushq %r13\n    pushq %r14\n    pushq %r15\n    pushq %r8\n"
        "    movq 0(%rcx), %rbp\n    movq 8(%rcx), %rbx\n    movq 16(%rcx), %r12\n"
        "    movq 24(%rcx), %r13\n    movq 32(%rcx), %r14\n    movq 40(%rcx), %r15\n"
        "    call *%r9\n"
        "    popq %rcx\n"
        "    movq %rbp, 0(%rcx)\n    movq %rbx, 8(%rcx)\n    movq %r12, 16(%rcx)\n"
        "    movq %r13, 24(%rcx)\n    movq %r14, 32(%rcx)\n    movq %r15, 40(%rcx)\n"
        "    popq %r15\n    popq %r14\n    popq %r13\n    popq %r12\n    popq %rbx\n    popq %rbp\n"
        "    ret\n"
        ".size switch_with_registers, . - switch_with_registers\n");
#elif defined(__aarch64__)
#define KEPT 19
__asm__(".text\n"
        ".type switch_with_registers, %function\n"
        "switch_with_registers:\n"
        "    stp x29, x30, [sp, #-176]!\n"
        "    stp x19, x20, [sp, #16]\n    stp x21, x22, [sp, #32]\n    stp x23, x24, [sp, #48]\n"
        "    stp x25, x26, [sp, #64]\n    stp x27, x28, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n    stp d10, d11, [sp, #112]\n    stp d12, d13, [sp, #128]\n    stp d14, d15, [sp, #144]\n"
        "    str x4, [sp, #160]\n"
        "    ldp x19, x20, [x3, #0]\n    ldp x21, x22, [x3, #16]\n    ldp x23, x24, [x3, #32]\n"
        "    ldp x25, x26, [x3, #48]\n    ldp x27, x28, [x3, #64]\n"
        "    ldp d8, d9, [x3, #80]\n    ldp d10, d11, [x3, #96]\n    ldp d12, d13, [x3, #112]\n    ldp d14, d15, [x3, #128]\n"
        "    ldr x29, [x3, #144]\n"
        "    blr x5\n"
        "    ldr x4, [sp, #160]\n"
        "    stp x19, x20, [x4, #0]\n    stp x21, x22, [x4, #16]\n    stp x23, x24, [x4, #32]\n"
        "    stp x25, x26, [x4, #48]\n    stp x27, x28, [x4, #64]\n"
        "    stp d8, d9, [x4, #80]\n    stp d10, d11, [x4, #96]\n    stp d12, d13, [x4, #112]\n    stp d14, d15, [x4, #128]\n"
        "    str x29, [x4, #144]\n"
        "    ldp x19, x20, [sp, #16]\n    ldp x21, x22, [sp, #32]\n    ldp x23, x24, [sp, #48]\n"
        "    ldp x25, x26, [sp, #64]\n    ldp x27, x28, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n    ldp d10, d11, [sp, #112]\n    ldp d12, d13, [sp, #128]\n    ldp d14, d15, [sp, #144]\n"
        "    ldp x29, x30, [sp], #176\n"
        "    ret\n"
        ".size switch_with_registers, . - switch_with_registers\n");
#endif

#define ROUNDS 20

/* Switches from one side to the other. Returns whether every register had its value again afterwards. */
static bool keeps_registers(tni_context *from, tni_context *to, uint64_t seed, tni_fiber_switch_fn *function)
{
    uint64_t in[KEPT], out[KEPT] = {0};
    for (size_t i = 0; i < KEPT; i++)
        in[i] = (uint64_t)tni_random_next(&seed) << 32 | tni_random_next(&seed);
    tni_san_leave(&from->san, &to->san, false);
    tni_san_arrive(&from->san, switch_with_registers(&from->sp, to->sp, &from->san, in, out, function));
    return memcmp(in, out, sizeof in) == 0;
}

static void keep_registers(void *arg)
{
    fiber *f = arg;
    f->number = 0;
    fiber_pause(f);
    for (uint64_t i = 0; i < ROUNDS; i++)
        f->number += keeps_registers(&f->ctx, f->back, 1000 + i, tni_fiber_switch);
    fiber_end(f);
}

Test(fiber, registers_are_kept)
{
    fiber f;
    uint64_t kept = 0;
    fiber_make(&f, keep_registers, 0);
    fiber_resume(&f);
    for (uint64_t i = 0; i < ROUNDS; i++)
        kept += keeps_registers(&home.context, &f.ctx, 1 + i, i % 2 == 0 ? tni_fiber_switch : tni_fiber_enter_from_home);
    fiber_resume(&f);
    cr_assert(f.done);
    cr_assert_eq(kept, ROUNDS);
    cr_assert_eq(f.number, ROUNDS);
    fiber_drop(&f);
}

/* Checks the rounding by calculations, in both floating-point units where there are two, not by the control words alone. In
 * every format, the exact value of 1/7 is nearer to the value below it. */
static int rounds_up(void)
{
    volatile double seven = 7.0;
    volatile long double long_seven = 7.0L;
    return fegetround() == FE_UPWARD && 1.0 / seven > 1.0 / 7.0 && 1.0L / long_seven > 1.0L / 7.0L;
}

static void round_up(void *arg)
{
    fiber *f = arg;
    f->number = (uint64_t)(fegetround() == FE_TONEAREST && !rounds_up());
    fesetround(FE_UPWARD);
    for (int i = 0; i < 3; i++) {
        fiber_pause(f);
        f->number += (uint64_t)rounds_up();
    }
    fiber_end(f);
}

Test(fiber, each_has_its_floating_point_modes)
{
    fiber f;
    fesetround(FE_DOWNWARD);
    tni_context_fini(&home.context);
    tni_context_init_home(&home);
    fiber_make(&f, round_up, 0);
    while (!f.done) {
        fiber_resume(&f);
        cr_assert_eq(fegetround(), FE_DOWNWARD);
        cr_assert(!rounds_up());
    }
    fesetround(FE_TONEAREST);
    cr_assert_eq(f.number, 4, "to nearest at the start, upwards after each switch");
    fiber_drop(&f);
}

/* The modes of the home stack change between two switches, as by a function that is called there. A new fiber and one that is
 * resumed have their own all the same. `start`: whether fibers begin in one step. */
static void expect_own_modes(bool start)
{
    fiber old;
    fiber f;

    fiber_make(&old, round_up, 0);
    fiber_resume(&old);
    for (int i = 0; i < 3; i++) {
        fesetround(FE_DOWNWARD);
        fiber_resume(&old);
        cr_assert_eq(fegetround(), FE_TONEAREST, "what it was when the home stack was made");
    }
    cr_assert_eq(old.number, 4, "to nearest at the start, upwards after each switch");
    if (start) {
        fiber_prepare(&f, 0);
        fesetround(FE_DOWNWARD);
        tni_context_start(&home, &f.ctx, f.stack, round_up, &f);
    } else {
        fiber_make(&f, round_up, 0);
        fesetround(FE_DOWNWARD);
        fiber_resume(&f);
    }
    cr_assert_eq(f.number, 1, "to nearest");
    while (!f.done)
        fiber_resume(&f);
    fiber_drop(&old);
    fiber_drop(&f);
}

Test(fiber, modes_of_the_home_stack_do_not_leak)
{
    expect_own_modes(false);
}

Test(fiber, modes_of_the_home_stack_do_not_leak_into_one_that_starts)
{
    expect_own_modes(true);
}

static double churn(tni_context *from, tni_context *to, double x)
{
    double a = x, b = x + 1, c = x + 2, d = x + 3, e = x + 4, g = x + 5, h = x + 6, i = x + 7, j = x + 8, k = x + 9;
    for (int round = 0; round < 100; round++) {
        tni_context_switch(from, to);
        a += b * 0.5, b += c * 0.5, c += d * 0.25, d += e * 0.25, e += g * 0.125;
        g += h * 0.125, h += i * 0.0625, i += j * 0.0625, j += k * 0.03125, k += 1.0 / 1024;
    }
    return a + b + c + d + e + g + h + i + j + k;
}

static void churn_quietly(void *arg)
{
    fiber *f = arg;
    for (;;)
        fiber_pause(f);
}

static void churn_loudly(void *arg)
{
    fiber *f = arg;
    double result = churn(&f->ctx, f->back, (double)f->number);
    memcpy(&f->number, &result, sizeof result);
    fiber_end(f);
}

Test(fiber, floating_point_values_are_kept)
{
    fiber quiet, loud;
    double in_fiber;
    fiber_make(&quiet, churn_quietly, 0);
    fiber_make(&loud, churn_loudly, 3);
    double expected = churn(&home.context, &quiet.ctx, 3);
    double beside = churn(&home.context, &loud.ctx, 17);
    while (!loud.done)
        fiber_resume(&loud);
    memcpy(&in_fiber, &loud.number, sizeof in_fiber);
    cr_assert_eq(in_fiber, expected);
    cr_assert_eq(beside, churn(&home.context, &quiet.ctx, 17));
    fiber_drop(&quiet);
    fiber_drop(&loud);
}

/* --- Unwinding ----------------------------------------------------------------------------------------------------------- */

typedef struct {
    fiber fiber;
    int frames_by_pointer; /* -1: the chain of frames left the stack */
    int frames_by_cfi;
    void *trace[64];
} unwound;

static __attribute__((noinline)) int walk_frame_pointers(const tni_stack *stack)
{
    void **frame = __builtin_frame_address(0);
    int count = 0;
    for (; frame != NULL; frame = *frame, count++)
        if ((char *)frame < (char *)tni_stack_base(stack) || (char *)frame >= (char *)tni_stack_top(stack) || count == 100)
            return -1;
    return count;
}

static __attribute__((noinline)) int unwind_three_deep(unwound *u, int depth)
{
    if (depth > 0)
        return unwind_three_deep(u, depth - 1) + 1;
    u->frames_by_pointer = walk_frame_pointers(u->fiber.stack);
    u->frames_by_cfi = backtrace(u->trace, 64);
    return 0;
}

static void unwind(void *arg)
{
    unwound *u = arg;
    u->fiber.number = (uint64_t)unwind_three_deep(u, 3);
    fiber_pause(&u->fiber);
    u->fiber.number = (uint64_t)unwind_three_deep(u, 3);
    fiber_end(&u->fiber);
}

Test(fiber, unwinding_ends_at_the_root)
{
    unwound u;
    fiber_make(&u.fiber, unwind, 0);
    while (!u.fiber.done) {
        fiber_resume(&u.fiber);
        cr_assert_geq(u.frames_by_pointer, 3);
        cr_assert_leq(u.frames_by_pointer, 10);
        cr_assert_geq(u.frames_by_cfi, 3);
        cr_assert_leq(u.frames_by_cfi, 10);
    }
    fiber_drop(&u.fiber);
}

/* --- Migration ----------------------------------------------------------------------------------------------------------- */

/* A volatile read in a function that is not inlined, so that each call computes the thread-local variable's address again. */
static __thread int thread_number;
static __attribute__((noinline)) int where_am_i(void)
{
    __asm__ volatile("");
    return *(volatile int *)&thread_number;
}

static void note_threads(void *arg)
{
    fiber *f = arg;
    while (f->number < 1000000) {
        f->number = f->number * 10 + (uint64_t)where_am_i();
        fiber_pause(f);
    }
    fiber_end(f);
}

typedef struct {
    fiber *f;
    int number;
} visit;

static void *resume_here(void *arg)
{
    visit *v = arg;
    tni_context here;
    thread_number = v->number;
    tni_context_init_thread(&here);
    v->f->back = &here;
    tni_context_switch(&here, &v->f->ctx);
    tni_context_fini(&here);
    return NULL;
}

Test(fiber, a_fiber_goes_on_on_another_thread)
{
    fiber f;
    fiber_make(&f, note_threads, 0);
    for (int i = 1; !f.done; i++) {
        visit v = {.f = &f, .number = i % 3 + 1};
        tni_thread thread;
        if (i % 3 == 0) {
            (void)resume_here(&v);
        } else {
            cr_assert_eq(tni_thread_start(&thread, resume_here, &v), 0);
            tni_thread_join(&thread);
        }
    }
    cr_assert_eq(f.number, 2312312);
    fiber_drop(&f);
}
