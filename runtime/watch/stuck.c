/* SPDX-License-Identifier: MIT */
/* Taking the core of a stuck worker. A worker is stuck if it is inside one task for long, which calls something that blocks or
 * computes without end, or if it gets no processor (README.md, "Stuck workers").
 *
 * A worker that finds nothing in any queue polls the loops and timers of cores that their workers have not polled for
 * TNI_UNATTENDED_NS (worker.c). If no worker is idle, only the monitor acts. At each check at which the core has polled nothing
 * for 2 ms, or is inside one run for 4 ms:
 *   1. It polls the core's loop and timers. What becomes runnable, and what is in the core's queues, goes to the injector. The
 *      worker's marks are cleared, so that it is no searcher and is not chosen. Another worker is woken for what waits.
 *   2. If the worker is still inside the same run after 4 ms, at a check that is made then, and other work has needed the core,
 *      a replacement thread gets it, by the claim word (core.h). A task that has declared that it will block (tn_block_begin)
 *      loses the core at once.
 *   3. A core that has just been taken is checked again after half of the time, because its next task may block too. A thread
 *      that sleeps then loses it.
 *
 * The thread that lost its core continues its task without one, on the external-thread path. When the task suspends, the thread
 * becomes a replacement thread. No thread waits for another here. The stuck worker may return at any moment. It then refuses
 * the claim or has lost its core, and both are correct.
 *
 * A thread that is inside one task for long only because other threads use the processors keeps its core: a replacement thread
 * would have to wait for a processor too. `needed` matters as well: a task that computes while no other work waits keeps its
 * core, and no thread is started.
 */
#include "watch/stuck.h"

#include "sched/pinned.h"
#include "sched/runtime.h"
#include "sched/schedule.h"

/* Called when the core has not been polled for a while: makes its tasks available to other workers, which the caller wakes. Its
 * worker may have been woken and not run yet, or have lost its processor anywhere. */
static void move_work_away(tni_core *core)
{
    tn_runtime *runtime = core->runtime;

    if (runtime->core_count > 1)
        tni_schedule_evacuate(core);
    /* A submit must not choose this worker while it sleeps. The wake makes it set its mark again. Acquire: observes the worker
     * initialized; partner: give_core_locked (worker_replacement.c). It holds the core until it wakes. */
    if (tni_idle_unpark(&runtime->idle, core->index))
        tni_worker_unpark(tni_aptr_load(&core->worker, TNI_ACQUIRE));
    /* Submits rely on searchers, from now on not on this one. It follows the parked mark: otherwise a submit in between could
     * choose the worker and count it again. The fence and the check that end a search are in poll_for. */
    (void)tni_idle_search_end(&runtime->idle, core->index);
}

/* Polls for the core. True: there was work, for this core or for any. */
static bool poll_for(tni_core *core, uint64_t now_ns, bool late)
{
    tn_runtime *runtime = core->runtime;
    /* Relaxed, twice: a count that only the owner of the driver changes. */
    uint64_t events = tni_a64_load(&core->driver.events, TNI_RELAXED);
    unsigned fired = tni_core_poll(core, now_ns);
    bool waits;

    if (late)
        move_work_away(core);
    /* If only the runs have become longer, the worker must read the clock after this one. Relaxed: a hint; if the worker
     * overwrites it, the next check writes it again. */
    tni_a32_store(&core->ticks_left, 0, TNI_RELAXED);
    tni_fence_full(); /* as in a submit; before the check below */
    /* Relaxed: behind the fence. Checks the LIFO slot too: no wake announces its task, and a searcher's last sweep takes it. */
    waits = tni_schedule_any_work(runtime) || tni_aptr_load(&core->lifo_slot, TNI_RELAXED) != NULL || tni_pinned_begins(core);
    if (waits)
        tni_schedule_wake_one(runtime);
    /* A fiber that waits for a stack may wait for one in this core's cache. */
    return waits || tni_stack_waited_for(&runtime->stacks) || fired > 0 ||
           tni_a64_load(&core->driver.events, TNI_RELAXED) != events; /* relaxed: as above */
}

/* --- Checks ----------------------------------------------------------------------------------------------------------------- */

static uint64_t stuck_after_ns(const tni_core *core)
{
    uint64_t option_ns = core->runtime->options.stuck_after_ns;

    return option_ns != 0 ? option_ns : TNI_STUCK_DEFAULT_NS;
}

static uint64_t take_over_limit_ns(const tni_core *core)
{
    /* Without a limit, cores of tasks that have declared that they block are taken too. */
    return stuck_after_ns(core) != TNI_FOREVER ? stuck_after_ns(core) : TNI_STUCK_DEFAULT_NS;
}

