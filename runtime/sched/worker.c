/* SPDX-License-Identifier: MIT */
/* The loop of a worker thread: find a task, run it, or park. README.md ("Queues", "Idle") has the order, and the argument that
 * no wake is lost. */
#include "sched/worker.h"

#include "base/tls.h"
#include "fiber/exceptions.h"
#include "sched/native.h"
#include "sched/pinned.h"
#include "sched/run.h"
#include "sched/runtime.h"
#include "sched/schedule.h"
#include "sched/worker_cpus.h"
#include "sched/worker_replacement.h"

/* --- Mailbox: tasks that only this worker may run --------------------------------------------------------------------------- */

void tni_worker_mail(tni_worker *worker, tn_task *task)
{
    tni_inbox_push(&worker->mailbox, &task->inbox_node);
    tni_worker_unpark(worker);
}

/* --- Waking ----------------------------------------------------------------------------------------------------------------- */

void tni_worker_unpark(tni_worker *worker)
{
    tni_core *core;

    if (!tni_parker_notify(&worker->parker))
        return;
    /* Acquire: observes the core in whose loop the worker slept; partner: give_core_locked (worker_replacement.c). If it
     * has another core meanwhile, it is awake, and the wake has no effect. */
    core = tni_aptr_load(&worker->core, TNI_ACQUIRE);
    if (core != NULL)
        tni_os_loop_wake(&core->driver.loop);
}

void tni_worker_wake_if_parked(tni_core *core)
{
    /* Acquire: observes the worker initialized; partner: give_core_locked (worker_replacement.c). */
    tni_worker *worker = tni_aptr_load(&core->worker, TNI_ACQUIRE);

    if (worker != NULL && tni_idle_is_parked(&core->runtime->idle, core->index))
        tni_worker_unpark(worker);
}

/* --- Polling ---------------------------------------------------------------------------------------------------------------- */

/* Called when the clock has been read: updates the average duration of a run. */
static void note_run_time(tni_core *core, uint64_t now_ns)
{
    /* Relaxed, all: own words; the monitor reads clock_read_ns as a hint. */
    uint64_t runs = tni_a64_load(&core->counts.polls, TNI_RELAXED);
    uint64_t before_ns = tni_a64_load(&core->clock_read_ns, TNI_RELAXED);

    if (runs != core->clock_read_runs)
        core->run_ns = (7 * core->run_ns + (now_ns - before_ns) / (runs - core->clock_read_runs)) / 8;
    core->clock_read_runs = runs;
    tni_a64_store(&core->clock_read_ns, now_ns, TNI_RELAXED); /* relaxed: as above */
}

/* Other threads own the loop for at most a few microseconds, unless they are preempted. */
static bool try_own_driver(tni_driver *driver)
{
    for (unsigned i = 0; i < TNI_LOOP_TAKEN_SPINS; i++) {
        if (tni_driver_try_own(driver))
            return true;
        tni_spin_hint();
    }
    return false;
}

/* Inside a batch, after a poll or a sleep: fires the timers, which does not need the owner word. */
static void fire_timers(tni_core *core)
{
    uint64_t late_ns = 0;
    unsigned fired;

    tni_core_assert_holder(core);
    core->polled_ns = tni_clock_ns();
    tni_a64_store(&core->clock_read_ns, core->polled_ns, TNI_RELAXED); /* relaxed: as in note_run_time */
    fired = tni_timers_fire(&core->timers, tni_task_clock_at(&core->runtime->clock, core->polled_ns), &late_ns);
    tni_meter_timers(&core->meter, late_ns, fired);
    tni_count(&core->counts.timers_fired, fired);
}

/* Runs the loop, unless another thread owns it, and fires the timers. What becomes runnable is queued here. */
static void poll_driver(tni_core *core)
{
    uint64_t before_ns = core->polled_ns;

    tni_schedule_batch_begin(core);
    if (tni_driver_try_own(&core->driver)) {
        (void)tni_driver_report(&core->driver);
        tni_driver_poll(&core->driver);
        tni_driver_disown(&core->driver);
        tni_count(&core->counts.driver_polls, 1);
    }
    fire_timers(core);
    if (TNI_MEASURES && before_ns != 0)
        tni_histogram_add(&core->meter.poll_gap, core->polled_ns - before_ns, 1);
    tni_schedule_batch_end(core);
}

