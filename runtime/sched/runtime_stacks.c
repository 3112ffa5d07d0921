/* SPDX-License-Identifier: MIT */
/* Waiting for a stack when the limit on stacks is reached. The fibers wait in a list of the runtime, oldest first. Each stack
 * that is given back goes to one of them.
 *
 * The stack itself is handed over, not a notification. A task that was only woken could find that a new task has taken the
 * stack. Or it could take another stack, from a core's cache; then the next task in the list would never learn of the stack
 * that is left.
 *
 * The lock protects the list alone. No stack is taken under it, because that may cost system calls. So:
 *
 *   fiber without a stack:  1. announce that stacks are waited for; lock; link the fiber; unlock
 *                           2. hand over, as below: there may be a stack meanwhile
 *   hand-over:              1. lock; choose a size of which a fiber waits, the oldest first; unlock; without one it is over
 *                           2. take a stack of that size from the pool; if stacks of it may come back, choose another size
 *                           3. lock; remove the oldest fiber of that size, and give it the stack; unlock; queue it
 *                           4. if there is none, put the stack back, and begin again with all sizes
 *
 * *No stack lies idle beside a fiber that waits for it.* A thread that has put a stack back hands over, and locks after that. If
 * the fiber is linked then, the thread finds it. Otherwise the fiber is linked later, and its own hand-over finds the stack. A
 * thread that holds a stack between 2 and 3 gives it to a fiber that was linked meanwhile, or puts it back, and checks again. */
#include <limits.h>

#include "sched/runtime.h"
#include "sched/schedule.h"

void tni_runtime_wait_for_stack(tn_runtime *runtime, tn_task *task)
{
    tni_stack_wait_begin(&runtime->stacks);
    tni_task_set_waits_for_stack(task);
    task->queue_next = NULL;
    tni_os_mutex_lock(&runtime->lock);
    *runtime->stack_waiters_end = task;
    runtime->stack_waiters_end = &task->queue_next;
    tni_os_mutex_unlock(&runtime->lock);
    tni_runtime_stacks_came_back(runtime, 1);
    /* Parked workers may have stacks in their caches. The fence orders the request before the check whether they are parked.
     * A worker's fence is between its announcement that it parks and its last check. */
    tni_fence_full();
    for (unsigned i = 0; i < runtime->core_count; i++)
        tni_worker_wake_if_parked(runtime->cores[i]);
}

/* --- Hand-over -------------------------------------------------------------------------------------------------------------- */

static uint32_t class_bit(const tn_runtime *runtime, const tn_task *task)
{
    return UINT32_C(1) << tni_stack_class_of(&runtime->stacks, tni_task_stack_size(task));
}

/* The link to the oldest fiber that waits for a stack of one of these classes; NULL: there is none. */
static tn_task **find_waiter_locked(tn_runtime *runtime, uint32_t classes)
{
    tn_task **link = &runtime->stack_waiters;

    tni_os_mutex_assert_held(&runtime->lock);
    while (*link != NULL && (class_bit(runtime, *link) & classes) == 0)
        link = &(*link)->queue_next;
    return *link != NULL ? link : NULL;
}

/* Step 1. Returns false if no fiber waits for a stack of one of these classes. */
static bool choose_size(tn_runtime *runtime, uint32_t classes, uint32_t *class, size_t *size_bytes)
{
    tn_task **link;

    tni_os_mutex_lock(&runtime->lock);
    link = find_waiter_locked(runtime, classes);
    if (link != NULL) {
        *class = class_bit(runtime, *link);
        *size_bytes = tni_task_stack_size(*link);
    }
    tni_os_mutex_unlock(&runtime->lock);
    return link != NULL;
}

/* Step 3. `stack` is NULL if no stack of the class will come back: tni_run_first trims, and tries again. */
static bool give_to_waiter(tn_runtime *runtime, uint32_t class, tni_stack *stack)
{
    tn_task *task = NULL;
    tn_task **link;

    tni_os_mutex_lock(&runtime->lock);
    link = find_waiter_locked(runtime, class);
    if (link != NULL) {
        task = *link;
        *link = task->queue_next;
        if (runtime->stack_waiters_end == &task->queue_next)
            runtime->stack_waiters_end = link;
    }
    tni_os_mutex_unlock(&runtime->lock);
    if (task == NULL)
        return false;
    task->body.fiber.stack = stack;
    tni_stack_wait_end(&runtime->stacks);
    tni_task_clear_waits_for_stack(task);
    tni_schedule_inject(runtime, task, task, 1);
    return true;
}

void tni_runtime_stacks_came_back(tn_runtime *runtime, unsigned count)
{
    uint32_t classes = UINT32_MAX; /* of which there was no failed attempt */
    uint32_t class;
    size_t size_bytes;

    while (count > 0 && choose_size(runtime, classes, &class, &size_bytes)) {
        tni_stack *stack = NULL;
        int rc = tni_stack_get(&runtime->stacks, NULL, size_bytes, &stack);
        if (tni_stack_comes_back(rc)) {
            classes &= ~class; /* it may need a larger one; another task may not */
        } else if (give_to_waiter(runtime, class, stack)) {
            if (stack != NULL)
                count--; /* otherwise the stack is for the next one */
        } else if (stack != NULL) {
            tni_stack_put(&runtime->stacks, NULL, stack);
            classes = UINT32_MAX;
        }
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
