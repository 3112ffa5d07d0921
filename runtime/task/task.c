/* SPDX-License-Identifier: MIT */
/* Task headers: counting their references, wakers, and the public functions on task handles. */
#include "task/task.h"

#include "base/alloc.h"
#include "base/order.h"
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
        /* Acquire: observes the header as tni_task_publish() or the last run left it. */
    } while (!tni_a64_cas(&task->state, &old, old + TNI_TASK_REF, TNI_ACQ_REL));
    return true;
}

/* tni_task_free for the headers that are in no slab. */
__attribute__((noinline)) static void free_special(tn_task *task)
{
    if (task->kind == TNI_TASK_THREAD)
        tni_free(&tni_alloc_default, task, sizeof *task);
    else
        tni_future_set_free(task);
}

static inline void free_here(const tni_tls *local, tn_task *task)
{
    if (tni_unlikely(task->kind >= TNI_TASK_THREAD)) {
        free_special(task);
        return;
    }
    if (tni_unlikely(task->hooks != NULL)) {
        tni_task_hooks_at_free(task);
        local = tni_tls_get(); /* a function of the program was called */
    }
    tni_task_set_free(task);
    tni_core_free_task(local, task);
}

void tni_task_free(tn_task *task)
{
    free_here(tni_tls_get(), task);
}

void tni_task_abandon(tn_task *task)
{
    /* Relaxed: the CAS checks it. */
    uint64_t old = tni_a64_load(&task->state, TNI_RELAXED);
    uint64_t wanted;

    do {
        wanted = (old | TNI_TASK_COMPLETE | TNI_TASK_ABANDONED) & ~TNI_TASK_ACTIVE;
        /* Acq_rel: as tni_task_complete. An external wake comes before (then its external_begin is seen) or finds it ended. */
    } while (!tni_a64_cas(&task->state, &old, wanted, TNI_ACQ_REL));
}

bool tni_task_mark_outliving(tn_task *task)
{
    /* Acq_rel: a release of a reference comes before, and its tni_runtime_external_begin() is seen, or after, and sees the
     * flag. Partner: drop_reference. */
    return tni_a64_fetch_or(&task->state, TNI_TASK_OUTLIVES, TNI_ACQ_REL) >= TNI_TASK_REF;
}

/* Releases a reference and returns the old word. Release: publishes the accesses of this thread; acquire: the thread that drops
 * the last reference and frees observes the accesses of all others. */
static uint64_t drop_reference(tn_task *task)
{
    uint64_t old = tni_a64_fetch_sub(&task->state, TNI_TASK_REF, TNI_ACQ_REL); /* as above */

    tni_assert(old >= TNI_TASK_REF, "a task is released more often than retained");
    tni_assert(old / TNI_TASK_REF > 1 || (old & TNI_TASK_COMPLETE) || task->kind == TNI_TASK_THREAD,
               "the scheduler's reference was released by another owner");
    return old;
}

/* Called by a thread that is no worker of this runtime. Once its reference is released, only external_begin keeps the
 * runtime. */
static void unref_from_outside(tn_runtime *runtime, tn_task *task)
{
    uint64_t old;
    bool outlives;

    tni_runtime_external_begin(runtime);
    old = drop_reference(task);
    outlives = old & TNI_TASK_OUTLIVES;
    if (old / TNI_TASK_REF == 1 && !outlives)
        tni_task_free(task);
    else if (old / TNI_TASK_REF == 1 && task->hooks != NULL)
        tni_task_hooks_at_free(task);
    tni_runtime_external_end(runtime);
    if (old / TNI_TASK_REF == 1 && outlives)
        tni_runtime_unpin(runtime);
}

void tni_task_unref(tn_task *task)
{
    tn_runtime *runtime = task->runtime;
    const tni_tls *local = tni_tls_get();

    if (tni_unlikely(runtime != NULL && local->runtime != runtime))
        unref_from_outside(runtime, task);
    else if (tni_task_is_last_reference(task) || drop_reference(task) / TNI_TASK_REF == 1)
        free_here(local, task);
}

bool tni_task_unref_unless_last(tn_task *task)
{
    /* Acquire, also as a CAS that fails: if it is the last, observes the accesses of all others; partner: drop_reference. */
    uint64_t old = tni_a64_load(&task->state, TNI_ACQUIRE);

    do {
        if (old / TNI_TASK_REF == 1)
            return false;
        /* Release: publishes the accesses of this thread, as in drop_reference. */
    } while (!tni_a64_cas(&task->state, &old, old - TNI_TASK_REF, TNI_ACQ_REL));
    return true;
}

void tni_task_wake(tn_task *task)
{
    tn_runtime *runtime = task->runtime;
    bool external = runtime != NULL && !tni_tls_is_worker_of(runtime);

    tni_order_release();
    if (external)
        tni_runtime_external_begin(runtime);
    if (tni_task_notify(task))
        tni_schedule_ready(task);
    if (external)
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

    /* The reference is needed until the wake is done: a plain thread may resume and end meanwhile, and for a task of another
     * runtime only the reference keeps that runtime. */
    if (task->runtime == NULL || !tni_tls_is_worker_of(task->runtime)) {
        tni_task_wake(task);
        tni_task_unref(task);
        return;
    }
    tni_order_release();
    if (tni_task_spend_waker(task))
        tni_schedule_ready(task);
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
    bool ended = tni_task_has_ended(task);

    tni_order_acquire();
    return ended;
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
