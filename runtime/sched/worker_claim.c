/* SPDX-License-Identifier: MIT */
/* The claim word of a worker: how it keeps its core, and how another thread takes the core. core.h has the protocol. */
#include "sched/worker.h"

#include "sched/runtime.h"

tni_core *tni_worker_enter_claimed(tni_worker *worker, tni_core *core)
{
    uint32_t claiming = TNI_CLAIM_CLAIMING;

    /* Acq_rel: exactly one of this exchange and the claimer's succeeds; partner: tni_worker_claim. */
    if (tni_a32_cas(&worker->claim, &claiming, TNI_CLAIM_HELD, TNI_ACQ_REL) || claiming == TNI_CLAIM_HELD) {
        tni_worker_record_enter(worker, core);
        return core; /* refused, or the claimer has given up */
    }
    /* Taken: from now on the core belongs to another thread. Release on core: a thread that mails to this worker reads it
     * (worker.c). */
    tni_a32_store(&worker->in_runtime, 0, TNI_RELEASE);
    tni_aptr_store(&worker->core, NULL, TNI_RELEASE);
    return NULL;
}

bool tni_worker_is_outside(const tni_worker *worker)
{
    /* Relaxed, both: a hint. */
    return tni_a32_load(&worker->in_runtime, TNI_RELAXED) == 0 && tni_aptr_load(&worker->core, TNI_RELAXED) != NULL;
}

tni_core *tni_worker_claim(tni_worker *victim)
{
    uint32_t expected = TNI_CLAIM_HELD;
    /* Acquire: observes the core as give_core_locked left it. It stays valid below because a worker loses its core only after
     * TAKEN. */
    tni_core *core = tni_aptr_load(&victim->core, TNI_ACQUIRE);
    bool ordered;

    if (core == NULL)
        return NULL;
    /* Acq_rel: publishes the claim before the check whether the victim is in; partner: tni_worker_enter. */
    if (!tni_a32_cas(&victim->claim, &expected, TNI_CLAIM_CLAIMING, TNI_ACQ_REL))
        return NULL;
    /* Orders the claim before the check, in the victim too: either its next enter sees the claim, or this check sees that it
     * is in. */
    ordered = tni_fence_heavy(victim->runtime->asymmetric);
    expected = TNI_CLAIM_CLAIMING;
    /* Without the order nothing is known, and the claim is given up. Acquire: observes what the victim did to the core before it
     * left; partner: tni_worker_leave. */
    if (!ordered || tni_a32_load(&victim->in_runtime, TNI_ACQUIRE) != 0) {
        /* Acq_rel for the victim, which may refuse at the same time: one of the two exchanges succeeds. This thread alone
         * would need only relaxed. */
        (void)tni_a32_cas(&victim->claim, &expected, TNI_CLAIM_HELD, TNI_ACQ_REL);
        return NULL;
    }
    /* Acq_rel: as above; success gives this thread the core. */
    return tni_a32_cas(&victim->claim, &expected, TNI_CLAIM_TAKEN, TNI_ACQ_REL) ? core : NULL;
}
