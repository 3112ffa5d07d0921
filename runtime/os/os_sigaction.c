/* SPDX-License-Identifier: MIT */
/* Chaining of signal handlers: installing a handler in front of the existing one, and passing signals on. */
#include "os/os_sigaction.h"

#include <errno.h>

#include "base/atomic.h"

static tni_a32 lock; /* 1 while it is held */

/* A spin lock, because a tni_os_mutex has no static initializer. It is taken rarely and for a short time. */
void tni_os_sigaction_lock(void)
{
    uint32_t expected = 0;
    /* Acquire: observes what the previous holder wrote under the lock; partner: tni_os_sigaction_unlock. */
    while (!tni_a32_cas(&lock, &expected, 1, TNI_ACQUIRE)) {
        expected = 0;
        tni_spin_hint();
    }
}

void tni_os_sigaction_unlock(void)
{
    /* Release: publishes what was written under the lock to the next tni_os_sigaction_lock. Weaker: that could miss a count. */
    tni_a32_store(&lock, 0, TNI_RELEASE);
}

static bool is_ours(const struct sigaction *action, tni_os_handler_fn handler)
{
    return (action->sa_flags & SA_SIGINFO) != 0 && action->sa_sigaction == handler;
}

/* Whether the action has a handler function. Decided by the address alone, as the kernel does: a one-shot handler
 * (SA_RESETHAND) leaves SIG_DFL with its flags. */
static bool is_handled(const struct sigaction *action)
{
    return action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN;
}

int tni_os_sigaction_set(tni_os_sigaction *action, int number, tni_os_handler_fn handler, int flags)
{
    struct sigaction ours = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | flags};
    struct sigaction now;

    if (sigaction(number, NULL, &now) != 0)
        return -errno;
    /* A handler that was set later may chain to this one. If the current action has no handler, this one was removed: set it
     * again. */
    if (!is_ours(&now, handler) && (!action->installed || !is_handled(&now))) {
        /* Written before the handler is set, because it may run before the call returns. */
        action->previous = now;
        sigemptyset(&ours.sa_mask);
        if (sigaction(number, &ours, NULL) != 0)
            return -errno;
    }
    action->installed = true;
    return 0;
}

void tni_os_sigaction_clear(tni_os_sigaction *action, int number, tni_os_handler_fn handler)
{
    struct sigaction now;

    if (!action->installed || sigaction(number, NULL, &now) != 0 || !is_ours(&now, handler))
        return;
    if (sigaction(number, &action->previous, NULL) == 0)
        action->installed = false;
}

static bool is_ignored_by_default(int number)
{
    return number == SIGURG || number == SIGCHLD || number == SIGWINCH || number == SIGCONT;
}

void tni_os_sigaction_chain(const tni_os_sigaction *action, int number, siginfo_t *info, void *ucontext, bool sent)
{
    const struct sigaction *previous = &action->previous;

    if (previous->sa_handler == SIG_IGN && sent)
        return;
    if (is_handled(previous)) {
        if ((previous->sa_flags & SA_SIGINFO) != 0)
            previous->sa_sigaction(number, info, ucontext);
        else
            previous->sa_handler(number);
    } else if (!is_ignored_by_default(number)) {
        struct sigaction standard = {.sa_handler = SIG_DFL};
        (void)sigaction(number, &standard, NULL);
        if (sent)
            (void)raise(number);
    }
}
