/* SPDX-License-Identifier: MIT */
/* A core whose worker does not come to it: because it is inside one task for long, which calls something that blocks or computes
 * without end, or because the worker gets no processor (README.md, "Stuck workers").
 *
 * A worker that finds nothing in any queue serves the loops and timers of cores whose workers have left them alone for
 * TNI_UNATTENDED_NS (worker.c). Where no worker is idle there is the monitor: at each look at which the core has polled nothing
 * for 2 ms, or is inside one run for 4 ms:
 *   1. its loop and timers are served for it; what becomes runnable, and what is in its queues, goes to the injector; its worker
 *      is no searcher and not to be chosen any more; and another worker is woken for what waits;
 *   2. if it is still inside the same run after 4 ms, at a look that is made then, and somebody has needed the core, a spare
 *      thread gets it, by the claim word (core.h). A task that has said that it will block (tn_block_begin) loses it at once;
 *   3. a core that has just been taken is in a hurry: its next task may block, too, and many more behind it. It is looked at
 *      again after half of the time, and a thread that sleeps then loses it.
 *
 * The thread that lost its core runs its task on without one: whatever it does in the runtime goes the way of a foreign thread.
 * When the task suspends, the thread is the next spare. Nobody waits for anybody here: who was stuck may come back at any
 * moment, and then refuses the claim or finds itself without a core, and either is right.
 *
 * A thread that is inside one task for long only because others have the processors keeps its core: a replacement thread would
 * have to wait for a processor too. `needed` matters as well: a task that computes while nobody waits for anything keeps its
 * core, and no thread is started.
 */
#include "watch/stuck.h"

#include "sched/runtime.h"
#include "sched/schedule.h"

/* Nobody has come to this core for a while: what waits there is for others, who are woken by the caller. Its worker may have
 * been woken and not run yet, or have lost its processor anywhere. */
static void take_work_away(tni_core *core)
{
    tn_runtime *runtime = core->runtime;

    if (runtime->core_count > 1)
        tni_schedule_evacuate(core);
    /* Submitters rely on a searcher: on this one no longer. What it owes them, a fence and a look, is in help. */
    (void)tni_idle_search_end(&runtime->idle, core->index);
    /* Nor is it to be chosen while it sleeps. So that it marks itself anew, it is woken. Acquire: the worker as it was made. It
     * holds the core until it wakes. */
    if (tni_idle_unpark(&runtime->idle, core->index))
        tni_worker_unpark(tni_aptr_load(&core->worker, TNI_ACQUIRE));
}

/* Does the core's work. True: there was some, for this core or for anyone. */
static bool poll_for(tni_core *core, uint64_t now_ns, bool late)
{
    tn_runtime *runtime = core->runtime;
    /* Relaxed, twice: a count, which only whoever owns the driver changes. */
    uint64_t events = tni_a64_load(&core->driver.events, TNI_RELAXED);
    unsigned fired = tni_core_poll(core, now_ns);
    bool waits;

    if (late)
        take_work_away(core);
    /* If it is only that runs became longer than they were, the worker is to read the clock after this one. Relaxed: a wish; a
     * count of the worker's that overwrites it is set right by the next look. */
    tni_a32_store(&core->ticks_left, 0, TNI_RELAXED);
    tni_fence_full(); /* as any submit; the look below is behind it */
    /* Relaxed: behind the fence. Its LIFO slot too, which does not wake anyone else: a searcher's last sweep takes it. */
    waits = tni_schedule_any_work(runtime) || tni_aptr_load(&core->next, TNI_RELAXED) != NULL;
    if (waits)
        tni_schedule_wake_one(runtime);
    /* Who waits for a stack may wait for those that this core keeps. */
    return waits || tni_stack_waited_for(&runtime->stacks) || fired > 0 ||
           tni_a64_load(&core->driver.events, TNI_RELAXED) != events; /* relaxed: as above */
}

/* --- Looking ---------------------------------------------------------------------------------------------------------------- */

static uint64_t stuck_after_ns(const tni_core *core)
{
    uint64_t option_ns = core->runtime->options.stuck_after_ns;

    return option_ns != 0 ? option_ns : TNI_STUCK_DEFAULT_NS;
}

static uint64_t take_over_limit_ns(const tni_core *core)
{
    return stuck_after_ns(core) != TNI_FOREVER ? stuck_after_ns(core)
                                               : TNI_STUCK_DEFAULT_NS; /* declared ones are taken all the same */
}

