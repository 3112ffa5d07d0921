/* SPDX-License-Identifier: MIT */
/* Threads and cores: how workers start, how spares offer themselves, and how a core goes from a stuck worker to one of them.
 * README.md ("Stuck workers") has the argument. */
#include "sched/worker_replacement.h"

#include <stdio.h>

#include "sched/runtime.h"

/* Runtime's lock held, or nobody else there yet. */
static void give_core(tni_worker *worker, tni_core *core)
{
    /* Relaxed: published with the core below. */
    tni_a32_store(&worker->claim, TNI_CLAIM_HELD, TNI_RELAXED);
    /* Release: who finds the worker by its core finds it whole; partners: tni_worker_wake_if_parked, tni_schedule_wake_one. */
    tni_aptr_store(&core->worker, worker, TNI_RELEASE);
    /* Release: hands over the core as the holder before left it, and the claim word; partners: tni_worker_was_given and
     * tni_worker_claim. */
    tni_aptr_store(&worker->core, core, TNI_RELEASE);
}

void tni_worker_offer(tni_worker *worker)
{
    tn_runtime *runtime = worker->runtime;

    tni_os_mutex_lock(&runtime->lock);
    if (worker->coming)
        runtime->spares_coming--;
    worker->coming = false;
    if (!tni_worker_was_given(worker)) {
        worker->next_spare = runtime->spares;
        runtime->spares = worker;
        runtime->spare_count++;
    }
    tni_os_mutex_unlock(&runtime->lock);
    tni_monitor_notice(runtime); /* all cores may have been parked while this thread was inside a task: the last to look for */
}

bool tni_worker_was_given(const tni_worker *worker)
{
    /* Acquire: the core as the holder before left it; partner: give_core. */
    return tni_aptr_load(&worker->core, TNI_ACQUIRE) != NULL;
}

void tni_worker_withdraw(tni_worker *worker)
{
    tn_runtime *runtime = worker->runtime;
    tni_worker **link;

    tni_os_mutex_lock(&runtime->lock);
    for (link = &runtime->spares; *link != NULL; link = &(*link)->next_spare)
        if (*link == worker) {
            *link = worker->next_spare;
            runtime->spare_count--;
            break;
        }
    tni_os_mutex_unlock(&runtime->lock);
}

/* Lock held. A worker that has lost its core inside a task finds that out when it enters; until then it still names the core. */
static bool holds_core(const tni_worker *worker)
{
    /* Relaxed, both: where a core goes is written under the lock; a worker that forgets its core just now holds none. */
    const tni_core *core = tni_aptr_load(&worker->core, TNI_RELAXED);

    return core != NULL && tni_aptr_load(&core->worker, TNI_RELAXED) == worker;
}

bool tni_worker_is_replacement(const tni_worker *worker)
{
    const tni_worker *spare = worker->runtime->spares;

    while (spare != NULL && spare != worker)
        spare = spare->next_spare;
    return spare != NULL;
}

bool tni_workers_have_nothing(tn_runtime *runtime)
{
    bool nothing = true;

    tni_os_mutex_lock(&runtime->lock);
    for (const tni_worker *worker = runtime->workers; worker != NULL && nothing; worker = worker->next_worker) {
        /* Relaxed: mail that is sent later is sent by somebody awake, which the caller finds out. */
        nothing = tni_aptr_load(&worker->mailbox, TNI_RELAXED) == NULL &&
                  (holds_core(worker) || tni_worker_is_replacement(worker));
    }
    tni_os_mutex_unlock(&runtime->lock);
    return nothing;
}

bool tni_worker_replace(tni_worker *victim)
{
    tn_runtime *runtime = victim->runtime;
    tni_worker *spare;
    tni_core *core = NULL;

    tni_os_mutex_lock(&runtime->lock);
    spare = runtime->spares;
    if (spare != NULL && !tni_runtime_is_stopping(runtime))
        core = tni_worker_claim(victim);
    if (core != NULL) {
        runtime->spares = spare->next_spare;
        runtime->spare_count--;
        tni_count(&core->counts.cores_handed_over, 1); /* nobody else holds it now */
        give_core(spare, core);
    }
    tni_os_mutex_unlock(&runtime->lock);
    if (core != NULL)
        tni_worker_unpark(spare);
    return core != NULL;
}