/* Inside a batch, after a sleep in the loop: reports what it has fetched, and fires the timers. */
static void report_sleep(tni_core *core)
{
    tni_core_assert_holder(core);
    if (tni_driver_has_fetched(&core->driver) && try_own_driver(&core->driver)) {
        if (!tni_driver_report(&core->driver))
            tni_driver_poll(&core->driver);
        tni_driver_disown(&core->driver);
        tni_count(&core->counts.driver_polls, 1);
    }
    fire_timers(core);
}

/* If fibers wait for a stack, gives them the stacks in this core's cache; the same for a thread that finds no memory. */
static void share_memory(tni_core *core)
{
    tn_runtime *runtime = core->runtime;

    if (tni_likely(!tni_stack_waited_for(&runtime->stacks)))
        return;
    if (core->stacks.count > 0)
        tni_runtime_flush_stacks(runtime, &core->stacks);
    tni_reclaim_give(core);
}

/* Now and then trims the slabs of headers and the blocks for buffers; the maintaining thread wakes parked workers for it. */
static void trim_core(tni_core *core)
{
    /* Relaxed: own word; the last reading is accurate enough. */
    uint64_t now_ns = tni_a64_load(&core->clock_read_ns, TNI_RELAXED);
    bool again;

    if (tni_likely(now_ns < core->trim_due_ns))
        return;
    core->trim_due_ns = tni_runtime_trim_next_ns(core->runtime, now_ns);
    /* Relaxed: a hint for the maintaining thread. */
    if (core->trim_due_ns == TNI_FOREVER)
        return;
    again = tni_slab_trim(&core->slabs);
    if (!again && core->stacks.count > 0) /* no task was spawned here for an interval */
        tni_runtime_flush_stacks(core->runtime, &core->stacks);
    again = tni_block_cache_trim(&core->blocks, &core->runtime->allocator) || again;
    tni_a32_store(&core->trim_again, again, TNI_RELAXED); /* as above, both */
    tni_a64_store(&core->trim_seen, tni_a64_load(&core->counts.polls, TNI_RELAXED), TNI_RELAXED);
}

/* The number of runs in half a period, estimated from the last `runs`. It grows at most by a factor of 2, and shrinks at
 * once. */
static uint32_t next_period(uint32_t runs, uint64_t took_ns)
{
    uint64_t next = runs * (uint64_t)(TNI_POLL_PERIOD_NS / 2) / (took_ns + 1);

    if (next > 2 * (uint64_t)runs)
        next = 2 * (uint64_t)runs;
    return next < TNI_TICKS_MIN ? TNI_TICKS_MIN : next > TNI_TICKS_MAX ? TNI_TICKS_MAX : (uint32_t)next;
}

/* What the loop reports waits behind the tasks in the queue, so a poll before these have run gains nothing. */
static uint64_t poll_period_ns(const tni_core *core)
{
    uint64_t backlog_ns = tni_schedule_backlog(core) * core->run_ns;

    return backlog_ns < TNI_POLL_PERIOD_NS ? TNI_POLL_PERIOD_NS : backlog_ns > TNI_POLL_MAX_NS ? TNI_POLL_MAX_NS : backlog_ns;
}

/* The size of the next share of the injector, from the number of runs since the last share. */
static unsigned injected_due(const tni_core *core, uint64_t now_ns)
{
    uint64_t due = (now_ns - core->shares_taken_ns) / ((core->run_ns + 1) * TNI_INJECTED_RUNS);

    if (due < TNI_INJECTED_BUSY_MIN)
        return TNI_INJECTED_BUSY_MIN;
    return due > TNI_INJECTED_BUSY_MAX ? TNI_INJECTED_BUSY_MAX : (unsigned)due;
}

/* Takes a share of the injector and of the tasks that yielded each period, so that neither a backlog nor the LIFO slot keeps
 * them out. */
