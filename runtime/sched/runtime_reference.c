/* SPDX-License-Identifier: MIT */
/* What keeps a runtime in memory: its threads, and external threads that access it on behalf of a waker or handle. README.md
 * ("Shutdown") has the order in which they end. */
#include "base/order.h"
#include "sched/runtime.h"
#include "sched/runtime_upcalls.h"

void tni_runtime_external_begin(tn_runtime *runtime)
{
    /* Relaxed: the read-modify-write of a task's state word that follows publishes it to tni_task_abandon and
     * tni_task_mark_outliving. */
    (void)tni_a32_fetch_add(&runtime->externals, 1, TNI_RELAXED);
}

void tni_runtime_external_end(tn_runtime *runtime)
{
    /* Release: this thread's accesses are over; partner: tni_runtime_wait_for_externals. */
    (void)tni_a32_fetch_sub(&runtime->externals, 1, TNI_RELEASE);
}

void tni_runtime_wait_for_externals(tn_runtime *runtime)
{
    /* Acquire: observes what the external threads did; partner: tni_runtime_external_end. */
    while (tni_a32_load(&runtime->externals, TNI_ACQUIRE) != 0)
        tni_thread_yield();
}

void tni_runtime_retain(tn_runtime *runtime)
{
    /* Relaxed: the caller holds a reference, or is one of the runtime's tasks; one more publishes nothing. */
    (void)tni_a32_fetch_add(&runtime->references, 1, TNI_RELAXED);
}

void tni_runtime_release(tn_runtime *runtime)
{
    /* Acq_rel: the last thread observes the last access of every other one. */
    if (tni_a32_fetch_sub(&runtime->references, 1, TNI_ACQ_REL) == 1)
        tni_runtime_retire(runtime);
}

void tni_runtime_thread_ended(tn_runtime *runtime)
{
    tni_order_release();
    /* Release: the thread's actions are done; partner: wait_for_threads (runtime_shutdown.c). After the last reference the
     * word may be gone, so the wake comes before. */
    (void)tni_a32_fetch_sub(&runtime->threads, 1, TNI_RELEASE);
    tni_futex_wake(&runtime->threads, 1);
    tni_runtime_release(runtime);
}
