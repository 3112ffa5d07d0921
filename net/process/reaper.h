/* SPDX-License-Identifier: MIT */
/* The thread that notices the end of each child, and takes its result from the kernel. One per process of the program, for all
 * runtimes: a child may outlive the task and the runtime that have started it. README.md ("Child processes") says why.
 *
 * It sleeps on a set of pidfds. A child without a pidfd (kernels before 5.3, some filters of system calls), or whose pidfd cannot
 * be added, it asks for after pauses of 1 to 64 ms. SIGCHLD would come earlier, but its handler is the program's.
 *
 * The thread starts with the first child, and ends when there has been none for a second. */
#ifndef TNI_REAPER_H
#define TNI_REAPER_H

#include "process/child.h"

typedef struct tni_reaper tni_reaper;

/* Before a child is started: sees to it that the thread runs. Each success needs one adopt or unreserve. Returns 0 or a negative
 * errno value. */
int tni_reaper_reserve(tni_reaper **out);
void tni_reaper_unreserve(tni_reaper *reaper);

/* Watches the child, whose `process` has been started; takes a reference. Cannot fail. */
void tni_reaper_adopt(tni_reaper *reaper, tni_child *child);

/* Whether the reaper is that of a process from which this one was forked: its lock and its thread cannot be used. */
bool tni_reaper_is_inherited(const tni_reaper *reaper);

#endif
