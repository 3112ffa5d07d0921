#include "budget.h"

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

/* The last one is left for tni_budget_spend_in, which yields when it takes it. For plain threads the system sees to it that
 * others run. */
static inline bool is_short(const tn_task *task, unsigned answers)
{
    return task->budget <= answers && task->kind != TNI_TASK_THREAD;
}

bool tni_poll_is_short(tn_waker *waker, unsigned answers)
{
    if (tni_likely(!is_short(tni_task_of(waker), answers)))
        return false;
    tn_waker_wake_by_ref(waker);
    return true;
}

bool tni_poll_may_answer(tn_waker *waker)
{
    tn_task *task = tni_task_of(waker);

    if (tni_poll_is_short(waker, 1))
        return false;
    if (task->kind != TNI_TASK_THREAD)
        task->budget--;
    return true;
}
