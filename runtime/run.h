/* One run of a task: from the queue to where it suspends, yields or ends. */
#ifndef TNI_RUN_H
#define TNI_RUN_H

#include "worker.h"

/* Runs a task that the calling worker took from a queue. `core`: the worker's, entered once, or NULL. Answers the core that the
 * worker still holds afterwards, entered once, or NULL. */
tni_core *tni_run_task(tni_worker *worker, tni_core *core, tn_task *task);

/* Fiber: leaves its worker; goes on after it has been run again, maybe on another thread. */
void tni_fiber_leave(tn_task *task, tni_run_result result);

/* An operation was ready at once: after TNI_BUDGET of them in one run the fiber yields. Nothing happens elsewhere. */
void tni_budget_spend(void);

#endif