/* How many spares to start; they are counted as coming. */
static unsigned spares_to_start(tn_runtime *runtime, unsigned wanted)
{
    unsigned max = runtime->options.replacement_threads_max != 0 ? runtime->options.replacement_threads_max
                                                                 : TNI_REPLACEMENT_THREADS_DEFAULT;
    unsigned have = runtime->spare_count + runtime->spares_coming;
    unsigned missing = wanted > have ? wanted - have : 0;
    unsigned room = max > runtime->spare_threads ? max - runtime->spare_threads : 0;

    if (tni_runtime_is_stopping(runtime))
        return 0;
    return missing < room ? missing : room;
}

bool tni_worker_provide_replacements(tn_runtime *runtime, unsigned wanted)
{
    unsigned count;
    bool enough;

    tni_os_mutex_lock(&runtime->lock);
    count = spares_to_start(runtime, wanted);
    runtime->spares_coming += count;
    runtime->spare_threads += count;
    enough = runtime->spare_count + runtime->spares_coming >= wanted || tni_runtime_is_stopping(runtime);
    tni_os_mutex_unlock(&runtime->lock);
    for (unsigned i = 0; i < count; i++) {
        tni_worker *spare;
        if (tni_worker_start(runtime, NULL, &spare) == 0)
            continue;
        tni_os_mutex_lock(&runtime->lock);
        runtime->spares_coming--; /* no thread to be had: the victim keeps its core */
        runtime->spare_threads--;
        tni_os_mutex_unlock(&runtime->lock);
        enough = false;
    }
    return enough;
}

static tni_worker *new_worker(tn_runtime *runtime, tni_core *core)
{
    tni_worker *worker = tni_alloc(&runtime->allocator, sizeof *worker, _Alignof(tni_worker));

    if (worker == NULL)
        return NULL;
    worker->runtime = runtime;
    worker->asymmetric = runtime->asymmetric;
    worker->until_ns = TNI_FOREVER;
    tni_aptr_init(&worker->core, NULL);
    tni_a32_init(&worker->in_runtime, 0);
    tni_a32_init(&worker->claim, TNI_CLAIM_HELD);
    tni_a32_init(&worker->blocking, 0);
    tni_aptr_init(&worker->native, NULL);
    tni_aptr_init(&worker->current, NULL);
    tni_a32_init(&worker->rounds, 0);
    worker->coming = core == NULL;
    tni_aptr_init(&worker->mailbox, NULL);
    tni_parker_init(&worker->parker);
    if (core != NULL)
        give_core(worker, core);
    return worker;
}

/* Runtime's lock held. */
static void add_worker(tn_runtime *runtime, tni_worker *worker)
{
    worker->next_worker = runtime->workers;
    runtime->workers = worker;
}

int tni_worker_start(tn_runtime *runtime, tni_core *core, tni_worker **out)
{
    tni_worker *worker = new_worker(runtime, core);
    int rc;

    if (worker == NULL)
        return TN_ENOMEM;
    (void)snprintf(worker->name, sizeof worker->name, "%s-%u", runtime->name, core != NULL ? core->index : runtime->core_count);
    worker->owns_thread = true;
    tni_os_mutex_lock(&runtime->lock); /* destroy finds the worker in the list, or we find that it is stopping */
    if (tni_runtime_is_stopping(runtime)) {
        rc = TN_ESHUTDOWN;
    } else {
        /* Relaxed: counted before it can end; destroy reads it behind the lock. */
        (void)tni_a32_fetch_add(&runtime->threads, 1, TNI_RELAXED);
        (void)tni_a32_fetch_add(&runtime->references, 1, TNI_RELAXED); /* relaxed: we hold one */
        rc = tni_thread_start(&worker->thread, tni_worker_main, worker);
        if (rc == 0) {
            add_worker(runtime, worker);
        } else {
            (void)tni_a32_fetch_sub(&runtime->threads, 1, TNI_RELAXED);    /* relaxed: as above */
            (void)tni_a32_fetch_sub(&runtime->references, 1, TNI_RELAXED); /* relaxed: as above */
        }
    }
    tni_os_mutex_unlock(&runtime->lock);
    if (rc != 0) {
        if (core != NULL)
            tni_aptr_store(&core->worker, NULL, TNI_RELAXED); /* relaxed: nobody else is there yet */
        tni_free(&runtime->allocator, worker, sizeof *worker);
        return rc;
    }
    *out = worker;
    return 0;
}

int tni_worker_adopt(tn_runtime *runtime, tni_core *core, tni_worker **out)
{
    tni_worker *worker = new_worker(runtime, core);

    if (worker == NULL)
        return TN_ENOMEM;
    add_worker(runtime, worker);
    *out = worker;
    return 0;
}
