/* SPDX-License-Identifier: MIT */
/* Whether calls that are ready let other tasks run. */
#ifndef TT_OTHERS_RUN_H
#define TT_OTHERS_RUN_H

/* In a fiber of a runtime with one worker: spawns a task and makes `call(arg)` until that task has run. Fails the test if it has
 * not run after several budgets. A fiber yields after one budget; while its thread has lost the core, because a call took long on
 * a loaded machine, the fiber may be first in the queue again. */
void tt_others_run(void (*call)(void *arg), void *arg);

#endif
