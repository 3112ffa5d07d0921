/* SPDX-License-Identifier: MIT */
#include "os/os_sigaction.h"

#include <errno.h>

#include "base/prim.h"

static tni_a32 lock; /* 1 while someone holds it */

/* A tni_os_mutex cannot be had before somebody initialises it; this is rare and short. */
void tni_os_sigaction_lock(void)
{
    uint32_t expected = 0;
    /* Acquire: observes what the holder before wrote under the lock, published by tni_os_sigaction_unlock. */
    while (!tni_a32_cas(&lock, &expected, 1, TNI_ACQUIRE)) {
        expected = 0;
        tni_spin_hint();
    }
}

void tni_os_sigaction_unlock(void)
{
    /* Release: publishes what was written under the lock to the next tni_os_sigaction_lock; weaker, it could miss a count. */
    tni_a32_store(&lock, 0, TNI_RELEASE);
}

static bool is_ours(const struct sigaction *action, tni_os_handler_fn handler)
{
    return (action->sa_flags & SA_SIGINFO) != 0 && action->sa_sigaction == handler;
}

/* Does it name a function? By the address alone, as the kernel does: a handler for one time leaves SIG_DFL behind with its
 * flags. */
static bool is_handled(const struct sigaction *action)
{
    return action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN;
}

int tni_os_sigaction_set(tni_os_sigaction *hook, int number, tni_os_handler_fn handler, int flags)
{
    struct sigaction ours = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | flags};
    struct sigaction now;

    if (sigaction(number, NULL, &now) != 0)
        return -errno;
    /* A handler that was set after ours may call it. If there is none, nobody does: ours was taken away. */
    if (!is_ours(&now, handler) && (!hook->hooked || !is_handled(&now))) {
        /* Before ours is set: it may run before the call returns. */
        hook->before = now;
        sigemptyset(&ours.sa_mask);
        if (sigaction(number, &ours, NULL) != 0)
            return -errno;
    }
    hook->hooked = true;
    return 0;
}

void tni_os_sigaction_clear(tni_os_sigaction *hook, int number, tni_os_handler_fn handler)
{
    struct sigaction now;

    if (!hook->hooked || sigaction(number, NULL, &now) != 0 || !is_ours(&now, handler))
        return;
    if (sigaction(number, &hook->before, NULL) == 0)
        hook->hooked = false;
}

static bool is_ignored_by_default(int number)
{
    return number == SIGURG || number == SIGCHLD || number == SIGWINCH || number == SIGCONT;
}

void tni_os_sigaction_chain(const tni_os_sigaction *hook, int number, siginfo_t *info, void *ucontext, bool sent)
{
    const struct sigaction *before = &hook->before;

    if (before->sa_handler == SIG_IGN && sent)
        return;
    if (is_handled(before)) {
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
