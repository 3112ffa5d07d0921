/* SPDX-License-Identifier: MIT */
/* The guards of stacks. */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "runtime/stack_support.h"
#include "support/child.h"

/* --- Guards -------------------------------------------------------------------------------------------------------------- */

static void write_to(void *address)
{
    *(volatile char *)address = 1;
}

static void check_guard(tni_guard_kind kind)
{
    tni_stack_pool pool;
    if (!open_pool(&pool, (tni_stack_config){.guard = kind}))
        cr_skip_test("this kernel has no such guards");
    cr_assert_eq(pool.guard, kind);
    for (int i = 0; i < 3; i++) {
        tni_stack *stack = must_get(&pool, NULL, 0);
        char *base = tni_stack_base(stack);
        cr_assert(child_killed_by(child_run(write_to, base - 1), SIGSEGV));
        cr_assert(child_killed_by(child_run(write_to, base - stack->guard_size), SIGSEGV));
        cr_assert(child_exited(child_run(write_to, base), 0));
        cr_assert(tni_stack_owns_guard(stack, base - 1));
        cr_assert(tni_stack_owns_guard(stack, base - stack->guard_size - 100));
        cr_assert(!tni_stack_owns_guard(stack, base));
        cr_assert(!tni_stack_owns_guard(stack, NULL));
        cr_assert(!tni_stack_owns_guard(stack, base - (1 << 20)));
        /* The guard must stay in place when the memory above it is written and the stack is returned. */
        memset(base, 1, tni_stack_size(stack));
        tni_stack_put(&pool, NULL, stack);
        cr_assert(child_killed_by(child_run(write_to, base - 1), SIGSEGV));
    }
    tni_stack_pool_fini(&pool);
}

Test(stack_guard, light_guards_fault)
{
    check_guard(TNI_GUARD_LIGHT);
}

Test(stack_guard, protected_guards_fault)
{
    check_guard(TNI_GUARD_MPROTECT);
}

Test(stack_guard, automatic_guards_fault)
{
    tni_stack_pool pool;
    open_pool(&pool, (tni_stack_config){0});
    tni_stack *stack = must_get(&pool, NULL, 0);
    cr_assert_neq(pool.guard, TNI_GUARD_NONE);
    cr_assert(child_killed_by(child_run(write_to, (char *)tni_stack_base(stack) - 1), SIGSEGV));
    tni_stack_put(&pool, NULL, stack);
    tni_stack_pool_fini(&pool);
}

Test(stack_guard, a_guard_is_a_part_of_its_stack)
{
    static const size_t kib[][2] = {{32, 16}, {64, 16}, {128, 32}, {256, 64}, {1024, 64}};
    tni_stack_pool pool;
    open_pool(&pool, (tni_stack_config){0});
    for (size_t i = 0; i < sizeof kib / sizeof *kib; i++) {
        tni_stack *stack = must_get(&pool, NULL, kib[i][0] << 10);
        cr_assert_eq(tni_stack_slot_size(stack), kib[i][0] << 10);
        cr_assert_eq(stack->guard_size, kib[i][1] << 10);
        tni_stack_put(&pool, NULL, stack);
    }
    tni_stack_pool_fini(&pool);
}

Test(stack_guard, a_guard_of_a_chosen_size)
{
    tni_stack_pool pool;
    open_pool(&pool, (tni_stack_config){.guard_size_bytes = 300 * 1024 + 1});
    tni_stack *stack = must_get(&pool, NULL, 32768);
    char *base = tni_stack_base(stack);
    cr_assert_eq(stack->guard_size, 300 * 1024 + PAGE);
    cr_assert_eq(tni_stack_slot_size(stack), 1 << 20, "the guard takes at most half");
    cr_assert(child_killed_by(child_run(write_to, base - 1), SIGSEGV));
    cr_assert(child_killed_by(child_run(write_to, base - stack->guard_size), SIGSEGV));
    tni_stack_put(&pool, NULL, stack);
    tni_stack_pool_fini(&pool);
}