static void take_shares(tni_core *core, uint64_t now_ns)
{
    unsigned injected = injected_due(core, now_ns);

    core->shares_taken_ns = now_ns;
    if (tni_unlikely(core->runtime->options.flavor == TN_CURRENT_THREAD))
        (void)tni_runtime_maintain(core->runtime, now_ns); /* there is no monitor, and this worker may never sleep */
    tni_schedule_append_injected(core, injected);
    tni_schedule_requeue_yielded(core);
}

/* Every `ticks_period` runs: reads the clock, and does what is due. */
static void check_periodically(tni_core *core)
{
    uint64_t now_ns = tni_clock_ns();
    uint64_t since_read_ns = now_ns - tni_a64_load(&core->clock_read_ns, TNI_RELAXED); /* relaxed: own word */

    note_run_time(core, now_ns);
    core->ticks_period = next_period(core->ticks_period, since_read_ns);
    tni_a32_store(&core->ticks_left, core->ticks_period,
                  TNI_RELAXED); /* own word; a 0 that the monitor has written may be lost */
    if (now_ns - core->polled_ns >= poll_period_ns(core))
        poll_driver(core);
    if (now_ns - core->shares_taken_ns >= TNI_POLL_PERIOD_NS)
        take_shares(core, now_ns);
    trim_core(core);
    share_memory(core);
}

/* --- Idle ------------------------------------------------------------------------------------------------------------------- */

static void stop_search(tni_worker *worker, const tni_core *core, bool found)
{
    tn_runtime *runtime = worker->runtime;

    worker->searching = false;
    if (tni_idle_search_end(&runtime->idle, core->index) != TNI_SEARCH_LAST || !found)
        return;
    /* Submits that observed the mark woke no worker. So if there is more work, wake one now. The fence orders the end of the
     * mark before the check. A submit that still observed the mark has pushed before its own fence; partner:
     * tni_schedule_wake_one. */
    tni_fence_full();
    if (tni_schedule_any_work(runtime))
        tni_schedule_wake_one(runtime);
}

/* The rest of is_done for a thread that drives a current-thread runtime. */
__attribute__((noinline)) static bool is_driven_enough(const tni_worker *worker)
{
    return (worker->until != NULL && tni_task_has_ended(worker->until)) ||
           (worker->until == NULL && tni_runtime_is_quiet(worker->runtime)) ||
           (worker->until_ns != TNI_FOREVER && tni_clock_ns() >= worker->until_ns);
}

/* Whether the worker must leave its loop. */
static inline bool is_done(const tni_worker *worker)
{
    return tni_runtime_is_stopping(worker->runtime) || (!worker->owns_thread && is_driven_enough(worker));
}

static inline void stop_searching(tni_worker *worker, const tni_core *core, bool found)
{
    if (tni_unlikely(worker->searching))
        stop_search(worker, core, found);
}

/* Whether there is work for the worker in any queue. A surplus worker leaves it to others. */
static bool finds_work(const tni_worker *worker)
{
    if (tni_likely(!worker->surplus))
        return tni_schedule_any_work(worker->runtime);
    tni_worker_limit_pass_on(worker->runtime);
    return false;
}

static bool must_not_sleep(const tni_worker *worker, const tni_core *core)
{
    return is_done(worker) || tni_pinned_is_waiting(worker, core) || finds_work(worker) ||
           (tni_stack_waited_for(&worker->runtime->stacks) && (core->stacks.count > 0 || tni_reclaim_is_due(core)));
}

/* Whether something must be polled before a sleep in the loop. */
static bool needs_poll(const tni_core *core)
{
    return tni_driver_has_fetched(&core->driver) || tni_driver_has_incomplete(&core->driver);
}

/* The last step of a worker before it sleeps. In a current-thread runtime, which has no monitor, it maintains what is attached.
 * That may log by a function of the user, which may make tasks runnable, in this core's queue. Returns whether the attachment
 * must be maintained again soon. */
static bool maintain_before_sleep(const tni_worker *worker, const tni_core *core)
{
    /* Relaxed: own word; the time of the last poll is accurate enough. */
    return !worker->owns_thread && tni_runtime_maintain(worker->runtime, tni_a64_load(&core->clock_read_ns, TNI_RELAXED));
}

