/* SPDX-License-Identifier: MIT */
/* Chaining of signal handlers: installs a handler in front of the existing one, and passes signals on to that. Handlers belong
 * to the process, so the records are static.
 *
 * The existing handler keeps its meaning. It is called with the signal mask that the kernel would give it (sa_mask, SA_NODEFER),
 * so it may leave by longjmp or send the signal again. One with SA_RESETHAND is called once; after that the default action is
 * taken. Interrupted calls are restarted or end with EINTR as it wants (SA_RESTART), and children of a process that takes no
 * notice of them vanish as before. Only its stack may differ: it is the alternate one wherever the thread has one. */
#ifndef TNI_OS_SIGACTION_H
#define TNI_OS_SIGACTION_H

#include <signal.h>

#include "base/atomic.h"
#include "base/defs.h"

/* The record of one handler. All zero: never set. */
typedef struct {
    bool installed;            /* the handler is the current one, or one set later may chain to it; under the lock */
    struct sigaction previous; /* the action before it; under the lock */
    bool spent;                /* `previous` has SA_RESETHAND and was called: it stands for the default action; under the lock */
} tni_os_sigaction;

typedef void (*tni_os_handler_fn)(int number, siginfo_t *info, void *ucontext);

/* One spin lock for all records of the process: around set and clear, and around related data of their callers. Its holder gets
 * no signal meanwhile. */
void tni_os_sigaction_lock(void);
void tni_os_sigaction_unlock(void);
/* In a child of fork: releases the lock, because its holder may not be here. */
void tni_os_sigaction_in_child(void);

/* Installs the handler unless it is installed. It runs on the alternate stack, and of other handlers only those of faults
 * interrupt it. Calls that it interrupts are restarted where the kernel does that, unless a handler was there before and does
 * without. Returns 0 or a negative errno value. */
int tni_os_sigaction_set_locked(tni_os_sigaction *action, int number, tni_os_handler_fn handler);

/* Restores the previous action if the handler is still the current one. Otherwise a handler that was set later keeps calling
 * it, and it keeps passing signals on. */
void tni_os_sigaction_clear_locked(tni_os_sigaction *action, int number, tni_os_handler_fn handler);

/* Called in the handler as its last action: passes the signal on to the previous action. `sent`: the signal was sent by a
 * process; otherwise it is a fault, which is raised again when the handler returns. `users`: a number under the lock, or NULL:
 * the default action is not taken while it is not 0, because that removes the handler. False: so it was. May not return. */
bool tni_os_sigaction_chain(tni_os_sigaction *action, int number, siginfo_t *info, void *ucontext, bool sent,
                            const unsigned *users);

/* Called in the handler as its last action, if the default action must not be taken: calls the previous handler if it is a
 * function that is still to be called. May not return. */
void tni_os_sigaction_chain_function(tni_os_sigaction *action, int number, siginfo_t *info, void *ucontext);

#endif
