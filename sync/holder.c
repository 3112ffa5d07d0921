/* SPDX-License-Identifier: MIT */
/* Recording which task holds a lock, and reading it for the wait-for graph. */
#include "holder.h"

#include "base/tls.h"
#include "sched/holder_upcalls.h"
#include "sched/runtime.h"

void tni_holder_set_slowly(tni_holder *holder)
{
    const tn_task *task = tni_tls_get()->task;

    /* Relaxed: the task rests after it, which publishes the word; partner: tni_task_borrow. */
    tni_a64_store(&holder->key, task != NULL ? tni_runtime_holder_key(task) : 0, TNI_RELAXED);
}

uint64_t tni_holder_awaited(const tn_future *awaited)
{
    const tni_holder *holder = tni_mutex_awaited(awaited);
    uint64_t key;

    if (holder == NULL)
        holder = tni_rwlock_awaited(awaited);
    /* Relaxed: what the holder wrote before it rested is observed by the borrow of that task (README.md, "Holders"). */
    if (holder == NULL)
        return 0;
    key = tni_a64_load(&holder->key, TNI_RELAXED);
    return key != 0 ? key : TNI_HOLDERS_UNRECORDED;
}
