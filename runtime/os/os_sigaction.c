/* SPDX-License-Identifier: MIT */
/* Chaining of signal handlers: installing a handler in front of the existing one, and passing signals on. */
#include "os/os_sigaction.h"

#include <errno.h>
#include <ucontext.h>

#include "base/atomic.h"
#include "base/held.h"

static tni_a32 lock;         /* 1 while it is held */
static sigset_t mask_before; /* of the thread that holds it; under the lock */

/* All signals but those by which the kernel reports a fault of the running code: a fault is fatal while its signal is blocked. */
static void fill_mask(sigset_t *mask)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};

    sigfillset(mask);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        sigdelset(mask, faults[i]);
}

/* A spin lock, because a tni_os_mutex has no static initializer, and because handlers take it. Each holder has blocked its
 * signals, so a handler never waits for the thread that it has interrupted. It is held rarely and for a short time. */
static void acquire(void)
{
    uint32_t expected = 0;

    /* Acquire: observes what the previous holder wrote under the lock; partner: release. */
    while (!tni_a32_cas(&lock, &expected, 1, TNI_ACQUIRE)) {
        expected = 0;
        tni_spin_hint();
    }
}

static void release(void)
{
    /* Release: publishes what was written under the lock to the next acquire. Weaker: that could miss a count. */
    tni_a32_store(&lock, 0, TNI_RELEASE);
}

void tni_os_sigaction_lock(void)
{
    sigset_t all;
    sigset_t before;

    tni_held_assert_not(&lock, "a thread takes the lock of the handlers, which it holds");
    fill_mask(&all);
    (void)sigprocmask(SIG_BLOCK, &all, &before); /* on Linux this affects the calling thread only */
    acquire();
    mask_before = before;
    tni_held_add(&lock);
}

void tni_os_sigaction_unlock(void)
{
    sigset_t before = mask_before;

    tni_held_remove(&lock);
    release();
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
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
        action->previous = now;
        action->spent = false;
        ours.sa_flags |= flags_kept(&now);
        /* A handler of the program that interrupted ours could leave by longjmp: a listener would wait for ours for ever. */
        fill_mask(&ours.sa_mask);
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
    if (action->spent)
        action->previous.sa_handler = SIG_DFL;
    if (sigaction(number, &action->previous, NULL) == 0)
        action->installed = false;
}

static bool is_ignored_by_default(int number)
{
    return number == SIGURG || number == SIGCHLD || number == SIGWINCH || number == SIGCONT;
}

/* Reads the previous action, in a handler. Returns whether its handler must be called. The kernel replaces a handler with
 * SA_RESETHAND by the default action before it calls it, so of several threads one alone calls it. */
static bool take_handler(tni_os_sigaction *action, struct sigaction *previous)
{
    bool call;

    acquire();
    *previous = action->previous;
    if (action->spent)
        previous->sa_handler = SIG_DFL;
    call = is_handled(previous);
    if (call && (previous->sa_flags & (int)SA_RESETHAND) != 0)
        action->spent = true;
    release();
    return call;
}

/* Changes the signal mask of the thread to that under which the kernel would call the previous handler: that of the interrupted
 * code, its own, and the signal itself. When the outer handler returns, the kernel restores the first. The signals are copied one
 * by one, because the kernel has written a part of the set alone. */
static void mask_for(const struct sigaction *previous, int number, const ucontext_t *interrupted)
{
    sigset_t mask;

    sigemptyset(&mask);
    for (int other = 1; other < NSIG; other++)
        if (sigismember(&interrupted->uc_sigmask, other) == 1 || sigismember(&previous->sa_mask, other) == 1)
            sigaddset(&mask, other);
    if ((previous->sa_flags & SA_NODEFER) == 0)
        sigaddset(&mask, number);
    (void)sigprocmask(SIG_SETMASK, &mask, NULL);
}

static void call_handler(const struct sigaction *previous, int number, siginfo_t *info, void *ucontext)
{
    mask_for(previous, number, ucontext);
    if ((previous->sa_flags & SA_SIGINFO) != 0)
        previous->sa_sigaction(number, info, ucontext);
    else
        previous->sa_handler(number);
}

void tni_os_sigaction_chain_function(tni_os_sigaction *action, int number, siginfo_t *info, void *ucontext)
{
    struct sigaction previous;

    if (take_handler(action, &previous))
        call_handler(&previous, number, info, ucontext);
}

/* False: it is not taken, because *users is not 0. */
static bool take_default_action(int number, const unsigned *users)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};
    bool take;

    acquire();
    take = users == NULL || *users == 0;
    if (take)
        (void)sigaction(number, &standard, NULL);
    release();
    return take;
}

bool tni_os_sigaction_chain(tni_os_sigaction *action, int number, siginfo_t *info, void *ucontext, bool sent,
                            const unsigned *users)
{
    struct sigaction previous;

    if (take_handler(action, &previous)) {
        call_handler(&previous, number, info, ucontext);
        return true;
    }
    if ((previous.sa_handler == SIG_IGN && sent) || is_ignored_by_default(number))
        return true;
    if (!take_default_action(number, users))
        return false;
    if (sent)
        (void)raise(number); /* delivered when the outer handler returns */
    return true;
}
