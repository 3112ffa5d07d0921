/* SPDX-License-Identifier: MIT */
/* The look whether any task can ever go on: README.md ("Dump and deadlock report") has the argument. */
#include "watch/deadlock.h"

#include "sched/runtime.h"
#include "sched/schedule.h"
#include "watch/dump.h"

/* A number that changes whenever a task has run, or a worker has slept. */
static uint64_t activity(const tn_runtime *runtime)
{
    uint64_t sum = tni_a64_load(&runtime->foreign.polls, TNI_RELAXED); /* on workers without a core; relaxed: as below */

    for (unsigned i = 0; i < runtime->core_count; i++) {
        const tni_counts *counts = &runtime->cores[i]->counts;
        /* Relaxed, both: compared with a later sum; the workers are asleep, or it changes. */
        sum += tni_a64_load(&counts->polls, TNI_RELAXED) + tni_a64_load(&counts->parks, TNI_RELAXED);
    }
    return sum;
}

/* Does some task live, and is none on its way in? A spawn from outside counts its task and queues it under the injector's lock:
 * without that, one that has been counted and not yet queued would look like one that waits for ever. */
static bool tasks_are_all_in(tn_runtime *runtime)
{
    bool all_in;

    tni_os_mutex_lock(&runtime->injector.lock);
    all_in = tni_runtime_live(runtime) != 0 && tni_injector_length(&runtime->injector) == 0;
    tni_os_mutex_unlock(&runtime->injector.lock);
    return all_in;
}

/* Can anything come that would wake a task? Those without a core first: what they have queued and armed is looked at after. */
static bool expects_nothing(tn_runtime *runtime)
{
    /* Acquire: what was done outside is done; partner: tn_runtime_unhold. */
    if (tni_a32_load(&runtime->holds, TNI_ACQUIRE) != 0 || !tni_workers_have_nothing(runtime) || tni_schedule_any_work(runtime))
        return false;
    for (unsigned i = 0; i < runtime->core_count; i++) {
        tni_core *core = runtime->cores[i];
        /* Relaxed: it changes only in running tasks, and those show in the activity. */
        if (tni_a32_load(&core->driver.registrations, TNI_RELAXED) != 0 || !tni_timers_sleep_for_good(&core->timers))
            return false;
    }
    return true;
}

/* The log is told once: if it goes on after that something outside wakes tasks and does not say so, as the log has advised, and
 * would have it filled. */
static bool wants_report(const tn_runtime *runtime)
{
    if (runtime->options.on_deadlock != NULL)
        return true;
    return runtime->options.report_deadlock && runtime->deadlock_seen == UINT64_MAX;
}

static void report(tn_runtime *runtime)
{
    tni_dump log;

    if (runtime->options.on_deadlock != NULL) {
        runtime->options.on_deadlock(runtime->options.deadlock_ctx, runtime);
        return;
    }
    tni_log_write(&runtime->log, TN_LOG_WARNING,
                  "deadlock: all tasks wait for each other; if something outside will wake one, tn_runtime_hold says so");
    log = tni_dump_to_log(runtime);
    tn_dump(runtime, log.line, log.ctx);
}

void tni_deadlock_check(tn_runtime *runtime)
{
    uint64_t before = activity(runtime);

    if (!wants_report(runtime) || before == runtime->deadlock_seen)
        return;
    /* All parked before and after, and no run or park in between: README.md has what follows from that. */
    tni_fence_full();
    if (!tni_idle_all_parked(&runtime->idle) || !tasks_are_all_in(runtime) || !expects_nothing(runtime))
        return;
    tni_fence_full(); /* the looks above before those below */
    if (!tni_idle_all_parked(&runtime->idle) || activity(runtime) != before)
        return;
    runtime->deadlock_seen = before;
    report(runtime);
}
