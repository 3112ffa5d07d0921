/* SPDX-License-Identifier: MIT */
/* Directed signals, sent to one thread of the library: installing the handler, and sending. */
#include "os/os_thread_signal.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "os/os_sigaction.h"

/* The address of this is the value of the signals sent here, which distinguishes them from others. */
static struct {
    tni_os_thread_signal_fn fn; /* set once, under tni_os_sigaction_lock() */
    struct {
        unsigned count; /* installs minus uninstalls; protected by tni_os_sigaction_lock() */
        tni_os_sigaction action;
    } of[_NSIG];
} state;

/* --- The handler ------------------------------------------------------------------------------------------------------------ */

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
        (void)tni_os_sigaction_chain(&state.of[number].action, number, info, ucontext, true, NULL);
    }
    errno = saved;
}

/* --- Installing ------------------------------------------------------------------------------------------------------------- */

int tni_os_thread_signal_install(int number, tni_os_thread_signal_fn fn)
{
    int rc;

    if (number <= 0 || number >= _NSIG)
        return -EINVAL;
    tni_os_sigaction_lock();
    tni_assert(state.fn == NULL || state.fn == fn, "two different readers of stacks in one process");
    if (state.fn == NULL)
        state.fn = fn; /* threads that can receive this signal are started after this */
    rc = tni_os_sigaction_set_locked(&state.of[number].action, number, handler);
    if (rc == 0)
        state.of[number].count++;
    tni_os_sigaction_unlock();
    return rc;
}

void tni_os_thread_signal_uninstall(int number)
{
    tni_os_sigaction_lock();
    tni_assert(state.of[number].count > 0, "tni_os_thread_signal_uninstall without an install");
    if (--state.of[number].count == 0)
        tni_os_sigaction_clear_locked(&state.of[number].action, number, handler);
    tni_os_sigaction_unlock();
}

/* --- Sending ---------------------------------------------------------------------------------------------------------------- */

void tni_os_thread_signal_open(int number)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, number);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL); /* on Linux this affects the calling thread only */
}

bool tni_os_thread_signal_send(int number, int thread_id)
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
