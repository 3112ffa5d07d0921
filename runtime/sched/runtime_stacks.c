/* SPDX-License-Identifier: MIT */
/* Fibers without a stack: they wait in a list of the runtime, oldest first, and are handed the stacks that come back.
 *
 * The stack itself is handed over, not word of it: a task that was only told could find the stack taken by a newcomer, or take
 * another one from a core's cache, and the next in the list would never hear of the one left over.
 */
#include "sched/runtime.h"
#include "sched/schedule.h"

int tni_runtime_wait_for_stack(tn_runtime *runtime, tn_task *task)
{
    int rc;

    /* This try is under the lock, and who brings a stack back takes the lock before it looks into the list: so it finds the task
     * there, or this try finds the stack. */
    tni_os_mutex_lock(&runtime->lock);
    tni_stack_wait_begin(&runtime->stacks);
    rc = tni_stack_get(&runtime->stacks, NULL, tni_task_stack_size(task), &task->body.fiber.stack);
    if (rc == TN_EAGAIN) {
        task->queue_next = NULL;
        *runtime->stack_waiters_end = task;
        runtime->stack_waiters_end = &task->queue_next;
    } else {
        tni_stack_wait_end(&runtime->stacks);
    }
    tni_os_mutex_unlock(&runtime->lock);
    if (rc != TN_EAGAIN)
        return rc;
    /* Workers that sleep may have stacks in their caches. The fence orders our wish before the look whether they sleep, against
     * theirs between saying that they will and their last look. */
    tni_fence_full();
    for (unsigned i = 0; i < runtime->core_count; i++)
        tni_worker_wake_if_parked(runtime->cores[i]);
    return 1;
}

/* Lock held: takes the first task out of the list that there is a stack for, and gives it that; or that will never have one. */
static tn_task *serve_stack_waiter(tn_runtime *runtime)
{
    for (tn_task **link = &runtime->stack_waiters; *link != NULL; link = &(*link)->queue_next) {
        tn_task *task = *link;
        int rc = tni_stack_get(&runtime->stacks, NULL, tni_task_stack_size(task), &task->body.fiber.stack);
        if (rc == TN_EAGAIN)
            continue; /* it wants a larger one, perhaps; another may be content */
        if (rc < 0)
            task->error = (int16_t)rc;
        *link = task->queue_next;
        if (runtime->stack_waiters_end == &task->queue_next)
            runtime->stack_waiters_end = link;
        tni_stack_wait_end(&runtime->stacks);
        return task;
    }
    return NULL;
}

void tni_runtime_stacks_came_back(tn_runtime *runtime, unsigned count)
{
    while (count > 0) {
        tn_task *task;

        tni_os_mutex_lock(&runtime->lock);
        task = serve_stack_waiter(runtime);
        tni_os_mutex_unlock(&runtime->lock);
        if (task == NULL)
            return;
        if (task->error == 0)
            count--; /* who goes without leaves it to the next */
        tni_schedule_inject(runtime, task, task, 1);
    }
}
