/* SPDX-License-Identifier: MIT */
/* Processes that fork without exec. The child has a copy of all memory, and of the threads only the one that called fork. So no
 * worker runs in it, and its descriptors are shared with the parent: a change to an epoll instance there changes it here too.
 *
 * A runtime therefore belongs to the process that created it. It remembers the generation of that process. In the child the
 * generation is greater, so each call that would wait for the runtime's threads, or change its loops, finds out and fails. */
#ifndef TNI_FORK_H
#define TNI_FORK_H

#include "base/defs.h"

/* The generation of this process: it grows with each fork. It changes in the child before fork returns there, while the process
 * has one thread. */
__attribute__((visibility("hidden"))) extern uint32_t tni_fork_generation;

/* Makes each child of a later fork raise its generation, and then call `in_child`, before fork returns there. All callers pass
 * the same function. A child may do both more than once. Returns 0 or TN_ENOMEM. */
int tni_fork_watch(void (*in_child)(void));

/* Whether what was created in `generation` belongs to an ancestor of this process. */
static inline bool tni_fork_is_inherited(uint32_t generation)
{
    return tni_unlikely(generation != tni_fork_generation);
}

/* Logs once in each process that `call` is refused. */
void tni_fork_log_refusal(const char *call);

#endif
