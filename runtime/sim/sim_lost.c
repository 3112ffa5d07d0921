/* SPDX-License-Identifier: MIT */
/* What must hold whenever all threads of the simulated machine sleep. No step of any thread is under way then, so the
 * protocols of the library are complete: what has been published has been seen, or the wake that announces it has ended a sleep.
 * A thread that has lost its processor may be in the middle of a step; while there is one nothing is checked.
 *
 * Words are read as plain memory, because an atomic operation would be a step of the run. */
#include "sim/sim_lost.h"

#include "pool/pool_internal.h"
#include "sched/runtime.h"
#include "sim/sim_run.h"

static bool is_queued_in(const tni_deque *queue)
{
    return (int64_t)queue->bottom.value > (int64_t)queue->top.value;
}

static tni_core *core_of(const tni_worker *worker)
{
    return worker->claim.value == TNI_CLAIM_HELD ? worker->core.value : NULL;
}

/* Whether the thread is a worker that sleeps in the loop of its core, and has nothing to do. */
static bool is_parked_worker(const tni_sim_thread *thread)
{
    const tni_worker *worker = thread->tls.worker;
    const tni_core *core = worker != NULL ? core_of(worker) : NULL;

    return core != NULL && thread->state == TNI_SIM_ASLEEP && worker->current.value == NULL &&
           thread->object == core->driver.loop.loop.data;
}

static bool is_parked_core(const tni_core *core)
{
    const tni_worker *worker = core->worker.value;
    const tni_sim_thread *thread = worker != NULL ? tni_sim_thread_find((uint32_t)worker->thread_id) : NULL;

    return thread != NULL && thread->tls.worker == worker && is_parked_worker(thread);
}

/* --- A worker --------------------------------------------------------------------------------------------------------------- */

/* Whether a timer of the core is due before `until_ns`. */
static bool is_due_before(const tni_wheel *wheel, uint64_t until_ns)
{
    if (tni_wheel_next_ns(wheel) >= until_ns)
        return false;
    for (unsigned ring = 0; ring < TNI_WHEEL_RINGS; ring++) { /* that time may be the start of a ring, before its timers */
        const tni_timer *timer = wheel->first[ring];
        while (timer != NULL) {
            if (timer->deadline_tick < until_ns / TNI_WHEEL_TICK_NS)
                return true;
            timer = timer->next != wheel->first[ring] ? timer->next : NULL;
        }
    }
    return false;
}

static const char *what_worker_misses(const tni_worker *worker)
{
    const tni_core *core = core_of(worker);
    const tni_idle *idle = &core->runtime->idle;
    uint64_t marks = idle->marks[core->index / TNI_IDLE_CORES].value >> core->index % TNI_IDLE_CORES;

    if (worker->pinned != NULL || worker->mailbox.newest.value != NULL)
        return "a task in its mailbox";
    if (core->starts.length.value > 0)
        return "a pinned task that has not begun";
    if (!(marks & 1))
        return "its own mark, so no wake will choose it";
    if (core->lifo_slot.value != NULL || is_queued_in(&core->queues[0]) || is_queued_in(&core->queues[1]))
        return "a task in its run queue";
    if (core->driver.fetched.count != 0)
        return "an event that its last sleep has fetched";
    if (core->driver.incomplete.value != 0 || core->driver.inbox.newest.value != NULL)
        return "a registration that only a poll completes";
    if (is_due_before(&core->timers.wheel, core->timers.sleeping_until_ns))
        return "a timer that is due earlier";
    return NULL;
}

static void check_worker(const tni_sim_thread *thread)
{
    const char *missed = what_worker_misses(thread->tls.worker);

    if (missed != NULL)
        tni_sim_run_fail("lost wake", "all threads sleep, and %s has missed %s", tni_sim_thread_name_of(thread), missed);
}

/* --- A runtime -------------------------------------------------------------------------------------------------------------- */

static bool are_all_parked(const tn_runtime *runtime)
{
    for (unsigned i = 0; i < runtime->core_count; i++)
        if (!is_parked_core(runtime->cores[i]))
            return false;
    return true;
}

/* NULL: nothing is wrong. */
static const char *what_is_wrong_with_workers(const tn_runtime *runtime)
{
    for (unsigned word = 0; word * TNI_IDLE_CORES < runtime->core_count; word++)
        if (runtime->idle.marks[word].value >> TNI_IDLE_CORES != 0)
            return "a worker is still marked as searching, so a submit will wake none";
    for (unsigned i = 0; i < runtime->core_count; i++)
        if (runtime->cores[i]->driver.owned.value != 0)
            return "a loop is still owned, so no thread can poll it";
    return are_all_parked(runtime) && runtime->injector.length.value > 0 ? "a task is in the injector" : NULL;
}

/* Whether a thread could start a job, and no thread has promised to check for one. NULL: nothing is wrong. */
static const char *what_is_wrong_with_pool(const tni_pool *pool)
{
    bool startable = pool->inbox.newest.value != NULL;

    if (pool->closed.value != 0 || pool->standby != NULL || pool->retry_ns.value != 0)
        return NULL;
    for (unsigned kind = 0; kind < TNI_POOL_CLASSES; kind++)
        startable = startable || (pool->queues[kind].length > 0 && pool->queues[kind].running < pool->queues[kind].cap);
    if (startable)
        return "a job of the pool could start";
    return pool->wake_token.value != 0 ? "the pool's wake token is still held, so a job will wake no thread" : NULL;
}

static void check_runtime(const tn_runtime *runtime)
{
    const tni_attachment *attachment = runtime->attachment.value;
    const char *wrong = what_is_wrong_with_workers(runtime);

    if (wrong == NULL && attachment != NULL && attachment->maintain == tni_pool_maintain)
        wrong = what_is_wrong_with_pool(tni_container_of(attachment, const tni_pool, base));
    if (wrong != NULL)
        tni_sim_run_fail("lost wake", "all threads sleep, and %s", wrong);
}

void tni_sim_lost_check(const tni_sim_thread *const *all, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (all[i]->state == TNI_SIM_ASLEEP && all[i]->stalled)
            return;
    for (uint32_t i = 0; i < count; i++) {
        const tni_worker *worker = all[i]->state == TNI_SIM_ASLEEP ? all[i]->tls.worker : NULL;
        if (worker == NULL || worker->runtime->stopping.value != 0)
            continue;
        if (is_parked_worker(all[i]))
            check_worker(all[i]);
        if (worker->core.value != NULL && core_of(worker) != NULL && core_of(worker)->index == 0)
            check_runtime(worker->runtime);
    }
}