static uint64_t time_left_ns(uint64_t until_ns, uint64_t now_ns)
{
    if (until_ns == TNI_FOREVER)
        return TNI_FOREVER;
    return until_ns > now_ns ? until_ns - now_ns : 0;
}

/* The loop must be polled before a sleep in it. If another thread owns it, waits a short time. */
static void wait_for_loop(tni_worker *worker, tni_core *core)
{
    if (try_own_driver(&core->driver))
        tni_driver_disown(&core->driver);
    else
        tni_parker_wait(&worker->parker, tni_clock_ns() + TNI_LOOP_TAKEN_NS);
}

/* Until when the worker may sleep, by the monotonic clock, if the next timer is due at `next_ns`. While time is paused: not at
 * all, so that one more poll of the loop precedes the jump. But without a limit if nothing can be jumped to, or if a blocking
 * job or a caller of tn_runtime_hold will make a task runnable. */
static uint64_t sleep_until_ns(const tn_runtime *runtime, uint64_t next_ns)
{
    if (tni_likely(!runtime->clock.paused))
        return tni_task_clock_real(&runtime->clock, next_ns);
    /* Acquire: if a job is done, jump_to_timer finds what its end has made runnable; partner: tn_runtime_unhold. It is read
     * behind tni_parker_prepare, and the unhold notifies the parker after it: a sleep without a limit ends with the hold. */
    return next_ns == TNI_FOREVER || tni_a32_load(&runtime->holds, TNI_ACQUIRE) != 0 ? TNI_FOREVER : 0;
}

/* Time is paused, and a sleep that ended at once has polled the loop: if nothing has happened, moves the clock to the next
 * timer. */
static void jump_to_timer(const tni_worker *worker, const tni_core *core, uint64_t next_ns)
{
    tni_task_clock *clock = &worker->runtime->clock;

    if (next_ns > clock->now_ns && !tni_driver_has_fetched(&core->driver) && !must_not_sleep(worker, core))
        clock->now_ns = next_ns;
}

/* Within the batch of park. Returns whether it has slept. report_sleep then reports what the sleep has fetched. */
static bool sleep_in_loop(tni_worker *worker, tni_core *core)
{
    uint64_t next_ns;
    uint64_t until_ns;
    uint64_t now_ns;
    bool again_soon;

    again_soon = maintain_before_sleep(worker, core);
    /* From here to the sleep this worker makes no task runnable. Any other thread that does so wakes a worker. */
    if (tni_schedule_backlog(core) > 0 || !tni_parker_prepare(&worker->parker, TNI_PARK_LOOP))
        return false;
    tni_count(&core->counts.parks, 1);
    next_ns = tni_timers_sleep(&core->timers);
    until_ns = sleep_until_ns(worker->runtime, next_ns);
    if (until_ns > worker->until_ns)
        until_ns = worker->until_ns;
    if (!worker->owns_thread) {
        uint64_t trim_ns = tni_runtime_trim_due_ns(worker->runtime);
        if (until_ns > trim_ns)
            until_ns = trim_ns;
    }
    now_ns = tni_clock_ns();
    if (again_soon && until_ns > now_ns + TNI_MONITOR_PERIOD_NS)
        until_ns = now_ns + TNI_MONITOR_PERIOD_NS;
    note_run_time(core, now_ns);
    tni_driver_sleep(&core->driver, time_left_ns(until_ns, now_ns));
    tni_timers_awake(&core->timers); /* also after a timeout of 0: otherwise the next timeout may be 0 too */
    tni_parker_finish(&worker->parker);
    if (tni_unlikely(until_ns == 0))
        jump_to_timer(worker, core, next_ns);
    return true;
}

