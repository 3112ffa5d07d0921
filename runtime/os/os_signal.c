/* SPDX-License-Identifier: MIT */
/* Signals to which the program listens: the handler, and its installing. */
#include "os/os_signal.h"

#include <errno.h>

#include "os/os_sigaction.h"

static struct {
    tni_os_signal_fn fn; /* set once, before the handler is installed */
    struct {
        unsigned count; /* installs minus uninstalls; protected by tni_os_sigaction_lock() */
        tni_os_sigaction action;
    } of[TNI_OS_SIGNAL_MAX + 1];
} state;

static void handler(int number, siginfo_t *info, void *ucontext)
{
    tni_os_sigaction *action = &state.of[number].action;
    int saved = errno;

    if (state.fn(number))
        tni_os_sigaction_chain_function(action, number, info, ucontext);
    else
        tni_os_sigaction_chain(action, number, info, ucontext, true);
    errno = saved;
}

static bool reports_a_fault(int number)
{
    return number == SIGSEGV || number == SIGBUS || number == SIGFPE || number == SIGILL || number == SIGTRAP || number == SIGSYS;
}

int tni_os_signal_install_locked(int number, tni_os_signal_fn fn)
{
    int rc;

    if (reports_a_fault(number))
        return -EINVAL;
    state.fn = fn; /* always the same; the system call that installs the handler publishes it */
    rc = tni_os_sigaction_set_locked(&state.of[number].action, number, handler);
    if (rc == 0)
        state.of[number].count++;
    return rc;
}

void tni_os_signal_uninstall_locked(int number)
{
    tni_assert(state.of[number].count > 0, "tni_os_signal_uninstall_locked without an install");
    if (--state.of[number].count == 0)
        tni_os_sigaction_clear_locked(&state.of[number].action, number, handler);
}
