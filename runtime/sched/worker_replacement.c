/* SPDX-License-Identifier: MIT */
/* Threads and cores: how workers start, how replacement threads wait for a core, and how a core moves from a stuck worker to
 * one of them. README.md ("Stuck workers") has the argument. */
#include "sched/worker_replacement.h"

#include <stdio.h>

#include "sched/runtime.h"
#include "sched/worker_cpus.h"

/* The core has no holder. */
static void give_core_locked(tni_worker *worker, tni_core *core)
{
    tni_os_mutex_assert_held(&worker->runtime->lock);
    /* Relaxed: published with the core below. */
    tni_a32_store(&worker->claim, TNI_CLAIM_HELD, TNI_RELAXED);
    /* Release: a thread that finds the worker by its core observes it initialized; partners: tni_worker_wake_if_parked,
     * tni_schedule_wake_one. */
    tni_aptr_store(&core->worker, worker, TNI_RELEASE);
    /* Release: publishes the core as the previous holder left it, and the claim word; partners: tni_worker_was_given and
     * tni_worker_claim. */
    tni_aptr_store(&worker->core, core, TNI_RELEASE);
}

void tni_worker_offer(tni_worker *worker)
{
    tn_runtime *runtime = worker->runtime;

    tni_worker_roam(worker);
    tni_os_mutex_lock(&runtime->lock);
    if (worker->is_starting)
        runtime->replacements_starting--;
    worker->is_starting = false;
    if (!tni_worker_was_given(worker)) {
        worker->next_replacement = runtime->replacements;
        runtime->replacements = worker;
        runtime->replacement_count++;
    }
    tni_os_mutex_unlock(&runtime->lock);
    tni_monitor_notice(runtime); /* all cores may have been parked while this thread was inside a task: it may have been the
                                  * last obstacle to a deadlock report */
}

bool tni_worker_was_given(const tni_worker *worker)
{
    /* Acquire: observes the core as the previous holder left it; partner: give_core_locked. */
    return tni_aptr_load(&worker->core, TNI_ACQUIRE) != NULL;
}

void tni_worker_withdraw(tni_worker *worker)
{
    tn_runtime *runtime = worker->runtime;
    tni_worker **link;

    tni_os_mutex_lock(&runtime->lock);
    for (link = &runtime->replacements; *link != NULL; link = &(*link)->next_replacement)
        if (*link == worker) {
            *link = worker->next_replacement;
            runtime->replacement_count--;
            break;
        }
    tni_os_mutex_unlock(&runtime->lock);
}

/* A worker that has lost its core inside a task learns this when it enters; until then its `core` still names the core. */
static bool holds_core_locked(const tni_worker *worker)
{
    /* Relaxed, both: the holder of a core changes under the lock. A worker that clears its own `core` at this moment holds
     * none. */
    const tni_core *core = tni_aptr_load(&worker->core, TNI_RELAXED);

    tni_os_mutex_assert_held(&worker->runtime->lock);
    return core != NULL && tni_aptr_load(&core->worker, TNI_RELAXED) == worker;
}

bool tni_worker_is_replacement_locked(const tni_worker *worker)
{
    const tni_worker *replacement = worker->runtime->replacements;

    tni_os_mutex_assert_held(&worker->runtime->lock);
    while (replacement != NULL && replacement != worker)
        replacement = replacement->next_replacement;
    return replacement != NULL;
}

bool tni_workers_have_nothing(tn_runtime *runtime)
{
    bool nothing = true;

    tni_os_mutex_lock(&runtime->lock);
    for (const tni_worker *worker = runtime->workers; worker != NULL && nothing; worker = worker->next_worker) {
        /* Mail that is sent later comes from a thread that is awake, which the caller detects. */
        nothing = tni_inbox_is_empty(&worker->mailbox) && (holds_core_locked(worker) || tni_worker_is_replacement_locked(worker));
    }
    tni_os_mutex_unlock(&runtime->lock);
    return nothing;
}

