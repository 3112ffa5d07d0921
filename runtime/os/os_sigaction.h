/* SPDX-License-Identifier: MIT */
/* Chaining of signal handlers: installs a handler in front of the existing one, and passes signals on to that. Handlers belong
 * to the process, so the records are static. */
#ifndef TNI_OS_SIGACTION_H
#define TNI_OS_SIGACTION_H

#include <signal.h>

#include "base/defs.h"

/* The record of one handler. All zero: never set. */
typedef struct {
    bool installed;            /* the handler is the current one, or one set later may chain to it; under the lock */
    struct sigaction previous; /* the action before it; constant while the handler can be called */
} tni_os_sigaction;

typedef void (*tni_os_handler_fn)(int number, siginfo_t *info, void *ucontext);

/* One spin lock for all records of the process: around set and clear, and around related data of their callers. */
void tni_os_sigaction_lock(void);
void tni_os_sigaction_unlock(void);

/* The lock is held. Installs the handler unless it is installed. It runs on the alternate stack. `flags`: further SA_* flags.
 * Returns 0 or a negative errno value. */
int tni_os_sigaction_set(tni_os_sigaction *action, int number, tni_os_handler_fn handler, int flags);

/* The lock is held. Restores the previous action if the handler is still the current one. Otherwise a handler that was set
 * later keeps calling it, and it keeps passing signals on. */
void tni_os_sigaction_clear(tni_os_sigaction *action, int number, tni_os_handler_fn handler);

/* Called in the handler: passes the signal on to the previous action. `sent`: the signal was sent by a process; otherwise it is
 * a fault, which is raised again when the handler returns. */
void tni_os_sigaction_chain(const tni_os_sigaction *action, int number, siginfo_t *info, void *ucontext, bool sent);

#endif
