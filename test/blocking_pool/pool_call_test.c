/* SPDX-License-Identifier: MIT */
/* Calls in several parts, made for a fiber that stops waiting: between two parts, while a part runs, and at random moments. */
/* ctest: timeout=120 */
#include <stdatomic.h>

#include "pool/job.h"
#include "pool/pool_call.h"
#include "pool_jobs.h"
#include "support/runtime.h"

#define PARTS 20
#define ALIVE UINT32_C(0x616c6976)

typedef struct {
    tni_pool_call lent;
    uint32_t alive; /* ALIVE while the call has not returned */
    atomic_uint parts;
    unsigned wanted;
    tt_gate ran; /* opened by the first part, */
    tt_gate go;  /* which returns only after this */
} call;

static call *call_of(tni_work *job)
{
    return tni_container_of(tni_container_of(job, tni_pool_call, base), call, lent);
}

static bool run_part(tni_work *job)
{
    call *self = call_of(job);

    tt_check(self->alive == ALIVE);
    return atomic_fetch_add(&self->parts, 1) + 1 < self->wanted;
}

static bool run_part_at_gate(tni_work *job)
{
    call *self = call_of(job);

    if (tt_gate_opened(&self->ran) == 0) {
        tt_gate_open(&self->ran);
        tt_gate_wait(&self->go, 1);
    }
    return run_part(job);
}

static const tni_work_ops parts = TNI_POOL_CALL_OPS(run_part);
static const tni_work_ops parts_at_gate = TNI_POOL_CALL_OPS(run_part_at_gate);

static tn_runtime *runtime_with_file_threads(unsigned threads)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    options.file_threads = threads;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    return runtime;
}

/* --- Between two parts ------------------------------------------------------------------------------------------------------ */

static void *lend_at_gate(void *arg)
{
    call *self = arg;

    tt_check(tni_pool_call_run(&self->lent, &parts_at_gate, TNI_POOL_FILES) == 0);
    tt_check(tn_checkpoint() == TN_ECANCELED);
    return NULL;
}

static bool is_unwanted(void *lent)
{
    return tni_a32_load(&((tni_pool_call *)lent)->base.state, TNI_ACQUIRE) == TNI_WORK_UNWANTED;
}

static bool is_finished(void *task)
{
    return tn_task_is_finished(task);
}

/* The test holds the pool's lock, so that the thread stops after a part has ended, before it queues the rest of the call. The
 * next job in the queue ends only after this test has checked the call. If the rest were queued behind that job, the fiber's
 * wait would never end. */
Test(lend, a_call_cut_short_between_two_parts_waits_for_nobody)
{
    tn_runtime *runtime = runtime_with_file_threads(1);
    tn_blocking_options options = tn_blocking_options_default();
    call self = {.alive = ALIVE, .wanted = PARTS, .ran = TT_GATE_INIT, .go = TT_GATE_INIT};
    tn_task *task = tt_spawn_on(runtime, lend_at_gate, &self);
    blocker b = BLOCKER_INIT;
    tni_pool *pool;
    tn_job *job;
    int error;

    tt_gate_wait(&self.ran, 1);
    pool = tni_pool_of(runtime, &error);
    cr_assert_eq(tni_job_spawn(pool, TNI_POOL_FILES, &options, &job, block, &b), 0);
    tni_os_mutex_lock(&pool->lock);
    tt_gate_open(&self.go);
    tn_cancel(task);
    cr_assert(tt_wait_until(is_unwanted, &self.lent, 30 * TN_S));
    tni_os_mutex_unlock(&pool->lock);
    cr_assert(tt_wait_until(is_finished, task, 30 * TN_S));
    cr_assert_eq(atomic_load(&self.parts), 1);
    tt_join(task);
    tt_gate_open(&b.end);
    cr_assert_eq(tn_job_join(job, NULL), 0);
    tt_runtime_destroy(runtime);
}

/* --- At random moments ------------------------------------------------------------------------------------------------------ */

static atomic_ulong whole;
static atomic_ulong cut; /* calls that ended between two parts */
static uint64_t give_up_ns;

static void lend_once(uint64_t deadline_ns)
{
    call self = {.alive = ALIVE, .wanted = PARTS};
    TN_SCOPE(scope, deadline_ns);
    int rc = tni_pool_call_run(&self.lent, &parts, TNI_POOL_FILES);
    unsigned done = atomic_load(&self.parts);

    self.alive = 0; /* a part that runs after the return would see this */
    tt_check(rc == 0 || rc == TN_ETIMEDOUT);
    tt_check(rc == 0 ? done > 0 && done <= PARTS : done < PARTS);
    atomic_fetch_add(&whole, done == PARTS);
    atomic_fetch_add(&cut, done > 0 && done < PARTS);
}

static void *lend_again_and_again(void *arg)
{
    uint64_t random = (uintptr_t)arg + 1;
    unsigned long rounds = tt_scaled(400);

    /* If no thread can be started, the workers make the calls, and no call is cut. */
    for (unsigned long i = 0; i < rounds || (atomic_load(&cut) == 0 && tn_now() < give_up_ns); i++)
        lend_once(i % 8 == 0 ? TN_NEVER : tn_now() + tni_random_next(&random) % (200 * TN_US));
    return NULL;
}

Test(lend, many_are_cut_short_at_any_moment)
{
    enum { CROWD = 16 };
    tn_runtime *runtime = runtime_with_file_threads(3);
    tn_task *tasks[CROWD];

    give_up_ns = tn_now() + 30 * TN_S;
    for (uintptr_t i = 0; i < CROWD; i++)
        tasks[i] = tt_spawn_on(runtime, lend_again_and_again, (void *)i);
    for (unsigned i = 0; i < CROWD; i++)
        tt_join(tasks[i]);
    cr_assert(atomic_load(&whole) >= CROWD * (tt_scaled(400) / 8));
    cr_assert(atomic_load(&cut) > 0);
    tt_runtime_destroy(runtime);
}
