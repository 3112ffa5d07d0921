/* SPDX-License-Identifier: MIT */
/* Signals to which the program listens: the handler, and its installing. */
#include "os/os_signal.h"

#include <errno.h>

#include "os/os_sigaction.h"

static struct {
    tni_os_signal_fn fn; /* written once, before `ready` */
    tni_a32 ready;       /* 1: `fn` is there */
    struct {
        unsigned count; /* installs minus uninstalls; protected by tni_os_sigaction_lock() */
        tni_os_sigaction action;
    } of[TNI_OS_SIGNAL_MAX + 1];
} state;

static void handler(int number, siginfo_t *info, void *ucontext)
{
    tni_os_sigaction *action = &state.of[number].action;
    int saved = errno;

    (void)tni_a32_load(&state.ready, TNI_ACQUIRE); /* observes `fn`; partner: tni_os_signal_install_locked */
    if (state.fn(number))
        tni_os_sigaction_chain_function(action, number, info, ucontext);
    else if (!tni_os_sigaction_chain(action, number, info, ucontext, true, &state.of[number].count) && !state.fn(number))
        /* Not a listener that came meanwhile: this is a child of fork, where none listens. */
        (void)tni_os_sigaction_chain(action, number, info, ucontext, true, NULL);
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
    tni_assert(state.fn == NULL || state.fn == fn, "two different listeners to signals in one process");
    if (state.fn == NULL)
        state.fn = fn;
    /* Release: publishes `fn`; partner: handler. The system call that installs the first handler publishes it too. */
    tni_a32_store(&state.ready, 1, TNI_RELEASE);
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