static void park(tni_worker *worker, tni_core *core)
{
    tn_runtime *runtime = worker->runtime;
    bool slept = false;

    /* From here on what this worker makes runnable is appended to its queue, not put in the LIFO slot, so one of the checks
     * below finds it. */
    tni_schedule_batch_begin(core);
    trim_core(core);
    share_memory(core);
    tni_idle_park(&runtime->idle, core->index);
    stop_searching(worker, core, false);
    /* Orders the parked mark and the end of the search before the final check. Pairs with the fences of submits and posts;
     * partners: tni_schedule_wake_one, post (driver.c). */
    tni_fence_full();
    if (must_not_sleep(worker, core))
        tni_spin_hint(); /* the next find_task takes the work */
    else if (needs_poll(core))
        wait_for_loop(worker, core);
    else
        slept = sleep_in_loop(worker, core);
    if (!tni_idle_unpark(&runtime->idle, core->index))
        worker->searching = true; /* cleared by a waker, which has marked this core searching, or by the monitor */
    if (tni_idle_is_reserve(&runtime->idle, core->index))
        tni_a32_store(&core->ticks_left, 0, TNI_RELAXED); /* relaxed: own word; checks first whether it is surplus */
    tni_monitor_notice(runtime);
    if (slept)
        report_sleep(core);
    tni_schedule_batch_end(core);
}

/* --- The loop --------------------------------------------------------------------------------------------------------------- */

static tni_meter *meter_of(const tni_worker *worker, tni_core *core)
{
    return core != NULL ? &core->meter : &worker->runtime->outside;
}

/* Out of line, both, with what run_task has in registers. */
__attribute__((noinline, cold)) static void measure_begin(tni_worker *worker, tni_core *core, tn_task *task)
{
    tni_meter_begun_now(meter_of(worker, core), core == NULL, task, &worker->run_began);
}

__attribute__((noinline, cold)) static void measure_end(tni_worker *worker, tni_core *core, tn_task *task)
{
    tni_meter_left_now(meter_of(worker, core), core == NULL, task, &worker->run_began);
}

/* Runs a task that this worker took from a queue. `core`: the worker's core, entered once, or NULL. Returns the core that the
 * worker still holds afterwards, entered once, or NULL. Inline, because a return after a switch is mispredicted. */
__attribute__((always_inline)) static inline tni_core *run_task(tni_worker *worker, tni_tls *local, tni_core *core, tn_task *task)
{
    bool starts;

    tni_task_begin_run(task);
    if (TNI_MEASURES && tni_unlikely(task->measured))
        measure_begin(worker, core, task);
    task->budget = worker->budget;
    task->deadline_ns = TNI_FOREVER;
    if (task->pinned) {
        task->pinned_worker = worker;
        worker->has_pinned_tasks = true;
    }
    if (core != NULL) {
        tni_count(&core->counts.polls, 1);
        task->last_core = (uint16_t)core->index;
    } else {
        tni_count_shared(&worker->runtime->external.polls, 1);
    }
    starts = task->kind == TNI_TASK_FIBER && task->body.fiber.context.sp == NULL;
    if (starts && !tni_run_bind_stack(core, task)) {
        worker->run_began = 0;
        return core;
    }
    local->task = task;
    /* Release: publishes thread_id and clock with it; otherwise a hint. Partners: is_inside (stuck.c),
     * record_run_locked (stuck_report.c). */
    tni_aptr_store(&worker->current, task, TNI_RELEASE);
    if (core != NULL)
        tni_worker_leave_last(worker);
    if (task->kind != TNI_TASK_FIBER)
        tni_run_future(task);
    else if (starts)
        tni_context_start(&worker->home, &task->body.fiber.context, task->body.fiber.stack, tni_run_fiber_main, task);
    else
        tni_context_enter(&worker->home, &task->body.fiber.context);
    while (tni_unlikely(tni_aptr_load(&worker->native, TNI_RELAXED) != NULL)) /* relaxed: own word */
        tni_native_run(worker, task);
    core = tni_worker_enter_first(worker);
    local->task = NULL;
    if (TNI_MEASURES && tni_unlikely(worker->run_began != 0))
        measure_end(worker, core, task);
    /* Relaxed: own words. */
    tni_aptr_store(&worker->current, NULL, TNI_RELAXED);
    tni_assert(tni_a32_load(&worker->blocking, TNI_RELAXED) == 0, "a task suspends between tn_block_begin and tn_block_end");
    tni_run_complete(core, task);
    return core;
}

static inline bool is_check_due(tni_core *core)
{
    /* Relaxed, both: own count; the monitor may set it to 0. */
    uint32_t left = tni_a32_load(&core->ticks_left, TNI_RELAXED);

    if (tni_unlikely(left == 0))
        return true;
    tni_a32_store(&core->ticks_left, left - 1, TNI_RELAXED); /* as above */
    return false;
}

