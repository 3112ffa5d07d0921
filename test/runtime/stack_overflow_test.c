/* SPDX-License-Identifier: MIT */
/* The report of a stack overflow. */
#include <criterion/criterion.h>

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/thread.h"
#include "fiber/context.h"
#include "fiber/stack.h"
#include "fiber/stack_overflow.h"
#include "support/child.h"
#include "support/sanitizers.h"

static tni_stack *running; /* the stack of the only fiber in these tests */

static bool find_running(const void *fault_address, tni_stack_overflow_info *out)
{
    if (running == NULL || !tni_stack_owns_guard(running, fault_address))
        return false;
    *out = (tni_stack_overflow_info){.task_name = "greedy", .stack_size_bytes = tni_stack_slot_size(running)};
    return true;
}

static volatile int depth_max = 1 << 30;
static __attribute__((noinline)) int recurse(int depth)
{
    volatile char frame[256];
    frame[0] = (char)depth;
    return depth == depth_max ? 0 : recurse(depth + 1) + frame[0];
}

static void recurse_forever(void *arg)
{
    tni_context **contexts = arg;
    depth_max += recurse(0);
    tni_context_exit_to(contexts[0], contexts[1]);
}

static void overflow_a_fiber(void *arg)
{
    static tni_stack_pool pool;
    static tni_context fiber, here;
    tni_context *contexts[] = {&fiber, &here};
    tni_stack_config config = {0};
    tni_stack_overflow_thread thread;
    bool reported = *(bool *)arg;
    if (tni_stack_overflow_install(find_running) != 0 || tni_stack_overflow_install(find_running) != 0)
        _exit(1);
    if (tni_stack_overflow_thread_init(&thread) != 0 || tni_stack_pool_init(&pool, &config) != 0)
        _exit(2);
    tni_stack_overflow_uninstall(); /* the second installation is still there */
    if (tni_stack_get(&pool, NULL, 0, &running) != 0)
        _exit(3);
    if (!reported)
        tni_stack_overflow_uninstall();
    tni_context_init_thread(&here);
    tni_context_make(&fiber, running, recurse_forever, contexts);
    tni_context_switch(&here, &fiber);
}

Test(overflow, is_reported)
{
    bool reported = true;
    child_end e = child_run(overflow_a_fiber, &reported);
    cr_assert(child_killed_by(e, SIGABRT), "status 0x%x: %s", (unsigned)e.status, e.text);
    cr_assert(strstr(e.text, "tournant: stack overflow in task \"greedy\": its stack is 256 KiB;") != NULL, "%s", e.text);
    cr_assert(strstr(e.text, "give it a larger stack_size_bytes (fault at 0x") != NULL, "%s", e.text);
}

Test(overflow, is_left_alone_after_the_last_uninstall)
{
    bool reported = false;
    child_end e = child_run(overflow_a_fiber, &reported);
    cr_assert(child_killed_by(e, SIGSEGV), "status 0x%x", (unsigned)e.status);
}

static void exit_42(int signal_number)
{
    (void)signal_number;
    _exit(42);
}

static void fault_elsewhere(void *arg)
{
    int how = *(int *)arg;
    tni_stack_overflow_thread thread;
    struct sigaction earlier = {.sa_handler = exit_42};
    if (how == 1)
        (void)sigaction(SIGSEGV, &earlier, NULL);
    if (tni_stack_overflow_install(find_running) != 0 || tni_stack_overflow_thread_init(&thread) != 0)
        _exit(1);
    if (how == 2)
        (void)raise(SIGSEGV);
    else
        *(volatile char *)mmap(NULL, 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) = 1;
}

Test(overflow, other_faults_do_what_they_did)
{
    int how = 0;
    cr_assert(child_killed_by(child_run(fault_elsewhere, &how), SIGSEGV), "the default action");
    how = 1;
    cr_assert(child_exited(child_run(fault_elsewhere, &how), 42), "the handler that was there before");
    how = 2;
    cr_assert(child_killed_by(child_run(fault_elsewhere, &how), SIGSEGV), "a signal that somebody sent");
}

/* --- Handlers that were there before ---------------------------------------------------------------------------------------- */

#define TOO_OFTEN 5

static tni_context here;
static tni_context faulting;
static volatile sig_atomic_t calls;

static void fault(void)
{
    *(volatile char *)mmap(NULL, 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) = 1;
}

static void note_call(void)
{
    if (write(STDERR_FILENO, "called ", 7) != 7 || ++calls == TOO_OFTEN)
        _exit(3);
}

static void only_return(int number)
{
    (void)number;
    note_call();
}

static void raise_again(int number)
{
    note_call();
    (void)raise(number);
    _exit(1);
}

static void raise_by_default(int number)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};

    note_call();
    (void)sigaction(number, &standard, NULL);
    (void)raise(number);
}

/* As by longjmp: the signal mask stays that of the handler. */
static void jump_out(int number)
{
    (void)number;
    note_call();
    tt_leave_frames();
    tni_context_exit_to(&faulting, &here);
}