/* Whether the worker sleeps and has no reason to wake. `ready`: its loop would not let it sleep. */
static bool is_asleep(const tni_core *core, uint64_t now_ns, bool ready)
{
    /* Relaxed: a hint; partner: tni_timers_sleep. */
    return tni_idle_is_parked(&core->runtime->idle, core->index) && !ready && !tni_driver_has_incomplete(&core->driver) &&
           tni_a64_load(&core->timers.next_ns, TNI_RELAXED) > now_ns;
}

/* Records what the core has done since the last check. */
static void note_progress(tni_core *core, uint64_t now_ns, bool ready)
{
    tni_core_record *record = &core->record;
    bool parked = tni_idle_is_parked(&core->runtime->idle, core->index);
    bool slept = record->asleep;
    /* Relaxed, all: hints. */
    uint64_t polls = tni_a64_load(&core->counts.driver_polls, TNI_RELAXED);
    uint64_t runs = tni_a64_load(&core->counts.polls, TNI_RELAXED);
    uint64_t parks = tni_a64_load(&core->counts.parks, TNI_RELAXED);
    uint64_t began_ns = tni_a64_load(&core->clock_read_ns, TNI_RELAXED);

    record->asleep = is_asleep(core, now_ns, ready);
    record->moved = polls != record->polls || runs != record->runs || parks != record->parks;
    /* A new run began after the last check, and after the worker last read the clock, which it does every few runs. */
    if (began_ns < record->clock_read_ns)
        began_ns = record->clock_read_ns;
    if (parked || began_ns > now_ns)
        began_ns = now_ns;
    if (slept && !record->moved)
        record->polled_ns = now_ns; /* what it must wake for may have come at any time since */
    else if (polls != record->polls || parks != record->parks || record->asleep)
        record->polled_ns = began_ns;
    if (runs != record->runs || parks != record->parks || parked) {
        record->run_began_ns = began_ns;
        record->cpu_read_ns = 0;
        record->needed = false;
    }
    record->polls = polls;
    record->runs = runs;
    record->parks = parks;
    record->clock_read_ns = now_ns;
}

/* Whether the worker is inside a task, in the run that was checked. */
static bool is_inside(const tni_core *core, const tni_worker *worker)
{
    /* Acquire: observes thread_id and clock; otherwise a hint; partner: run_task (worker.c). A thread that has not begun yet is
     * outside too. Relaxed: a hint. If another run has begun, the next check is about that one. */
    return tni_worker_is_outside(worker) && tni_aptr_load(&worker->current, TNI_ACQUIRE) != NULL &&
           tni_a64_load(&core->counts.polls, TNI_RELAXED) == core->record.runs;
}

/* For a run that has lasted a while: records the processor time of its thread, and schedules the check at which the core may be
 * taken. */
static void schedule_check(tni_core *core, const tni_worker *worker, uint64_t now_ns, uint64_t *due_ns)
{
    tni_core_record *record = &core->record;
    uint64_t after_ns = stuck_after_ns(core);
    uint64_t take_ns = after_ns < TNI_FOREVER - record->run_began_ns ? record->run_began_ns + after_ns : TNI_FOREVER;

    if (now_ns - record->run_began_ns < TNI_STUCK_NOTICE_NS)
        return;
    if (record->cpu_read_ns == 0) {
        record->cpu_read_ns = now_ns;
        record->cpu_ns = tni_thread_clock_ns(&worker->clock);
    }
    if (take_ns <= now_ns)
        take_ns = record->needed ? now_ns + TNI_STUCK_AGAIN_NS : TNI_FOREVER; /* it could not be taken now */
    if (take_ns < *due_ns)
        *due_ns = take_ns;
}

/* Whether the task keeps the thread, by waiting or computing. Otherwise the thread gets no processor, and another thread would
 * get none either. Decided by the processor time since an earlier check, or by the kernel. */
static bool is_kept(const tni_worker *worker, const tni_core_record *record, uint64_t now_ns)
{
    uint64_t passed_ns = record->cpu_read_ns != 0 ? now_ns - record->cpu_read_ns : 0;

    if (passed_ns > 0) {
        uint64_t cpu_ns = tni_thread_clock_ns(&worker->clock) - record->cpu_ns;
        if (cpu_ns >= TNI_STUCK_CPU_NS || cpu_ns >= passed_ns / 2)
            return true;
    }
    return tni_os_thread_sleeps(worker->thread_id);
}

/* Whether the core was taken recently and its thread sleeps again. A thread that computes or gets no processor has its full
 * time. */
