/* SPDX-License-Identifier: MIT */
/* A signal handler of ours, in front of the one that was there. Handlers belong to the process, so hooks are static. */
#ifndef TNI_OS_SIGACTION_H
#define TNI_OS_SIGACTION_H

#include <signal.h>

#include "base/defs.h"

/* All zero: it has never been set. */
typedef struct {
    bool hooked;             /* our handler stands there, or perhaps behind one that was set later; under the lock */
    struct sigaction before; /* what was there; does not change while our handler is called */
} tni_os_sigaction;

typedef void (*tni_os_handler_fn)(int number, siginfo_t *info, void *ucontext);

/* Around setting and clearing, and what else their callers keep: one lock for all hooks of the process. Spins. */
void tni_os_sigaction_lock(void);
void tni_os_sigaction_unlock(void);

/* Lock held. Sets the handler, if it does not stand there. It runs on the alternative stack; `flags`: what it wants besides. 0,
 * or a negative errno value. */
int tni_os_sigaction_set(tni_os_sigaction *hook, int number, tni_os_handler_fn handler, int flags);

/* Lock held. Out again if we still stand in front; whoever was set after us keeps calling us, and we pass on. */
void tni_os_sigaction_clear(tni_os_sigaction *hook, int number, tni_os_handler_fn handler);

/* In the handler: does what would have happened without it. `sent`: somebody sent it; a fault comes again by itself. */
void tni_os_sigaction_chain(const tni_os_sigaction *hook, int number, siginfo_t *info, void *ucontext, bool sent);

#endif
