/* SPDX-License-Identifier: MIT */
#include "task/task.h"

#include "base/alloc.h"
#include "base/tls.h"
#include "task/future_set.h"
#include "task/task_hooks.h"
#include "task/task_upcalls.h"

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
    if (task->kind == TNI_TASK_THREAD) {
        tni_free(&tni_alloc_default, task, sizeof *task);
        return;
    }
    if (task->kind == TNI_TASK_MEMBER) {
        tni_future_set_free(task);
        return;
    }
    if (tni_unlikely(task->extras != NULL))
        tni_task_hooks_at_free(task);
    /* No reference is left, also where the last one was not given back but found to be the last. A walk takes nothing from an
     * ended task. Release: the walk of retiring, which finds it free, sees that we are a guest still; partner: tni_task_orphan.
     * Relaxed, this store would end the release sequence of drop_reference, and the runtime could go while we touch it. */
    tni_a64_store(&task->state, TNI_TASK_COMPLETE, TNI_RELEASE);
    tni_core_free_task(task);
}

void tni_task_abandon(tn_task *task)
{
    /* Relaxed: the CAS checks it. */
    uint64_t old = tni_a64_load(&task->state, TNI_RELAXED);
    uint64_t wanted;

    do {
        wanted = (old | TNI_TASK_COMPLETE | TNI_TASK_ABANDONED) & ~TNI_TASK_ACTIVE;
        /* Acq_rel: as tni_task_complete; a wake from outside comes before (then its guest is seen) or finds it ended. */
    } while (!tni_a64_cas(&task->state, &old, wanted, TNI_ACQ_REL));
}

bool tni_task_orphan(tn_task *task)
{
    /* Acq_rel: whoever gives a reference back comes before, and its guest is seen, or after, and sees the flag. */
    return tni_a64_fetch_or(&task->state, TNI_TASK_ORPHAN, TNI_ACQ_REL) >= TNI_TASK_REF;
}

/* Release: our accesses are over; acquire: so are everybody's, for the last one, who frees. Answers the word as it was. */
static uint64_t drop_reference(tn_task *task)
{
    uint64_t old = tni_a64_fetch_sub(&task->state, TNI_TASK_REF, TNI_ACQ_REL); /* as above */

    tni_assert(old >= TNI_TASK_REF, "a task is released more often than retained");
    tni_assert(old / TNI_TASK_REF > 1 || (old & TNI_TASK_COMPLETE) || task->kind == TNI_TASK_THREAD,
               "the scheduler's reference was released by another");
    return old;
}

/* A thread of no runtime, or of another one: from the moment the reference is gone, only being a guest keeps the runtime here. */
static void unref_from_outside(tn_runtime *runtime, tn_task *task)
{
    uint64_t old;
    bool orphan;

    tni_runtime_external_begin(runtime);
    old = drop_reference(task);
    orphan = old & TNI_TASK_ORPHAN;
    if (old / TNI_TASK_REF == 1 && !orphan)
        tni_task_free(task);
    else if (old / TNI_TASK_REF == 1 && task->extras != NULL)
        tni_task_hooks_at_free(task);
    tni_runtime_external_end(runtime);
    if (old / TNI_TASK_REF == 1 && orphan)
        tni_runtime_unpin(runtime);
}

/* Ours is the only reference to a task that has ended: nobody can take another one, so it need not be given back. */
static bool is_last_reference(const tn_task *task)
{
    /* Acquire: everybody else's last access; partner: drop_reference. */
    uint64_t state = tni_a64_load(&task->state, TNI_ACQUIRE);

    return state / TNI_TASK_REF == 1 && (state & TNI_TASK_COMPLETE);
}

void tni_task_unref(tn_task *task)
{
    tn_runtime *runtime = task->runtime;

    if (runtime != NULL && !tni_runtime_owns_caller(runtime))
        unref_from_outside(runtime, task);
    else if (is_last_reference(task) || drop_reference(task) / TNI_TASK_REF == 1)
        tni_task_free(task);
}

void tni_task_wake(tn_task *task)
{
    tn_runtime *runtime = task->runtime;
    bool guest = runtime != NULL && !tni_runtime_owns_caller(runtime);

    if (guest)
        tni_runtime_external_begin(runtime);
    if (tni_task_notify(task))
        tni_schedule_ready(task);
    if (guest)
        tni_runtime_external_end(runtime);
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

    /* Plain threads may go on, and end, without us, and for others only the reference keeps the runtime: it is needed until the
     * wake is done. */
    if (task->runtime == NULL || !tni_runtime_owns_caller(task->runtime)) {
        tni_task_wake(task);
        tni_task_unref(task);
        return;
    }
    /* The reference goes with the wake in one step: it is not the last, a task that has not ended is the scheduler's too, and
     * it does not end before we have queued it. */
    if (tni_task_notify_spending(task, TNI_TASK_REF, &ended))
        tni_schedule_ready(task);
    else if (ended)
        tni_task_unref(task);
}

void tn_waker_wake_by_ref(tn_waker *waker)
{
    tni_task_wake(tni_task_of(waker));
}

/* --- Handles ---------------------------------------------------------------------------------------------------------------- */

tn_task *tn_task_retain(tn_task *task)
{
    tni_task_ref(task);
    return task;
}

void tn_task_release(tn_task *task)
{
    if (task != NULL)
        tni_task_unref(task);
}

bool tn_task_is_finished(const tn_task *task)
{
    return tni_task_has_ended(task);
}

uint64_t tn_task_id(const tn_task *task)
{
    return task->id;
}

const char *tn_task_name(const tn_task *task)
{
    return task->name;
}

tn_task *tn_self(void)
{
    return tni_tls_get()->task;
}
