/* SPDX-License-Identifier: MIT */
/* tn_tasks_each_running: the tasks that workers are inside of, with their stacks, for profiles. README.md ("The stack of a task
 * that runs") has how a stack is taken. */
#include <tn/inspect.h>

#include "os/os_symbol.h"
#include "sched/runtime.h"
#include "watch/stack_sampler.h"
#include "watch/task_inspect.h"

/* How long the stacks are waited for, all together. A thread may have to wait for a processor before it handles the signal. */
#define SAMPLES_NS (20 * TN_MS)
/* Callers in code without frame pointers. */
#define CALLERS_MAX 8

/* If the innermost code is in another object than the return address in the first frame, it is the C library's or similar:
 * without frame pointers. Then its caller is among the words in between, and nowhere else. */
static void add_hidden_callers(tn_task_info *out, const tni_frames *stack)
{
    if (stack->frames > 0 && tni_os_symbol_same_object(stack->pc, stack->frame[0]))
        return;
    out->frames += tni_os_return_addresses(stack->word, stack->words, out->frame + out->frames, CALLERS_MAX);
}

static void add_stack(tn_task_info *out, const tni_frames *stack)
{
    out->frame[out->frames++] = stack->pc;
    add_hidden_callers(out, stack);
    tni_task_inspect_add_frames(out, stack);
}

/* False: the thread has left the task. */
static bool add_sample(tn_runtime *runtime, const tn_task *task, uint64_t until_ns, tn_task_info *out)
{
    const tni_stack_sample *sample;
    bool inside = true;

    if (!tni_stack_sampler_begin(runtime, 0))
        return true;
    sample = tni_stack_sampler_take(runtime, task, until_ns);
    if (sample != NULL) {
        inside = sample->inside;
        if (sample->asleep)
            out->state = TN_TASK_BLOCKS;
        if (sample->stack.pc != NULL)
            add_stack(out, &sample->stack);
    }
    tni_stack_sampler_end(runtime);
    return inside;
}

/* False: the worker is inside of no task. */
static bool describe(tni_worker *worker, uint64_t until_ns, tn_task_info *out)
{
    /* Acquire: observes the task's header; partner: run_task (worker.c). The task may have ended since, but its memory stays a
     * header. */
    tn_task *task = tni_aptr_load(&worker->current, TNI_ACQUIRE);
    bool inside;

    if (task == NULL || !tni_task_ref_if_alive(task))
        return false;
    tni_task_inspect_describe(task, out);
    /* Relaxed: a hint. Another task may have been spawned in the header before the reference was taken. */
    inside = tni_aptr_load(&worker->current, TNI_RELAXED) == task && add_sample(worker->runtime, task, until_ns, out);
    tni_task_inspect_release(task);
    return inside;
}

void tn_tasks_each_running(tn_runtime *runtime, tn_task_info_fn fn, void *ctx)
{
    uint64_t until_ns = tni_clock_ns() + SAMPLES_NS;
    tni_worker *worker;
    tn_task_info info;

    if (tni_runtime_is_inherited(runtime))
        return;
    tni_os_mutex_lock(&runtime->lock);
    worker = runtime->workers;
    tni_os_mutex_unlock(&runtime->lock);
    /* Without the lock: a worker leaves the list only with the runtime, and new ones come in front. */
    for (; worker != NULL; worker = worker->next_worker)
        if (describe(worker, until_ns, &info) && !fn(ctx, &info))
            return;
}
