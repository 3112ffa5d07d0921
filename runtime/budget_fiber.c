#include "budget_fiber.h"

#include "checkpoint.h"
#include "local.h"
#include "run.h"
#include "scope.h"

void tni_budget_over(tn_task *task)
{
    tni_fiber_leave(task, TNI_RUN_YIELDED);
    if (task->body.fiber.scope != NULL)
        (void)tni_scope_look(task->body.fiber.scope, false); /* notes what is over, for the checkpoints to come */
}

int tni_operation_enter(void)
{
    tn_task *task = tni_local_get()->task;

    if (tni_unlikely(task == NULL || task->kind != TNI_TASK_FIBER))
        return tni_checkpoint();
    tni_budget_spend_in(task);
    return tni_fiber_check(task);
}

void tni_budget_spend_time(uint64_t ns)
{
    tn_task *task = tni_local_get()->task;
    uint64_t operations = ns / TNI_BUDGET_OPERATION_NS + 1;

    if (task == NULL || task->kind != TNI_TASK_FIBER)
        return;
    if (operations < task->budget)
        task->budget = (uint8_t)(task->budget - operations);
    else
        tni_budget_over(task);
}
