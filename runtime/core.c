#include "core.h"

#include "local.h"
#include "runtime.h"
#include "worker.h"

int tni_core_init(tni_core *core, tn_runtime *runtime, unsigned index)
{
    core->runtime = runtime;
    core->index = index;
    core->ticks_period = TNI_TICKS_MAX;
    tni_a32_init(&core->ticks_left, TNI_TICKS_MAX);
    core->polled_ns = tni_clock_ns();
    core->took_turns_ns = core->polled_ns;
    tni_a64_init(&core->looked_ns, core->polled_ns);
    core->looked_runs = 0;
    core->run_ns = TNI_BACKLOG_NS;
    core->random = tni_random_seed();
    core->next_streak = 0;
    core->batching = false;
    core->batch = 0;
    tni_slab_cache_init(&core->slabs, &runtime->allocator, index, runtime->core_count + 1);
    tni_aptr_init(&core->worker, NULL);
    tni_aptr_init(&core->next, NULL);
    tni_a32_init(&core->serving, 0);
    tni_deque_init(&core->queues[0]);
    tni_deque_init(&core->queues[1]);
    tni_timers_init(&core->timers);
    return tni_driver_init(&core->driver);
}

void tni_core_fini(tni_core *core)
{
    tni_timers_fini(&core->timers);
    tni_slab_cache_fini(&core->slabs);
}

tni_core *tni_worker_enter_claimed(tni_worker *worker, tni_core *core)
{
    uint32_t claiming = TNI_CLAIM_CLAIMING;

    /* Acq_rel: exactly one of this and the taker's exchange succeeds; partner: tni_worker_claim. */
    if (tni_a32_cas(&worker->claim, &claiming, TNI_CLAIM_HELD, TNI_ACQ_REL) || claiming == TNI_CLAIM_HELD)
        return core; /* refused, or given up by the taker */
    /* Taken: from now on the core is somebody else's. Release on core: who mails to this worker looks at it (worker.c). */
    tni_a32_store(&worker->in_runtime, 0, TNI_RELEASE);
    tni_aptr_store(&worker->core, NULL, TNI_RELEASE);
    return NULL;
}

tni_core *tni_core_enter(void)
{
    tni_worker *worker = tni_local_get()->worker;

    return worker == NULL ? NULL : tni_worker_enter(worker);
}

void tni_core_leave(void)
{
    tni_worker_leave(tni_local_get()->worker);
}

bool tni_worker_is_outside(const tni_worker *worker)
{
    /* Relaxed, both: a hint. */
    return tni_a32_load(&worker->in_runtime, TNI_RELAXED) == 0 && tni_aptr_load(&worker->core, TNI_RELAXED) != NULL;
}

tni_core *tni_worker_claim(tni_worker *victim)
{
    uint32_t expected = TNI_CLAIM_HELD;
    /* Acquire: the core as its giver set it up. Valid below because a worker that loses its core does so only after TAKEN. */
    tni_core *core = tni_aptr_load(&victim->core, TNI_ACQUIRE);

    if (core == NULL)
        return NULL;
    /* Acq_rel: publishes the claim before we look whether it is in; partner: tni_worker_enter. */
    if (!tni_a32_cas(&victim->claim, &expected, TNI_CLAIM_CLAIMING, TNI_ACQ_REL))
        return NULL;
    /* Orders the claim before the look, in the victim too: either its next enter sees the claim, or we see that it is in. */
    tni_fence_heavy(victim->runtime->asymmetric);
    expected = TNI_CLAIM_CLAIMING;
    /* Observes what the victim did to the core before it left; partner: tni_worker_leave. */
    if (tni_a32_load(&victim->in_runtime, TNI_ACQUIRE) != 0) {
        /* Relaxed would do for us, acq_rel for the victim that refuses at the same time: one of the two succeeds. */
        (void)tni_a32_cas(&victim->claim, &expected, TNI_CLAIM_HELD, TNI_ACQ_REL);
        return NULL;
    }
    /* Acq_rel: as above; success makes the core ours. */
    return tni_a32_cas(&victim->claim, &expected, TNI_CLAIM_TAKEN, TNI_ACQ_REL) ? core : NULL;
}
