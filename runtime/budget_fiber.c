#include "budget_fiber.h"

#include "checkpoint.h"
#include "local.h"
#include "run.h"
#include "scope.h"

void tni_budget_over(tn_task *task, tn_future *waiting)
{
    task->awaited = waiting;
    tni_fiber_leave(task, waiting != NULL ? TNI_RUN_YIELDED_IN_WAIT : TNI_RUN_YIELDED);
    if (task->body.fiber.scope != NULL)
        (void)tni_scope_look(task->body.fiber.scope, false); /* notes what is over, for the checkpoints to come */
}

static inline int begin_part(tn_future *in_flight)
{
    tn_task *task = tni_local_get()->task;

    if (tni_unlikely(task == NULL || task->kind != TNI_TASK_FIBER))
        return tni_checkpoint();
    tni_budget_spend_in(task, in_flight);
    return tni_fiber_check(task);
}

int tni_operation_enter(void)
{
    return begin_part(NULL);
}

int tni_operation_go_on(tn_future *in_flight)
{
    return begin_part(in_flight);
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
        tni_budget_over(task, NULL);
}
