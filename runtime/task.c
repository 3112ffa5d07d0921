#include "task.h"

#include "core.h"
#include "runtime.h"
#include "schedule.h"

bool tni_task_ref_if_alive(tn_task *task)
{
    /* Relaxed: the CAS checks it. */
    uint64_t old = tni_a64_load(&task->state, TNI_RELAXED);

    do {
        if ((old & TNI_TASK_COMPLETE) || old < TNI_TASK_REF)
            return false;
        /* Acquire: the header as its birth or last run left it. */
    } while (!tni_a64_cas(&task->state, &old, old + TNI_TASK_REF, TNI_ACQ_REL));
    return true;
}

void tni_task_free(tn_task *task)
{
    tn_runtime *runtime = task->runtime;
    tni_core *core;

    if (task->kind == TNI_TASK_THREAD) {
        tni_free(&tni_alloc_default, task, sizeof *task);
        return;
    }
    core = tni_core_enter();
    tni_slab_free(core != NULL && core->runtime == runtime ? &core->slabs : NULL, task);
    if (core != NULL)
        tni_core_leave();
}

void tni_task_unref(tn_task *task)
{
    /* Release: our accesses are over; acquire: so are everybody's, for the last one, who frees. */
    uint64_t old = tni_a64_fetch_sub(&task->state, TNI_TASK_REF, TNI_ACQ_REL);

    tni_assert(old >= TNI_TASK_REF, "a task is released more often than retained");
    if (old / TNI_TASK_REF > 1)
        return;
    tni_assert((old & TNI_TASK_COMPLETE) || task->kind == TNI_TASK_THREAD, "the scheduler's reference was released by another");
    tni_task_free(task);
}

void tni_task_wake(tn_task *task)
{
    if (tni_task_notify(task))
        tni_sched_ready(task);
}

tn_waker *tn_waker_retain(tn_waker *waker)
{
    tni_task_ref(tni_task_of(waker));
    return waker;
}

void tn_waker_release(tn_waker *waker)
{
    tni_task_unref(tni_task_of(waker));
}

void tn_waker_wake(tn_waker *waker)
{
    tn_task *task = tni_task_of(waker);
    bool ended;

    if (task->kind == TNI_TASK_THREAD) { /* it may go on, and end, without us: the reference is needed until the wake is done */
        tni_task_wake(task);
        tni_task_unref(task);
        return;
    }
    /* The reference goes with the wake in one step: it is not the last, a task that has not ended is the scheduler's too, and it does
     * not end before we have queued it. */
    if (tni_task_notify_spending(task, TNI_TASK_REF, &ended))
        tni_sched_ready(task);
    else if (ended)
        tni_task_unref(task);
}

void tn_waker_wake_by_ref(tn_waker *waker)
{
    tni_task_wake(tni_task_of(waker));
}