/* Makes the kernel refuse light guards, as a kernel before 6.13 does. */
static bool forget_light_guards(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 102, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void get_on_an_old_kernel(void *arg)
{
    tni_stack_pool pool;
    tni_stack_config config = {.guard = TNI_GUARD_LIGHT};
    tni_stack *stack;
    (void)arg;
    if (!forget_light_guards())
        _exit(77);
    if (tni_stack_pool_init(&pool, &config) != -ENOTSUP)
        _exit(1);
    config.guard = TNI_GUARD_AUTO;
    if (tni_stack_pool_init(&pool, &config) != 0 || pool.guard != TNI_GUARD_MPROTECT)
        _exit(2);
    if (tni_stack_get(&pool, NULL, 0, &stack) != 0)
        _exit(3);
    write_to((char *)tni_stack_base(stack) - 1);
}

Test(stack_guard, without_light_guards_pages_are_protected)
{
    child_end e = child_run(get_on_an_old_kernel, NULL);
    if (child_exited(e, 77))
        cr_skip_test("no system call filter to be had");
    cr_assert(child_killed_by(e, SIGSEGV), "status 0x%x", (unsigned)e.status);
}

static void get_without_descriptors(void *arg)
{
    struct rlimit none = {0, 0};
    tni_stack_pool pool;
    (void)arg;
    if (!open_pool(&pool, (tni_stack_config){.guard = TNI_GUARD_LIGHT}) || setrlimit(RLIMIT_NOFILE, &none) != 0)
        _exit(77);
    _exit(open_pool(&pool, (tni_stack_config){.guard = TNI_GUARD_LIGHT}) ? 0 : 1);
}

Test(stack_guard, light_guards_need_no_descriptor)
{
    child_end e = child_run(get_without_descriptors, NULL);
    if (child_exited(e, 77))
        cr_skip_test("this kernel has no such guards");
    cr_assert(child_exited(e, 0), "status 0x%x", (unsigned)e.status);
}

/* The kernel refuses light guards in memory that a program has locked, whenever it does that. */
static void get_before_and_after_the_refusal(void *arg)
{
    tni_stack_pool pool;
    tni_stack_config config = {.guard = TNI_GUARD_LIGHT};
    tni_stack *before, *after;
    (void)arg;
    if (tni_stack_pool_init(&pool, &config) != 0 || tni_stack_get(&pool, NULL, 0, &before) != 0 || !forget_light_guards())
        _exit(77);
    if (tni_stack_get(&pool, NULL, 0, &after) != 0 || before->guard != TNI_GUARD_LIGHT || after->guard != TNI_GUARD_MPROTECT)
        _exit(1);
    write_to((char *)tni_stack_base(after) - 1);
}

Test(stack_guard, light_guards_that_fail_later_are_replaced)
{
    child_end e = child_run(get_before_and_after_the_refusal, NULL);
    if (child_exited(e, 77))
        cr_skip_test("no light guards, or no system call filter to be had");
    cr_assert(child_killed_by(e, SIGSEGV), "status 0x%x", (unsigned)e.status);
}

/* --- No more mappings ---------------------------------------------------------------------------------------------------- */

#define GUARDED 10

static unsigned messages;
static void count_message(void *arg, const char *message)
{
    (void)message;
    messages += *(unsigned *)arg;
}

static tni_stack_config few_mappings(bool fallback)
{
    static unsigned one = 1;
    return (tni_stack_config){.guard = TNI_GUARD_MPROTECT,
                              .map_count_max = 5000 + 2 * GUARDED,
                              .unguarded_fallback = fallback,
                              .log = count_message,
                              .log_arg = &one};
}

Test(stack_guard, out_of_mappings_is_an_error)
{
    tni_stack_pool pool;
    tni_stack *stacks[GUARDED], *stack;
    open_pool(&pool, few_mappings(false));
    for (int i = 0; i < GUARDED; i++)
        stacks[i] = must_get(&pool, NULL, 0);
    cr_assert_eq(messages, 0);
    cr_assert_eq(tni_stack_get(&pool, NULL, 0, &stack), -ENOMEM);
    cr_assert_eq(tni_stack_get(&pool, NULL, 16384, &stack), -ENOMEM);
    cr_assert_eq(live_stacks(&pool), GUARDED);
    cr_assert_eq(messages, 1, "logged once");
    tni_stack_put(&pool, NULL, stacks[0]);
    stacks[0] = must_get(&pool, NULL, 0);
    /* If no stack can be mapped, an idle stack of a larger size is used. */
    tni_stack_put(&pool, NULL, stacks[0]);
    stack = must_get(&pool, NULL, 16384);
    cr_assert_eq(stack, stacks[0]);
    for (int i = 0; i < GUARDED; i++)
        tni_stack_put(&pool, NULL, stacks[i]);
    cr_assert_eq(live_stacks(&pool), 0);
    tni_stack_pool_fini(&pool);
}

Test(stack_guard, out_of_mappings_can_mean_unguarded)
{
    tni_stack_pool pool;
    tni_stack *stacks[2 * GUARDED];
    open_pool(&pool, few_mappings(true));
    for (int i = 0; i < 2 * GUARDED; i++) {
        stacks[i] = must_get(&pool, NULL, 0);
        cr_assert_eq(stacks[i]->guard, i < GUARDED ? TNI_GUARD_MPROTECT : TNI_GUARD_NONE);
        cr_assert_eq(messages, i < GUARDED ? 0 : 1, "said once");
    }
    cr_assert(!tni_stack_owns_guard(stacks[GUARDED], (char *)tni_stack_base(stacks[GUARDED]) - 1));
    for (int i = 0; i < 2 * GUARDED; i++)
        tni_stack_put(&pool, NULL, stacks[i]);
    tni_stack_pool_fini(&pool);
}

static void overrun_unguarded(void *arg)
{
    tni_stack_pool pool;
    tni_stack_cache cache = {0};
    tni_stack *stack;
    size_t below = *(size_t *)arg;
    tni_stack_config config = {.guard = TNI_GUARD_NONE};
    if (tni_stack_pool_init(&pool, &config) != 0 || tni_stack_get(&pool, &cache, 0, &stack) != 0)
        _exit(1);
    ((char *)tni_stack_base(stack))[-(ptrdiff_t)below] = 1;
    tni_stack_put(&pool, &cache, stack);
}

Test(stack_guard, an_overrun_of_an_unguarded_stack_is_found)
{
    size_t below = 1;
    child_end e = child_run(overrun_unguarded, &below);
    cr_assert(child_killed_by(e, SIGABRT));
    cr_assert(strstr(e.text, "overflowed its unguarded stack") != NULL, "%s", e.text);
    below = PAGE;
    cr_assert(child_killed_by(child_run(overrun_unguarded, &below), SIGABRT));
    below = 0;
    cr_assert(child_exited(child_run(overrun_unguarded, &below), 0));
}
