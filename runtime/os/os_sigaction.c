/* SPDX-License-Identifier: MIT */
/* Chaining of signal handlers: installing a handler in front of the existing one, and passing signals on. */
#include "os/os_sigaction.h"

#include <errno.h>

#include "base/atomic.h"
#include "base/held.h"

static tni_a32 lock; /* 1 while it is held */

/* A spin lock, because a tni_os_mutex has no static initializer. It is taken rarely and for a short time. */
void tni_os_sigaction_lock(void)
{
    uint32_t expected = 0;

    tni_held_assert_not(&lock, "a thread takes the lock of the handlers, which it holds");
    /* Acquire: observes what the previous holder wrote under the lock; partner: tni_os_sigaction_unlock. */
    while (!tni_a32_cas(&lock, &expected, 1, TNI_ACQUIRE)) {
        expected = 0;
        tni_spin_hint();
    }
    tni_held_add(&lock);
}

void tni_os_sigaction_unlock(void)
{
    tni_held_remove(&lock);
    /* Release: publishes what was written under the lock to the next tni_os_sigaction_lock. Weaker: that could miss a count. */
    tni_a32_store(&lock, 0, TNI_RELEASE);
}

void tni_os_sigaction_in_child(void)
{
    tni_a32_store(&lock, 0, TNI_RELAXED); /* relaxed: there is one thread */
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

/* The flags that the kernel applies for the previous action, whatever handler is in front of it. */
static int flags_kept(const struct sigaction *previous)
{
    int flags = previous->sa_flags & (SA_NOCLDSTOP | SA_NOCLDWAIT);

    if (!is_handled(previous) || (previous->sa_flags & SA_RESTART) != 0)
        flags |= SA_RESTART;
    return previous->sa_handler == SIG_IGN ? flags | SA_NOCLDWAIT : flags; /* it matters for SIGCHLD alone */
}

/* Not by memcmp: the C library copies more bytes than the kernel has written. */
static bool are_same_masks(const sigset_t *a, const sigset_t *b)
{
    for (int number = 1; number < NSIG; number++)
        if (sigismember(a, number) != sigismember(b, number))
            return false;
    return true;
}

/* The C library adds flags of its own. */
static bool is_same(const struct sigaction *a, const struct sigaction *b)
{
    const int flags = (int)SA_RESETHAND | SA_NODEFER | SA_SIGINFO | SA_NOCLDSTOP | SA_NOCLDWAIT | SA_RESTART | SA_ONSTACK;

    return a->sa_handler == b->sa_handler && ((a->sa_flags ^ b->sa_flags) & flags) == 0 &&
           are_same_masks(&a->sa_mask, &b->sa_mask);
}

int tni_os_sigaction_set_locked(tni_os_sigaction *action, int number, tni_os_handler_fn handler)
{
    struct sigaction ours = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct sigaction now = {.sa_flags = 0}; /* the kernel fills a part of the mask */

    tni_held_assert(&lock, "the calling thread does not hold the lock of the handlers");
    if (sigaction(number, NULL, &now) != 0)
        return -errno;
    /* A handler that was set later may chain to this one. If the current action has no handler, this one was removed: set it
     * again. */
    if (!is_ours(&now, handler) && (!action->installed || !is_handled(&now))) {
        /* Written before the handler is set, because it may run before the call returns. Not written if it is the same, because a
         * handler that was called before the last clear may still read it. */
        if (!is_same(&action->previous, &now))
            action->previous = now;
        /* Release: publishes `previous` to the handlers; partner: take_handler. The system call publishes it too. */
        tni_a32_store(&action->spent, 0, TNI_RELEASE);
        ours.sa_flags |= flags_kept(&now);
        sigemptyset(&ours.sa_mask);
        if (sigaction(number, &ours, NULL) != 0)
            return -errno;
    }
    action->installed = true;
    return 0;
}

void tni_os_sigaction_clear_locked(tni_os_sigaction *action, int number, tni_os_handler_fn handler)
{
    struct sigaction now;

    tni_held_assert(&lock, "the calling thread does not hold the lock of the handlers");
    if (!action->installed || sigaction(number, NULL, &now) != 0 || !is_ours(&now, handler))
        return;
    if (tni_a32_load(&action->spent, TNI_RELAXED) != 0) /* relaxed: a handler that runs at this moment is as good as later */
        action->previous.sa_handler = SIG_DFL;
    if (sigaction(number, &action->previous, NULL) == 0)
        action->installed = false;
}

static bool is_ignored_by_default(int number)
{
    return number == SIGURG || number == SIGCHLD || number == SIGWINCH || number == SIGCONT;
}

/* Whether the previous handler must be called. The kernel replaces a handler with SA_RESETHAND by the default action before it
 * calls it, so of several threads one alone calls it. */
static bool take_handler(tni_os_sigaction *action)
{
    /* Acquire: observes `previous`; partner: tni_os_sigaction_set_locked. */
    uint32_t unspent = tni_a32_load(&action->spent, TNI_ACQUIRE);

    if (unspent != 0 || !is_handled(&action->previous))
        return false;
    if ((action->previous.sa_flags & (int)SA_RESETHAND) == 0)
        return true;
    /* Nothing is published by this; acquire because no success may be weaker than the failure, which acquires. */
    return tni_a32_cas(&action->spent, &unspent, 1, TNI_ACQUIRE);
}

/* Changes the signal mask of the thread to that under which the kernel would call the previous handler. At this moment the mask
 * is that of the interrupted code and the signal itself. When the outer handler returns, the kernel restores the former.
 * On Linux sigprocmask affects the calling thread only. */
static void mask_for(const struct sigaction *previous, int number)
{
    sigset_t itself;

    (void)sigprocmask(SIG_BLOCK, &previous->sa_mask, NULL);
    if ((previous->sa_flags & SA_NODEFER) == 0 || sigismember(&previous->sa_mask, number) == 1)
        return;
    sigemptyset(&itself);
    sigaddset(&itself, number);
    (void)sigprocmask(SIG_UNBLOCK, &itself, NULL);
}

bool tni_os_sigaction_chain_function(tni_os_sigaction *action, int number, siginfo_t *info, void *ucontext)
{
    const struct sigaction *previous = &action->previous;

    if (!take_handler(action))
        return false;
    mask_for(previous, number);
    if ((previous->sa_flags & SA_SIGINFO) != 0)
        previous->sa_sigaction(number, info, ucontext);
    else
        previous->sa_handler(number);
    return true;
}

void tni_os_sigaction_chain(tni_os_sigaction *action, int number, siginfo_t *info, void *ucontext, bool sent)
{
    (void)tni_a32_load(&action->spent, TNI_ACQUIRE); /* as in take_handler */
    if (action->previous.sa_handler == SIG_IGN && sent)
        return;
    if (!tni_os_sigaction_chain_function(action, number, info, ucontext) && !is_ignored_by_default(number)) {
        struct sigaction standard = {.sa_handler = SIG_DFL};
        (void)sigaction(number, &standard, NULL);
        if (sent)
            (void)raise(number); /* delivered when the outer handler returns */
    }
}