bool tni_worker_replace(tni_worker *victim)
{
    tn_runtime *runtime = victim->runtime;
    tni_worker *replacement;
    tni_core *core = NULL;

    tni_os_mutex_lock(&runtime->lock);
    replacement = runtime->replacements;
    if (replacement != NULL && !tni_runtime_is_stopping(runtime))
        core = tni_worker_claim(victim);
    if (core != NULL) {
        runtime->replacements = replacement->next_replacement;
        runtime->replacement_count--;
        tni_count(&core->counts.cores_handed_over, 1); /* no other thread holds it now */
        give_core_locked(replacement, core);
    }
    tni_os_mutex_unlock(&runtime->lock);
    if (core != NULL)
        tni_worker_unpark(replacement);
    return core != NULL;
}

unsigned tni_worker_replacements_max(const tn_runtime *runtime)
{
    unsigned max = runtime->options.replacement_threads_max;

    return max != 0 ? max : TNI_REPLACEMENT_THREADS_DEFAULT;
}

/* How many threads to start; they are counted as starting. */
static unsigned threads_to_start_locked(tn_runtime *runtime, unsigned wanted)
{
    unsigned max = tni_worker_replacements_max(runtime);
    unsigned have = runtime->replacement_count + runtime->replacements_starting;
    unsigned missing = wanted > have ? wanted - have : 0;
    unsigned threads = tni_a32_load(&runtime->replacement_threads, TNI_RELAXED); /* relaxed: written under the lock */
    unsigned allowed = max > threads ? max - threads : 0;

    tni_os_mutex_assert_held(&runtime->lock);
    if (tni_runtime_is_stopping(runtime))
        return 0;
    return missing < allowed ? missing : allowed;
}

/* Adds to the number of threads in excess of the cores, modulo its size. */
static void change_threads_locked(tn_runtime *runtime, uint32_t count)
{
    uint32_t threads = tni_a32_load(&runtime->replacement_threads, TNI_RELAXED); /* relaxed: written under the lock */

    tni_os_mutex_assert_held(&runtime->lock);
    tni_a32_store(&runtime->replacement_threads, threads + count, TNI_RELAXED); /* relaxed: as above; others read a statistic */
}

bool tni_worker_provide_replacements(tn_runtime *runtime, unsigned wanted)
{
    /* Relaxed: a hint, for the log. */
    bool failed = tni_a32_load(&runtime->starter.failed, TNI_RELAXED) != 0;
    unsigned count;
    bool enough;

    tni_os_mutex_lock(&runtime->lock);
    count = threads_to_start_locked(runtime, wanted);
    runtime->replacements_starting += count;
    change_threads_locked(runtime, count);
    enough = runtime->replacement_count + runtime->replacements_starting >= wanted || tni_runtime_is_stopping(runtime);
    tni_os_mutex_unlock(&runtime->lock);
    if (count == 0)
        return enough;
    tni_starter_request_workers(runtime, count);
    return enough && !failed;
}

bool tni_worker_start_replacement(tn_runtime *runtime)
{
    tni_worker *replacement;

    if (tni_worker_start(runtime, NULL, &replacement) == 0)
        return true;
    tni_os_mutex_lock(&runtime->lock);
    runtime->replacements_starting--; /* the victim keeps its core */
    change_threads_locked(runtime, -1U);
    tni_os_mutex_unlock(&runtime->lock);
    return false;
}

static tni_worker *new_worker(tn_runtime *runtime, const tni_core *core)
{
    tni_worker *worker = tni_alloc(&runtime->allocator, sizeof *worker, _Alignof(tni_worker));

    if (worker == NULL)
        return NULL;
    worker->runtime = runtime;
    worker->asymmetric = runtime->asymmetric;
    worker->budget = runtime->options.yield_often ? TNI_BUDGET_OFTEN : TNI_BUDGET;
    worker->until_ns = TNI_FOREVER;
    tni_aptr_init(&worker->core, NULL);
    tni_a32_init(&worker->in_runtime, 0);
    tni_a32_init(&worker->claim, TNI_CLAIM_HELD);
    tni_a32_init(&worker->blocking, 0);
    tni_aptr_init(&worker->native, NULL);
    tni_aptr_init(&worker->current, NULL);
    tni_a32_init(&worker->rounds, 0);
    worker->is_starting = core == NULL;
    tni_inbox_init(&worker->mailbox);
    tni_parker_init(&worker->parker);
    return worker;
}