static void exit_with_mask(int number)
{
    sigset_t mask;

    (void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
    _exit(40 + sigismember(&mask, number) + 2 * sigismember(&mask, SIGUSR1) + 4 * sigismember(&mask, SIGUSR2));
}

typedef struct {
    void (*handler)(int);
    int flags;
    bool sent;    /* the signal is sent; otherwise it is a fault */
    bool reports; /* the handler that reports overflows is in front */
} earlier;

static void fault_in_fiber(void *arg)
{
    const earlier *e = arg;

    if (e->sent)
        (void)raise(SIGSEGV);
    else
        fault();
    _exit(5);
}

static void fault_with_earlier(void *arg)
{
    static tni_stack_pool pool;
    tni_stack_config config = {0};
    tni_stack *stack;
    const earlier *e = arg;
    struct sigaction action = {.sa_handler = e->handler, .sa_flags = e->flags};

    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGUSR1);
    (void)sigaction(SIGSEGV, &action, NULL);
    if (e->reports && tni_stack_overflow_install(find_running) != 0)
        _exit(2);
    if (tni_stack_pool_init(&pool, &config) != 0 || tni_stack_get(&pool, NULL, 0, &stack) != 0)
        _exit(6);
    tni_context_init_thread(&here);
    while (calls < 3) {
        tni_context_make(&faulting, stack, fault_in_fiber, arg);
        tni_context_switch(&here, &faulting);
    }
    _exit(42);
}

/* The child ends as it does without the handler that reports overflows. */
static void ends_alike(earlier e)
{
    child_end without = child_run(fault_with_earlier, &e);
    child_end with;

    e.reports = true;
    with = child_run(fault_with_earlier, &e);
    cr_assert_eq(with.status & ~0x80, without.status & ~0x80, "status 0x%x, not 0x%x", (unsigned)with.status,
                 (unsigned)without.status); /* 0x80: it left a core file */
    cr_assert_eq(strcmp(with.text, without.text), 0, "'%s', not '%s'", with.text, without.text);
}

Test(overflow, the_handler_before_keeps_its_meaning)
{
    static void (*const handlers[])(int) = {only_return, raise_again, raise_by_default, jump_out, exit_with_mask};
    static const unsigned flags[] = {0, SA_RESETHAND, SA_NODEFER, SA_RESETHAND | SA_NODEFER};
    /* ThreadSanitizer calls a program's handler from its own, with all signals blocked in spite of SA_NODEFER and sa_mask. */
    size_t kinds = TT_TSAN ? 2 : sizeof flags / sizeof *flags;
    size_t handler_count = sizeof handlers / sizeof *handlers - (TT_TSAN ? 1 : 0);

    for (size_t h = 0; h < handler_count; h++)
        for (size_t f = 0; f < kinds; f++)
            for (int sent = 0; sent < 2; sent++)
                ends_alike((earlier){.handler = handlers[h], .flags = (int)flags[f], .sent = sent == 1});
}

Test(overflow, a_spent_handler_does_not_come_back)
{
    struct sigaction once = {.sa_handler = only_return, .sa_flags = (int)SA_RESETHAND};
    struct sigaction now;

    cr_assert_eq(sigaction(SIGBUS, &once, NULL), 0);
    cr_assert_eq(tni_stack_overflow_install(find_running), 0);
    (void)raise(SIGBUS);
    cr_assert_eq(calls, 1);
    tni_stack_overflow_uninstall();
    cr_assert_eq(sigaction(SIGBUS, NULL, &now), 0);
    cr_assert_eq(now.sa_handler, SIG_DFL);
}

/* --- Threads and installing ------------------------------------------------------------------------------------------------- */

static void *use_alt_stack(void *arg)
{
    tni_stack_overflow_thread thread;
    stack_t present;
    int *rc = arg;
    *rc = tni_stack_overflow_thread_init(&thread);
    if (*rc == 0 && (sigaltstack(NULL, &present) != 0 || (present.ss_flags & SS_DISABLE) != 0))
        *rc = -1;
    bool ours = thread.memory != NULL;
    tni_stack_overflow_thread_fini(&thread);
    if (*rc == 0 && ours && (sigaltstack(NULL, &present) != 0 || (present.ss_flags & SS_DISABLE) == 0))
        *rc = -2;
    return NULL;
}

Test(overflow, threads_get_a_stack_for_signals_and_lose_it)
{
    tni_thread thread;
    int rc = 1;
    cr_assert_eq(tni_thread_start(&thread, use_alt_stack, &rc), 0);
    tni_thread_join(&thread);
    cr_assert_eq(rc, 0);
}

Test(overflow, handlers_come_back)
{
    struct sigaction before, now;
    cr_assert_eq(sigaction(SIGSEGV, NULL, &before), 0);
    cr_assert_eq(tni_stack_overflow_install(find_running), 0);
    cr_assert_eq(tni_stack_overflow_install(find_running), 0);
    tni_stack_overflow_uninstall();
    cr_assert_eq(sigaction(SIGSEGV, NULL, &now), 0);
    cr_assert_neq((void *)now.sa_sigaction, (void *)before.sa_sigaction);
    tni_stack_overflow_uninstall();
    cr_assert_eq(sigaction(SIGSEGV, NULL, &now), 0);
    cr_assert_eq((void *)now.sa_sigaction, (void *)before.sa_sigaction);
}

Test(overflow, a_handler_that_was_taken_away_is_set_again)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};
    struct sigaction in_front = {.sa_handler = exit_42};
    struct sigaction now;
    cr_assert_eq(tni_stack_overflow_install(find_running), 0);
    cr_assert_eq(sigaction(SIGBUS, &in_front, NULL), 0);
    tni_stack_overflow_uninstall();
    cr_assert_eq(sigaction(SIGBUS, &standard, NULL), 0);
    cr_assert_eq(tni_stack_overflow_install(find_running), 0);
    cr_assert_eq(sigaction(SIGBUS, NULL, &now), 0);
    cr_assert((now.sa_flags & SA_SIGINFO) != 0);
    tni_stack_overflow_uninstall();
    cr_assert_eq(sigaction(SIGBUS, NULL, &now), 0);
    cr_assert_eq(now.sa_handler, SIG_DFL);
}