/* Does its worker sleep, and rightly? `ready`: its loop would not let it sleep. */
static bool is_asleep(const tni_core *core, uint64_t now_ns, bool ready)
{
    /* Relaxed: a hint; see tni_timers_sleep. */
    return tni_idle_is_parked(&core->runtime->idle, core->index) && !ready && !tni_driver_has_incomplete(&core->driver) &&
           tni_a64_load(&core->timers.next_ns, TNI_RELAXED) > now_ns;
}

/* What has the core done since the last look? */
static void note_progress(tni_core *core, uint64_t now_ns, bool ready)
{
    tni_core_record *watch = &core->watch;
    bool parked = tni_idle_is_parked(&core->runtime->idle, core->index);
    bool slept = watch->asleep;
    /* Relaxed, all: hints. */
    uint64_t polls = tni_a64_load(&core->counts.driver_polls, TNI_RELAXED);
    uint64_t runs = tni_a64_load(&core->counts.polls, TNI_RELAXED);
    uint64_t parks = tni_a64_load(&core->counts.parks, TNI_RELAXED);
    uint64_t began_ns = tni_a64_load(&core->clock_read_ns, TNI_RELAXED);

    watch->asleep = is_asleep(core, now_ns, ready);
    watch->moves = polls != watch->polls || runs != watch->runs || parks != watch->parks;
    /* What is new has begun after the last look, and not long after its worker looked at the clock, which that does every few
     * runs. */
    if (began_ns < watch->clock_read_ns)
        began_ns = watch->clock_read_ns;
    if (parked || began_ns > now_ns)
        began_ns = now_ns;
    if (slept && !watch->moves)
        watch->polled_ns = now_ns; /* what it is to wake for has come at any time since */
    else if (polls != watch->polls || parks != watch->parks || watch->asleep)
        watch->polled_ns = began_ns;
    if (runs != watch->runs || parks != watch->parks || parked) {
        watch->since_ns = began_ns;
        watch->clocked_ns = 0;
        watch->needed = false;
    }
    watch->polls = polls;
    watch->runs = runs;
    watch->parks = parks;
    watch->clock_read_ns = now_ns;
}

/* Is the worker still inside the run that was looked at, in a task? */
static bool is_inside(const tni_core *core, const tni_worker *worker)
{
    /* Acquire: thread_id and clock; else a hint. A thread that has not begun yet is outside too. Relaxed: a hint. Another run
     * since we looked: the next look is about that one. */
    return tni_worker_is_outside(worker) && tni_aptr_load(&worker->current, TNI_ACQUIRE) != NULL &&
           tni_a64_load(&core->counts.polls, TNI_RELAXED) == core->watch.runs;
}

/* The run has gone on for a while: notes when the core would be taken, and what its thread has computed until now. */
static void schedule_check(tni_core *core, const tni_worker *worker, uint64_t now_ns, uint64_t *due_ns)
{
    tni_core_record *watch = &core->watch;
    uint64_t take_ns = watch->since_ns + stuck_after_ns(core);

    if (now_ns - watch->since_ns < TNI_STUCK_NOTICE_NS)
        return;
    if (watch->clocked_ns == 0) {
        watch->clocked_ns = now_ns;
        watch->cpu_ns = tni_thread_clock_ns(&worker->clock);
    }
    if (take_ns <= now_ns)
        take_ns = watch->needed ? now_ns + TNI_STUCK_AGAIN_NS : TNI_FOREVER; /* if it cannot be taken now */
    if (take_ns < *due_ns)
        *due_ns = take_ns;
}

/* Does the task keep the thread, by waiting or computing, or does the thread not get a processor? Then another one would not
 * either. What it has computed since an earlier look tells, or the kernel. */
static bool is_kept(const tni_worker *worker, const tni_core_record *watch, uint64_t now_ns)
{
    uint64_t passed_ns = watch->clocked_ns != 0 ? now_ns - watch->clocked_ns : 0;

    if (passed_ns > 0) {
        uint64_t cpu_ns = tni_thread_clock_ns(&worker->clock) - watch->cpu_ns;
        if (cpu_ns >= TNI_STUCK_CPU_NS || cpu_ns >= passed_ns / 2)
            return true;
    }
    return tni_os_thread_sleeps(worker->thread_id);
}

