/* One run of a task: from the queue to where it suspends, yields or ends. The switch itself stands in the worker's loop
 * (worker.c).
 */
#ifndef TNI_RUN_H
#define TNI_RUN_H

#include "local.h"
#include "worker.h"

/* Binds a stack to a fiber that has none yet. False: it is not to be run now, and not the caller's any more. `core`: the
 * worker's, or NULL. */
bool tni_run_first(tni_core *core, tn_task *task);

/* Polls a stackless task once. */
void tni_run_future(tn_task *task);

/* On the worker's own stack, after the task has left: does what it left a note for. `core`: as above, after the run. */
void tni_run_settle(tni_core *core, tn_task *task);

/* Fiber: leaves its worker; goes on after it has been run again, maybe on another thread. Inline, because each return on the way
 * back after a switch is mispredicted. */
__attribute__((always_inline)) static inline void tni_fiber_leave(tn_task *task, tni_run_result result)
{
    task->run_result = (uint8_t)result;
    tni_context_switch(&task->body.fiber.context, &tni_local_get()->worker->context);
}

/* Fiber: its budget is used up; yields. */
void tni_budget_over(tn_task *task);

/* Fiber: an operation may be ready at once; after TNI_BUDGET of them in one run the fiber yields. */
static inline void tni_budget_spend_in(tn_task *task)
{
    if (tni_unlikely(--task->budget == 0))
        tni_budget_over(task);
}

/* The same for an operation that has kept the worker for so long. Nothing happens outside of fibers. */
void tni_budget_spend_time(uint64_t ns);

#endif
