/* SPDX-License-Identifier: MIT */
/* The budget of a fiber: spends it at the beginning of each operation, and yields when it is used up. */
#include "sched/budget_fiber.h"

#include "base/tls.h"
#include "sched/run.h"
#include "sched/runtime.h"
#include "scope/checkpoint.h"
#include "scope/scope.h"

int tni_budget_over(tn_task *task, tn_future *waiting)
{
    int rc;

    task->awaited = waiting;
    tni_run_leave(task, waiting != NULL ? TNI_RUN_YIELDED_IN_WAIT : TNI_RUN_YIELDED);
    if (tni_unlikely(task->runtime->options.yield_often))
        task->budget = 1; /* the next operation yields too */
    rc = tni_scope_check_fiber(task);
    /* The clock is read after the check, so a deadline that has passed is reported by the next cancellation point. The
     * operation that had no budget left may be ready, and an operation that is ready must not fail because of a deadline. */
    if (rc == 0 && task->body.fiber.scope != NULL)
        tni_scope_read_clock(task->body.fiber.scope);
    return rc;
}

/* A plain thread spends no budget between its waits, so it reads the clock at each call. It does so after the check, for the
 * same reason as tni_budget_over. */
__attribute__((noinline)) static int enter_in_thread(void)
{
    tni_scope *scope = tni_scope_of(tni_tls_get());
    int rc = tni_checkpoint();

    if (rc == 0 && scope != NULL)
        tni_scope_read_clock(scope);
    return rc;
}

static inline int begin_part(tn_future *in_flight)
{
    tn_task *task = tni_tls_get()->task;

    if (tni_unlikely(task == NULL || task->kind != TNI_TASK_FIBER))
        return enter_in_thread();
    return tni_likely(tni_budget_take(task)) ? tni_scope_check_fiber(task) : tni_budget_over(task, in_flight);
}

int tni_budget_enter(void)
{
    return begin_part(NULL);
}

int tni_budget_enter_part(tn_future *in_flight)
{
    return begin_part(in_flight);
}

void tni_budget_spend_time(uint64_t ns)
{
    tn_task *task = tni_tls_get()->task;
    uint64_t operations = ns / TNI_BUDGET_OPERATION_NS + 1;

    if (task == NULL || task->kind != TNI_TASK_FIBER)
        return;
    if (operations < task->budget)
        task->budget = (uint8_t)(task->budget - operations);
    else
        (void)tni_budget_over(task, NULL); /* this operation is done: the next one reports */
}
