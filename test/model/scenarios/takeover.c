/* SPDX-License-Identifier: MIT */
/* Core access: a worker that enters and leaves the runtime, and a claimer. No two threads use a core at the same time, and a
 * worker that has lost its core detects that. */
#include "base/tls.h"
#include "model.h"
#include "sched/runtime.h"
#include "small_runtime.h"

#define ROUNDS 3

typedef struct {
    tn_runtime *runtime;
    tni_core *core;
    tni_worker *victim;
    tni_worker *spare;
    tni_core *taken; /* the claimer's */
} takeover;

static void setup(void *state)
{
    takeover *t = state;

    t->runtime = small_runtime_create();
    t->core = t->runtime->cores[0];
    t->victim = t->runtime->workers;
    model_check(tni_worker_adopt(t->runtime, NULL, &t->spare) == 0);
    tni_worker_offer(t->spare);
    model_name(&t->spare->core, 8, "spare.core");
    model_name(&t->spare->claim, 4, "spare.claim");
    model_name(&t->spare->in_runtime, 4, "spare.in_runtime");
    model_name(&t->spare->parker, 4, "spare.parker");
    model_name(&t->runtime->lock, sizeof(tni_os_mutex), "runtime.lock");
    model_name(&t->runtime->stopping, 4, "stopping");
}

/* Writes fields of the holder, for which two at once would race. */
static void use(tni_core *core)
{
    core->clock_read_runs++;
}

/* Enters once, and again from inside. Returns false if the core is gone. */
static bool enter_and_leave(void)
{
    tni_core *core = tni_core_enter();

    if (core == NULL)
        return false;
    model_check(tni_core_enter() == core);
    use(core);
    tni_core_leave();
    use(core);
    tni_core_leave();
    return true;
}

static void play(tni_worker *worker)
{
    tni_tls_get()->worker = worker;
    tni_tls_get()->runtime = worker->runtime;
}

/* A worker that has lost the core stays without one, whatever it tries. */
static void come_and_go(void *state)
{
    takeover *t = state;
    bool lost = false;

    play(t->victim);
    for (unsigned i = 0; i < ROUNDS; i++) {
        bool in = enter_and_leave();
        model_check(!in || !lost);
        lost = !in;
    }
}

static void claim(void *state)
{
    takeover *t = state;
    tni_core *core = tni_worker_claim(t->victim);

    if (core == NULL)
        return;
    use(core);
    t->taken = core;
}

/* A second attempt may succeed where the first was refused. */
static void claim_twice(void *state)
{
    claim(state);
    if (((takeover *)state)->taken == NULL)
        claim(state);
}

/* --- Cores that are handed over --------------------------------------------------------------------------------------------- */

/* Like the loop of a worker: uses its core that many times. Returns false if the core is gone, or at the end. */
static bool hold(takeover *t, unsigned *rounds)
{
    while (!tni_runtime_is_stopping(t->runtime) && enter_and_leave())
        if (--*rounds == 0)
            return true;
    return false;
}

/* Like wait_for_core in worker.c, after tni_worker_offer. */
static void wait_for_core(takeover *t, tni_worker *worker)
{
    while (!tni_runtime_is_stopping(t->runtime) && !tni_worker_was_given(worker))
        tni_parker_wait(&worker->parker, TNI_FOREVER);
    tni_worker_withdraw(worker);
}

static void live_as_victim(void *state)
{
    takeover *t = state;
    unsigned rounds = 2;

    play(t->victim);
    while (!hold(t, &rounds) && !tni_runtime_is_stopping(t->runtime)) {
        tni_worker_offer(t->victim);
        wait_for_core(t, t->victim);
    }
}

static void live_as_spare(void *state)
{
    takeover *t = state;
    unsigned rounds = 2;

    play(t->spare);
    wait_for_core(t, t->spare);
    (void)hold(t, &rounds);
}

/* Replaces each of the two in turn, then stops them. */
static void replace_and_stop(void *state)
{
    takeover *t = state;

    if (tni_worker_replace(t->victim))
        (void)tni_worker_replace(t->spare);
    tni_os_mutex_lock(&t->runtime->lock);
    tni_a32_store(&t->runtime->stopping, 1, TNI_RELEASE);
    tni_worker_unpark(t->victim);
    tni_worker_unpark(t->spare);
    tni_os_mutex_unlock(&t->runtime->lock);
}

/* --- Ends ------------------------------------------------------------------------------------------------------------------- */

static void check_holder(const takeover *t, tni_worker *worker)
{
    bool knows = tni_aptr_load(&worker->core, TNI_RELAXED) != NULL;
    bool taken = tni_a32_load(&worker->claim, TNI_RELAXED) == TNI_CLAIM_TAKEN;
    bool held = tni_aptr_load(&t->core->worker, TNI_RELAXED) == worker && t->taken == NULL;

    model_check(tni_a32_load(&worker->in_runtime, TNI_RELAXED) == 0);
    model_check(tni_a32_load(&worker->claim, TNI_RELAXED) != TNI_CLAIM_CLAIMING);
    model_check((knows && !taken) == held);
}

/* The core goes back to the worker with which the runtime was created, and everything with it. */
static void finish(void *state)
{
    takeover *t = state;

    check_holder(t, t->victim);
    check_holder(t, t->spare);
    use(t->core);
    tni_a32_store(&t->runtime->stopping, 0, TNI_RELAXED);
    tni_a32_store(&t->victim->claim, TNI_CLAIM_HELD, TNI_RELAXED);
    tni_aptr_store(&t->victim->core, t->core, TNI_RELAXED);
    tni_aptr_store(&t->core->worker, t->victim, TNI_RELAXED);
    small_runtime_destroy(t->runtime);
}

#define CASE(what, ...) \
    { \
        .name = "takeover." what, .state_bytes = sizeof(takeover), .setup = setup, .finish = finish, __VA_ARGS__ \
    }

const model_scenario model_scenarios[] = {
    CASE("claim", .threads = {come_and_go, claim_twice}),
    CASE("claim_denied", .threads = {come_and_go, claim_twice}, .denied = true),
    CASE("claim_symmetric", .threads = {come_and_go, claim_twice}, .symmetric = true),
    CASE("replace", .threads = {live_as_victim, live_as_spare, replace_and_stop}, .no_chance = true),
    {0},
};