static bool blocks_again(const tni_worker *worker, const tni_core_record *record, uint64_t now_ns)
{
    return record->check_interval_ns != 0 && now_ns - record->run_began_ns >= record->check_interval_ns / 2 &&
           tni_os_thread_sleeps(worker->thread_id);
}

/* Gives the core to a replacement thread. Each take-over in a row halves the interval to the next check. */
static bool take_core(tni_core *core, tni_worker *worker, uint64_t now_ns)
{
    tni_core_record *record = &core->record;
    bool taken = tni_worker_replace(worker);

    if (taken) {
        record->check_interval_ns = (record->check_interval_ns != 0 ? record->check_interval_ns : take_over_limit_ns(core)) / 2;
        if (record->check_interval_ns < TNI_STUCK_CHECK_MIN_NS)
            record->check_interval_ns = TNI_STUCK_CHECK_MIN_NS;
    }
    record->next_check_ns = now_ns + record->check_interval_ns;
    return taken;
}

/* Called after a check. A check that did not take the core doubles the interval, until that is reset. */
static void back_off(tni_core *core, uint64_t now_ns, uint64_t *due_ns)
{
    tni_core_record *record = &core->record;

    if (record->check_interval_ns == 0)
        return;
    if (now_ns >= record->next_check_ns) {
        record->check_interval_ns *= 2;
        record->next_check_ns = now_ns + record->check_interval_ns;
    }
    if (record->check_interval_ns >= take_over_limit_ns(core))
        record->check_interval_ns = 0;
    else if (record->next_check_ns < *due_ns)
        *due_ns = record->next_check_ns;
}

/* Schedules the check at which a worker outside of a task is late. It polls its core soon if it gets a processor. */
static void expect_worker(const tni_core *core, const tni_worker *worker, uint64_t now_ns, uint64_t *due_ns)
{
    const tni_core_record *record = &core->record;
    uint64_t late_ns = record->polled_ns + TNI_STUCK_LATE_NS;

    if (record->asleep || record->moved || tni_worker_is_outside(worker))
        return;
    if (late_ns <= now_ns)
        late_ns = now_ns + TNI_STUCK_AGAIN_NS;
    if (late_ns < *due_ns)
        *due_ns = late_ns;
}

/* Takes the core if it must be taken. True: a replacement thread is wanted. */
static bool check_takeover(tni_core *core, tni_worker *worker, uint64_t now_ns, uint64_t *due_ns)
{
    tni_core_record *record = &core->record;
    bool is_over = now_ns - record->run_began_ns >= stuck_after_ns(core);
    bool late = is_over || now_ns - record->polled_ns >= TNI_STUCK_LATE_NS;
    /* Relaxed: a hint; the claim decides. */
    bool declared = tni_a32_load(&worker->blocking, TNI_RELAXED) != 0 && tni_worker_is_outside(worker);
    bool takes = stuck_after_ns(core) != TNI_FOREVER;
    bool again;
    bool kept;

    record->held = false;
    if (declared || late || record->check_interval_ns != 0)
        record->needed = poll_for(core, now_ns, late) || record->needed;
    expect_worker(core, worker, now_ns, due_ns);
    if (!is_inside(core, worker))
        return false;
    if (declared)
        return record->needed && !take_core(core, worker, now_ns);
    if (!takes && !core->runtime->limit.follows)
        return false;
    again = takes && record->needed && blocks_again(worker, record, now_ns);
    kept = again || (record->needed && is_kept(worker, record, now_ns));
    if ((again || (kept && is_over)) && take_core(core, worker, now_ns))
        return false;
    record->held = kept && !is_over && now_ns - record->run_began_ns >= TNI_STUCK_DEFAULT_NS;
    schedule_check(core, worker, now_ns, due_ns);
    return takes && kept;
}

bool tni_stuck_observe(tni_core *core, uint64_t now_ns, bool ready, uint64_t *due_ns)
{
    /* Acquire: observes the worker initialized; partner: give_core_locked (worker_replacement.c). */
    tni_worker *worker = tni_aptr_load(&core->worker, TNI_ACQUIRE);
    tni_core_record *record = &core->record;
    bool wanted;

    if (now_ns > record->next_check_ns && now_ns - record->next_check_ns >= take_over_limit_ns(core))
        record->check_interval_ns = 0; /* all were parked meanwhile, and the core was not checked */
    note_progress(core, now_ns, ready);
    wanted = worker != NULL && check_takeover(core, worker, now_ns, due_ns);
    back_off(core, now_ns, due_ns);
    return wanted;
}