/* Called when nothing is queued here. Polls the own loop before other cores' queues, because the memory of what it reports is
 * in this core's caches. If the loop has just been polled, it is not polled again: the worker sleeps in it if a search finds
 * nothing. */
static tn_task *next_from_loop(tni_core *core)
{
    /* Relaxed: a hint. */
    bool may_report = tni_a32_load(&core->driver.registrations, TNI_RELAXED) != 0;

    if (!needs_poll(core) && (!may_report || tni_clock_ns() - core->polled_ns < TNI_POLL_FRESH_NS))
        return NULL;
    poll_driver(core);
    return tni_schedule_next(core);
}

static bool is_unattended(const tni_core *core, uint64_t now_ns)
{
    /* Relaxed: a hint. A parked worker sleeps in the loop. */
    return tni_a64_load(&core->clock_read_ns, TNI_RELAXED) + TNI_UNATTENDED_NS < now_ns &&
           !tni_idle_is_parked(&core->runtime->idle, core->index);
}

/* Called when nothing is queued on any core: polls loops and timers that their own workers do not poll. What becomes runnable
 * is queued here. */
static tn_task *next_from_unattended(tni_core *core)
{
    tn_runtime *runtime = core->runtime;
    uint64_t now_ns = runtime->core_count > 1 ? tni_clock_ns() : 0;
    bool polled_any = false;

    tni_schedule_batch_begin(core);
    for (unsigned i = 0; i < runtime->core_count; i++)
        if (i != core->index && is_unattended(runtime->cores[i], now_ns)) {
            (void)tni_core_poll(runtime->cores[i], now_ns);
            polled_any = true;
        }
    tni_schedule_batch_end(core);
    return polled_any ? tni_schedule_next(core) : NULL;
}

/* Every second time: a pinned task comes before the queues, and every second of these may be one that has not begun. */
static inline tn_task *next_pinned_in_turn(tni_worker *worker, tni_core *core)
{
    if ((worker->turn & 2) != 0 && tni_pinned_begins(core))
        return tni_pinned_take_start(core);
    return tni_pinned_has_mail(worker) ? tni_pinned_take_mail(worker) : NULL;
}

/* Out of line: the worker leaves what is queued to others. */
__attribute__((noinline, cold)) static tn_task *find_as_surplus(tni_worker *worker, tni_core *core)
{
    /* Submits rely on a searcher to wake the next worker, and a pinned task may keep this one for long. The fence and the check
     * that end a search are in tni_worker_limit_find. */
    stop_searching(worker, core, false);
    /* A worker does not sleep while its loop needs a poll: it would come here until the next periodic one. */
    if (needs_poll(core))
        poll_driver(core);
    return tni_worker_limit_find(worker, core);
}

static tn_task *find_task(tni_worker *worker, tni_core *core)
{
    tn_task *task = NULL;

    if (is_check_due(core)) {
        check_periodically(core);
        worker->surplus = tni_idle_is_surplus(&worker->runtime->idle, core->index);
        if (tni_unlikely(worker->surplus))
            return find_as_surplus(worker, core);
    }
    worker->turn++;
    if ((worker->turn & 1) != 0)
        task = next_pinned_in_turn(worker, core);
    if (task == NULL)
        task = tni_schedule_next(core);
    if (task == NULL && tni_pinned_has_mail(worker))
        task = tni_pinned_take_mail(worker);
    if (task == NULL && tni_pinned_begins(core))
        task = tni_pinned_take_start(core);
    if (task == NULL)
        task = next_from_loop(core);
    if (task == NULL) {
        if (!worker->searching)
            worker->searching = tni_idle_search_begin(&worker->runtime->idle, core->index);
        if (worker->searching)
            task = tni_schedule_steal(core);
        if (worker->searching && task == NULL)
            task = next_from_unattended(core);
    }
    if (task != NULL)
        stop_searching(worker, core, true);
    return task;
}

