/* SPDX-License-Identifier: MIT */
/* Stacks in dumps, when a caller uses the frame pointer as an ordinary register: no frame is invented, and the older ones are
 * shown. */
/* ctest: timeout=120 */
#include <stdio.h>

#include <tn.h>

#include "os/os_symbol.h"
#include "stuck_stand.h"

/* Calls fn(arg) with `value` in the frame pointer. */
void call_with_frame(void (*fn)(void *), void *arg, const void *value);

#if defined(__x86_64__)
__asm__(".text\n"
        ".globl call_with_frame\n"
        ".type call_with_frame, @function\n"
        "call_with_frame:\n"
        "    pushq %rbp\n"
        "    movq %rdx, %rbp\n"
        "    movq %rdi, %rax\n"
        "    movq %rsi, %rdi\n"
        "    call *%rax\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size call_with_frame, . - call_with_frame\n");
#else
__asm__(".text\n"
        ".globl call_with_frame\n"
        ".type call_with_frame, %function\n"
        "call_with_frame:\n"
        "    stp x29, x30, [sp, #-16]!\n"
        "    mov x29, x2\n"
        "    mov x3, x0\n"
        "    mov x0, x1\n"
        "    blr x3\n"
        "    ldp x29, x30, [sp], #16\n"
        "    ret\n"
        ".size call_with_frame, . - call_with_frame\n");
#endif

/* What a stack with such a caller looks like to a walk that trusts each word. */
typedef struct {
    const void *next;
    const void *pc;
} false_frame;

typedef struct {
    stand *stand;
    tn_runtime *runtime;
    bool suspends;
    int chain; /* length of the false chain */
    atomic_bool inside;
    _Atomic(const void *) caller; /* return address of `be_caller` */
} odd;

static void stay(void *arg)
{
    odd *o = arg;

    atomic_store(&o->inside, true);
    while (!atomic_load(&o->stand->over))
        if (o->suspends)
            tt_check(tn_sleep(20 * TN_MS) == 0);
        else
            sleep_some();
}

__attribute__((noinline)) static void be_caller(odd *o)
{
    false_frame frames[3] = {{&frames[1], (void *)0x1234567}, {&frames[2], (void *)0x1234567}, {NULL, (void *)0x1234567}};

    atomic_store(&o->caller, __builtin_return_address(0));
    call_with_frame(stay, o, o->chain == 0 ? (const void *)0x1234567 : &frames[3 - o->chain]);
    __asm__ volatile("" : : "r"(frames) : "memory");
}

static void *enter(void *arg)
{
    be_caller(arg);
    __asm__ volatile("" ::: "memory");
    return NULL;
}

static bool shows_caller(void *arg)
{
    odd *o = arg;
    char caller[300];
    char line[310];

    tni_os_symbol(atomic_load(&o->caller), caller, sizeof caller);
    (void)snprintf(line, sizeof line, " %s\n", caller);
    pthread_mutex_lock(&o->stand->page.lock);
    o->stand->page.length = 0;
    pthread_mutex_unlock(&o->stand->page.lock);
    tn_dump(o->runtime, add_line, &o->stand->page);
    return atomic_load(&o->inside) && count_of(&o->stand->page, line) > 0;
}

static void expect_true_frames(bool suspends, int chain)
{
    odd o = {.stand = new_stand(NULL), .suspends = suspends, .chain = chain};
    tn_options options = options_for(o.stand);
    tn_task *task;

    options.report_stuck_ns = 3600 * TN_S;
    o.runtime = create(&options);
    task = tt_spawn_on(o.runtime, enter, &o);
    for (int i = 0; i < 20; i++) {
        cr_assert(tt_wait_until(shows_caller, &o, LIMIT_NS / 2), "%s", o.stand->page.text);
        cr_assert_eq(count_of(&o.stand->page, " 0x1234567\n"), 0, "%s", o.stand->page.text);
    }
    atomic_store(&o.stand->over, true);
    tt_join(task);
    tt_runtime_destroy(o.runtime);
}

Test(frames, of_a_suspended_task)
{
    for (int chain = 0; chain <= 3; chain++)
        expect_true_frames(true, chain);
}

Test(frames, of_a_task_that_keeps_its_thread)
{
    for (int chain = 0; chain <= 3; chain++)
        expect_true_frames(false, chain);
}
