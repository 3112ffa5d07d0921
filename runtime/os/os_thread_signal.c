/* SPDX-License-Identifier: MIT */
#include "os/os_thread_signal.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "os/os_sigaction.h"

/* Its address marks what we send. */
static struct {
    tni_os_thread_signal_fn fn; /* under the hooks' lock, set once */
    struct {
        unsigned count; /* installs without uninstall; under the hooks' lock */
        tni_os_sigaction hook;
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
        tni_os_sigaction_chain(&state.of[number].hook, number, info, ucontext, true);
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
        state.fn = fn; /* whoever may get a signal of ours is started after this */
    rc = tni_os_sigaction_set(&state.of[number].hook, number, handler, SA_RESTART);
    if (rc == 0)
        state.of[number].count++;
    tni_os_sigaction_unlock();
    return rc;
}

void tni_os_thread_signal_uninstall(int number)
{
    tni_os_sigaction_lock();
    tni_assert(state.of[number].count > 0, "a signal handler is uninstalled that nobody installed");
    if (--state.of[number].count == 0)
        tni_os_sigaction_clear(&state.of[number].hook, number, handler);
    tni_os_sigaction_unlock();
}

/* --- Sending ---------------------------------------------------------------------------------------------------------------- */

void tni_os_thread_signal_open(int number)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, number);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL); /* on Linux of the calling thread */
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