/* Runs tasks until the worker must stop or has lost its core. `core` is entered once. The thread's own stack stays on the
 * thread, so the address of its thread-local state is kept here. */
__attribute__((nonnull)) static void run_core(tni_worker *worker, tni_core *core)
{
    tni_tls *local = tni_tls_get();

    while (!is_done(worker)) {
        tn_task *task = find_task(worker, core);
        if (task == NULL) {
            park(worker, core);
            continue;
        }
        core = run_task(worker, local, core, task);
        if (core == NULL)
            return;
    }
    stop_searching(worker, core, true);
    tni_worker_leave(worker);
}

/* Without a core: runs a task that only this thread may run, or sleeps until the worker is given a core. */
static void wait_for_core(tni_worker *worker)
{
    tn_runtime *runtime = worker->runtime;
    tn_task *task = tni_pinned_take_mail(worker);

    /* Relaxed: own word, a hint for the monitor. */
    tni_a32_store(&worker->rounds, tni_a32_load(&worker->rounds, TNI_RELAXED) + 1, TNI_RELAXED);
    if (task != NULL) {
        tni_monitor_notice(runtime); /* all cores may be parked, and the monitor may have to report this task */
        if (run_task(worker, tni_tls_get(), NULL, task) != NULL)
            tni_worker_leave(worker); /* it was given a core meanwhile; the caller enters it */
        return;
    }
    tni_worker_offer(worker);
    while (!tni_runtime_is_stopping(runtime) && !tni_pinned_has_mail(worker) && !tni_worker_was_given(worker))
        tni_parker_wait(&worker->parker, TNI_FOREVER);
    tni_worker_withdraw(worker);
}

static void worker_begin(tni_worker *worker)
{
    tni_tls *local = tni_tls_get();

    local->worker = worker;
    local->runtime = worker->runtime;
    if (worker->runtime->options.seed != 0)
        local->random = tni_runtime_random_seed(worker->runtime);
    worker->thread_id = tni_os_thread_id();
    tni_thread_clock_init(&worker->clock);
    tni_context_init_home(&worker->home);
    /* The stack of a fiber may be used up when a signal arrives. Without an alternate stack (no memory) an overflow ends the
     * process too, but without a message. */
    (void)tni_stack_overflow_thread_init(&worker->overflow);
}

static void worker_end(tni_worker *worker)
{
    tni_stack_overflow_thread_fini(&worker->overflow);
    tni_context_fini(&worker->home.context);
    tni_tls_get()->worker = NULL;
    tni_tls_get()->runtime = NULL;
}

void *tni_worker_main(void *arg)
{
    tni_worker *worker = arg;
    tn_runtime *runtime = worker->runtime;

    tni_thread_name(worker->name);
    tni_thread_mask_set(&runtime->mask);
    tni_worker_bind(worker);
    tni_worker_add(worker);
    tni_runtime_thread_begins(runtime);
    worker_begin(worker);
    tni_stack_sampler_open(worker);
    while (!tni_runtime_is_stopping(runtime)) {
        tni_core *core = tni_worker_enter(worker);
        if (core != NULL)
            run_core(worker, core);
        else
            wait_for_core(worker);
    }
    tni_stack_sampler_close(worker);
    worker_end(worker);
    tni_runtime_thread_ends(runtime);
    /* Release: publishes what this thread did; destroy may join it at once. */
    tni_a32_store(&worker->ended, 1, TNI_RELEASE);
    tni_runtime_thread_ended(runtime);
    return NULL;
}

void tni_worker_drive(tni_worker *worker, tn_task *until, uint64_t until_ns)
{
    tni_tls *local = tni_tls_get();
    tni_tls before = *local;
    tni_os_exceptions exceptions; /* of the caller, which may be a C++ handler; the fibers begin with an empty record */
    bool in_handler = tni_exceptions_possible() && tni_exceptions_take(&exceptions);

    worker_begin(worker);
    local->task = NULL;
    local->scope = NULL;
    local->clock = &worker->runtime->clock;
    worker->until = until;
    worker->until_ns = until_ns;
    run_core(worker, tni_worker_enter(worker));
    worker_end(worker);
    *local = before;
    if (in_handler)
        tni_exceptions_put(&exceptions);
}