static void add_worker_locked(tn_runtime *runtime, tni_worker *worker)
{
    tni_os_mutex_assert_held(&runtime->lock);
    worker->number = runtime->workers != NULL ? runtime->workers->number + 1 : 0;
    worker->next_worker = runtime->workers;
    runtime->workers = worker;
    worker->is_listed = true;
}

void tni_worker_add(tni_worker *worker)
{
    tn_runtime *runtime = worker->runtime;

    tni_os_mutex_lock(&runtime->lock);
    if (!worker->is_listed)
        add_worker_locked(runtime, worker);
    tni_os_mutex_unlock(&runtime->lock);
}

/* Counts a thread that is about to be started. */
static bool count_thread(tn_runtime *runtime, tni_core *core, tni_worker *worker)
{
    bool stopping;

    tni_os_mutex_lock(&runtime->lock);
    stopping = tni_runtime_is_stopping(runtime);
    if (!stopping) {
        /* Relaxed: counted before the thread can end; destroy reads it after it has joined the starter. */
        (void)tni_a32_fetch_add(&runtime->threads, 1, TNI_RELAXED);
        (void)tni_a32_fetch_add(&runtime->references, 1, TNI_RELAXED); /* relaxed: the caller holds one */
        if (core != NULL)
            give_core_locked(worker, core);
    }
    tni_os_mutex_unlock(&runtime->lock);
    return !stopping;
}

/* The lock is not held while the thread is started, because that may wait for the lock of the allocator. The new thread and this
 * one add the worker to the list, the first of them. So it is in the list before it runs a task, and before the starter ends: the
 * thread that destroys the runtime joins the starter first, and finds each worker in the list, with its thread. */
int tni_worker_start(tn_runtime *runtime, tni_core *core, tni_worker **out)
{
    tni_worker *worker = new_worker(runtime, core);
    int rc = TN_ESHUTDOWN;

    if (worker == NULL)
        return TN_ENOMEM;
    (void)snprintf(worker->name, sizeof worker->name, "%s-%u", runtime->name, core != NULL ? core->index : runtime->core_count);
    worker->owns_thread = true;
    if (count_thread(runtime, core, worker)) {
        rc = tni_thread_start(&worker->thread, tni_worker_main, worker);
        if (rc != 0) {
            (void)tni_a32_fetch_sub(&runtime->threads, 1, TNI_RELAXED);    /* relaxed: as above */
            (void)tni_a32_fetch_sub(&runtime->references, 1, TNI_RELAXED); /* relaxed: as above */
        }
    }
    if (rc != 0) {
        if (core != NULL)
            tni_aptr_store(&core->worker, NULL, TNI_RELAXED); /* relaxed: no other thread knows the core yet */
        tni_free(&runtime->allocator, worker, sizeof *worker);
        return rc;
    }
    tni_worker_add(worker);
    *out = worker;
    return 0;
}

int tni_worker_adopt(tn_runtime *runtime, tni_core *core, tni_worker **out)
{
    tni_worker *worker = new_worker(runtime, core);

    if (worker == NULL)
        return TN_ENOMEM;
    tni_os_mutex_lock(&runtime->lock); /* no other thread knows the runtime yet, but both functions need the lock */
    if (core != NULL)
        give_core_locked(worker, core);
    add_worker_locked(runtime, worker);
    tni_os_mutex_unlock(&runtime->lock);
    *out = worker;
    return 0;
}
