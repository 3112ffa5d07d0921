#include "os_signal.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "prim.h"

/* A signal's handler belongs to the process, so this does too. Its address marks what we send. */
static struct {
    tni_a32 lock; /* 1 while someone installs or uninstalls */
    tni_os_signal_fn fn;
    struct {
        unsigned count;          /* installs without uninstall; under the lock */
        bool hooked;             /* our handler stands there, or perhaps behind one that was set later; under the lock */
        struct sigaction before; /* what was there; does not change while our handler is called */
    } of[_NSIG];
} state;

/* --- The handler ------------------------------------------------------------------------------------------------------------ */

static bool is_ignored_by_default(int number)
{
    return number == SIGURG || number == SIGCHLD || number == SIGWINCH || number == SIGCONT;
}

/* By the address alone, as the kernel does: a handler for one time leaves SIG_DFL behind with its flags. */
bool tni_os_signal_is_handled(const struct sigaction *action)
{
    return action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN;
}

void tni_os_signal_pass_on(const struct sigaction *before, int number, siginfo_t *info, void *ucontext, bool sent)
{
    if (before->sa_handler == SIG_IGN && sent)
        return;
    if (tni_os_signal_is_handled(before)) {
        if ((before->sa_flags & SA_SIGINFO) != 0)
            before->sa_sigaction(number, info, ucontext);
        else
            before->sa_handler(number);
    } else if (!is_ignored_by_default(number)) {
        struct sigaction standard = {.sa_handler = SIG_DFL};
        (void)sigaction(number, &standard, NULL);
        if (sent)
            (void)raise(number);
    }
}

#if defined(__x86_64__)
static tni_os_interrupted interrupted(const ucontext_t *context)
{
    const greg_t *registers = context->uc_mcontext.gregs;

    return (tni_os_interrupted){
        .pc = (uintptr_t)registers[REG_RIP], .sp = (uintptr_t)registers[REG_RSP], .frame = (uintptr_t)registers[REG_RBP]};
}
#else
static tni_os_interrupted interrupted(const ucontext_t *context)
{
    const mcontext_t *registers = &context->uc_mcontext;

    return (tni_os_interrupted){.pc = registers->pc, .sp = registers->sp, .frame = registers->regs[29]};
}
#endif

static void handler(int number, siginfo_t *info, void *ucontext)
{
    int saved = errno;

    if (info->si_code == SI_QUEUE && info->si_value.sival_ptr == &state) {
        tni_os_interrupted at = interrupted(ucontext);
        state.fn(&at);
    } else {
        tni_os_signal_pass_on(&state.of[number].before, number, info, ucontext, true);
    }
    errno = saved;
}

/* --- Installing ------------------------------------------------------------------------------------------------------------- */

/* A tni_mutex cannot be had before somebody initialises it; this is rare and short. */
static void lock_state(void)
{
    uint32_t expected = 0;
    /* Acquire: observes what the holder before wrote under the lock, published by unlock_state(). */
    while (!tni_a32_cas(&state.lock, &expected, 1, TNI_ACQUIRE)) {
        expected = 0;
        tni_spin_hint();
    }
}

static void unlock_state(void)
{
    /* Release: publishes what was written under the lock to the next lock_state(); weaker, it could miss a count. */
    tni_a32_store(&state.lock, 0, TNI_RELEASE);
}

static bool is_ours(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) != 0 && action->sa_sigaction == handler;
}

static int hook(int number)
{
    struct sigaction ours = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    struct sigaction now;

    if (sigaction(number, NULL, &now) != 0)
        return -errno;
    /* A handler that was set after ours may call it. If there is none, nobody does: ours was taken away. */
    if (is_ours(&now) || (state.of[number].hooked && tni_os_signal_is_handled(&now))) {
        state.of[number].hooked = true;
        return 0;
    }
    /* Before ours is set: it may run before the call returns. */
    state.of[number].before = now;
    sigemptyset(&ours.sa_mask);
    if (sigaction(number, &ours, NULL) != 0)
        return -errno;
    state.of[number].hooked = true;
    return 0;
}

/* Out again if we still stand in front; whoever was set after us keeps calling us, and we pass on. */
static void unhook(int number)
{
    struct sigaction now;

    if (sigaction(number, NULL, &now) != 0 || !is_ours(&now))
        return;
    if (sigaction(number, &state.of[number].before, NULL) == 0)
        state.of[number].hooked = false;
}

int tni_os_signal_install(int number, tni_os_signal_fn fn)
{
    int rc;

    if (number <= 0 || number >= _NSIG)
        return -EINVAL;
    lock_state();
    tni_assert(state.fn == NULL || state.fn == fn, "two different readers of stacks in one process");
    if (state.fn == NULL)
        state.fn = fn; /* whoever may get a signal of ours is started after this */
    rc = hook(number);
    if (rc == 0)
        state.of[number].count++;
    unlock_state();
    return rc;
}

void tni_os_signal_uninstall(int number)
{
    lock_state();
    tni_assert(state.of[number].count > 0, "a signal handler is uninstalled that nobody installed");
    if (--state.of[number].count == 0)
        unhook(number);
    unlock_state();
}

/* --- Sending ---------------------------------------------------------------------------------------------------------------- */

void tni_os_signal_open(int number)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, number);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL); /* on Linux of the calling thread */
}

bool tni_os_signal_send(int number, int thread_id)
{
    siginfo_t info;

    memset(&info, 0, sizeof info);
    info.si_signo = number;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_ptr = &state;
    return syscall(SYS_rt_tgsigqueueinfo, getpid(), thread_id, number, &info) == 0;
}