/* The core was taken lately, and now its thread sleeps again? What computes, or has no processor, is given all of its time. */
static bool blocks_again(const tni_worker *worker, const tni_core_record *watch, uint64_t now_ns)
{
    return watch->check_interval_ns != 0 && now_ns - watch->since_ns >= watch->check_interval_ns / 2 &&
           tni_os_thread_sleeps(worker->thread_id);
}

/* Gives the core to a replacement thread. Each time in a row it is looked at twice as soon as the time before. */
static bool take_core(tni_core *core, tni_worker *worker, uint64_t now_ns)
{
    tni_core_record *watch = &core->watch;
    bool taken = tni_worker_replace(worker);

    if (taken) {
        watch->check_interval_ns = (watch->check_interval_ns != 0 ? watch->check_interval_ns : take_over_limit_ns(core)) / 2;
        if (watch->check_interval_ns < TNI_STUCK_CHECK_MIN_NS)
            watch->check_interval_ns = TNI_STUCK_CHECK_MIN_NS;
    }
    watch->again_ns = now_ns + watch->check_interval_ns;
    return taken;
}

/* After a look. Each in vain doubles the time to the next, until there is no hurry any more. */
static void back_off(tni_core *core, uint64_t now_ns, uint64_t *due_ns)
{
    tni_core_record *watch = &core->watch;

    if (watch->check_interval_ns == 0)
        return;
    if (now_ns >= watch->again_ns) {
        watch->check_interval_ns *= 2;
        watch->again_ns = now_ns + watch->check_interval_ns;
    }
    if (watch->check_interval_ns >= take_over_limit_ns(core))
        watch->check_interval_ns = 0;
    else if (watch->again_ns < *due_ns)
        *due_ns = watch->again_ns;
}

/* A worker that is not inside a task comes to its core soon, if it gets a processor. */
static void expect_worker(const tni_core *core, const tni_worker *worker, uint64_t now_ns, uint64_t *due_ns)
{
    const tni_core_record *watch = &core->watch;
    uint64_t late_ns = watch->polled_ns + TNI_STUCK_LATE_NS;

    if (watch->asleep || watch->moves || tni_worker_is_outside(worker))
        return;
    if (late_ns <= now_ns)
        late_ns = now_ns + TNI_STUCK_AGAIN_NS;
    if (late_ns < *due_ns)
        *due_ns = late_ns;
}

/* Looks whether the core is to be taken, and takes it. True: a spare is wanted. */
static bool check_takeover(tni_core *core, tni_worker *worker, uint64_t now_ns, uint64_t *due_ns)
{
    tni_core_record *watch = &core->watch;
    bool is_over = now_ns - watch->since_ns >= stuck_after_ns(core);
    bool late = is_over || now_ns - watch->polled_ns >= TNI_STUCK_LATE_NS;
    /* Relaxed: a hint; the claim decides. */
    bool declared = tni_a32_load(&worker->blocking, TNI_RELAXED) != 0 && tni_worker_is_outside(worker);
    bool again;
    bool kept;

    if (declared || late || watch->check_interval_ns != 0)
        watch->needed = poll_for(core, now_ns, late) || watch->needed;
    expect_worker(core, worker, now_ns, due_ns);
    if (!is_inside(core, worker))
        return false;
    if (declared)
        return watch->needed && !take_core(core, worker, now_ns);
    if (stuck_after_ns(core) == TNI_FOREVER)
        return false;
    again = watch->needed && blocks_again(worker, watch, now_ns);
    kept = again || (watch->needed && is_kept(worker, watch, now_ns));
    if ((again || (kept && is_over)) && take_core(core, worker, now_ns))
        return false;
    schedule_check(core, worker, now_ns, due_ns);
    return kept;
}

bool tni_stuck_observe(tni_core *core, uint64_t now_ns, bool ready, uint64_t *due_ns)
{
    /* Acquire: the worker as it was made; partner: give_core (worker_replacement.c). */
    tni_worker *worker = tni_aptr_load(&core->worker, TNI_ACQUIRE);
    tni_core_record *watch = &core->watch;
    bool wanted;

    if (now_ns > watch->again_ns && now_ns - watch->again_ns >= take_over_limit_ns(core))
        watch->check_interval_ns = 0; /* all were parked meanwhile, and it was not looked at */
    note_progress(core, now_ns, ready);
    wanted = worker != NULL && check_takeover(core, worker, now_ns, due_ns);
    back_off(core, now_ns, due_ns);
    return wanted;
}
