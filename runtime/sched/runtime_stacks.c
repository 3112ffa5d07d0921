/* SPDX-License-Identifier: MIT */
/* Waiting for a stack when the limit on stacks is reached. The fibers wait in a list of the runtime, oldest first. Each stack
 * that is given back goes to one of them.
 *
 * The stack itself is handed over, not a notification. A task that was only woken could find that a new task has taken the
 * stack. Or it could take another stack, from a core's cache; then the next task in the list would never learn of the stack
 * that is left. */
#include <limits.h>

#include "sched/runtime.h"
#include "sched/schedule.h"

int tni_runtime_wait_for_stack(tn_runtime *runtime, tn_task *task)
{
    int rc;

    /* This attempt is under the lock, and a thread that gives a stack back takes the lock before it reads the list. So that
     * thread finds the task in the list, or this attempt finds the stack. */
    tni_os_mutex_lock(&runtime->lock);
    tni_stack_wait_begin(&runtime->stacks);
    rc = tni_stack_get_silently(&runtime->stacks, tni_task_stack_size(task), &task->body.fiber.stack);
    if (tni_stack_comes_back(rc)) {
        tni_task_set_waits_for_stack(task);
        task->queue_next = NULL;
        *runtime->stack_waiters_end = task;
        runtime->stack_waiters_end = &task->queue_next;
    } else {
        tni_stack_wait_end(&runtime->stacks);
    }
    tni_os_mutex_unlock(&runtime->lock);
    tni_stack_log_exhausted(&runtime->stacks);
    if (!tni_stack_comes_back(rc))
        return rc;
    /* Parked workers may have stacks in their caches. The fence orders the request before the check whether they are parked.
     * A worker's fence is between its announcement that it parks and its last check. */
    tni_fence_full();
    for (unsigned i = 0; i < runtime->core_count; i++)
        tni_worker_wake_if_parked(runtime->cores[i]);
    return 1;
}

/* Removes the task that *link leads to from the list. */
static tn_task *remove_waiter_locked(tn_runtime *runtime, tn_task **link)
{
    tn_task *task = *link;

    tni_os_mutex_assert_held(&runtime->lock);
    *link = task->queue_next;
    if (runtime->stack_waiters_end == &task->queue_next)
        runtime->stack_waiters_end = link;
    tni_stack_wait_end(&runtime->stacks);
    tni_task_clear_waits_for_stack(task);
    return task;
}

/* Removes from the list the first task for which there is a stack, or for which no stack will come back, and gives it the stack
 * if there is one. Returns that task; NULL: there is none. Of each size there is one attempt, because a failed one costs system
 * calls. */
static tn_task *give_stack_to_waiter_locked(tn_runtime *runtime)
{
    uint32_t failed = 0; /* a bit per class */

    tni_os_mutex_assert_held(&runtime->lock);
    for (tn_task **link = &runtime->stack_waiters; *link != NULL; link = &(*link)->queue_next) {
        tn_task *task = *link;
        uint32_t class_bit = UINT32_C(1) << tni_stack_class_of(&runtime->stacks, tni_task_stack_size(task));
        int rc;
        if ((failed & class_bit) != 0)
            continue;
        rc = tni_stack_get_silently(&runtime->stacks, tni_task_stack_size(task), &task->body.fiber.stack);
        if (!tni_stack_comes_back(rc))
            return remove_waiter_locked(runtime, link); /* without a stack, tni_run_first trims and tries again */
        failed |= class_bit;                            /* it may need a larger one; another task may not */
    }
    return NULL;
}

void tni_runtime_stacks_came_back(tn_runtime *runtime, unsigned count)
{
    while (count > 0) {
        tn_task *task;

        tni_os_mutex_lock(&runtime->lock);
        task = give_stack_to_waiter_locked(runtime);
        tni_os_mutex_unlock(&runtime->lock);
        tni_stack_log_exhausted(&runtime->stacks);
        if (task == NULL)
            return;
        if (task->body.fiber.stack != NULL)
            count--; /* otherwise the stack is for the next one */
        tni_schedule_inject(runtime, task, task, 1);
    }
}

void tni_runtime_stacks_trim(tn_runtime *runtime, bool all)
{
    tni_stack_pool_trim(&runtime->stacks, all);
    /* Behind the pool's lock: a fiber whose attempt found no stack because of the trim had begun to wait, and is observed. */
    if (tni_stack_waited_for(&runtime->stacks))
        tni_runtime_stacks_came_back(runtime, UINT_MAX);
}

void tni_runtime_flush_stacks(tn_runtime *runtime, tni_stack_cache *cache)
{
    unsigned count = cache->count;

    tni_stack_cache_flush(&runtime->stacks, cache);
    /* Behind the pool's lock: a fiber whose attempt found no stack had begun to wait before this flush, and is observed. */
    if (tni_stack_waited_for(&runtime->stacks))
        tni_runtime_stacks_came_back(runtime, count);
}
