/* SPDX-License-Identifier: MIT */
/* Deadlock check: whether any task can ever continue. README.md ("Dump and deadlock report") has the argument. */
#include "watch/deadlock.h"

#include "sched/pinned.h"
#include "sched/runtime.h"
#include "sched/schedule.h"
#include "watch/dump.h"
#include "watch/reporter.h"

/* A number that changes whenever a task has run or a worker has parked. */
static uint64_t activity(const tn_runtime *runtime)
{
    uint64_t sum = tni_runtime_runs(runtime);

    for (unsigned i = 0; i < runtime->core_count; i++)
        /* Relaxed: compared with a later sum; the workers are asleep, or it changes. */
        sum += tni_a64_load(&runtime->cores[i]->counts.parks, TNI_RELAXED);
    return sum;
}

/* Whether a task lives, and none is about to be queued. A spawn from outside counts its task and queues it under the
 * injector's lock: without the lock, a task that has been counted and not yet queued would look like one that waits for ever.
 */
static bool tasks_are_all_in(tn_runtime *runtime)
{
    bool all_in;

    tni_os_mutex_lock(&runtime->injector.lock);
    all_in = tni_runtime_live(runtime) != 0 && tni_injector_length(&runtime->injector) == 0;
    tni_os_mutex_unlock(&runtime->injector.lock);
    return all_in;
}

/* Whether nothing can happen that would wake a task. Workers without a core are checked first: what they have queued and
 * armed is checked after them. */
static bool expects_nothing(tn_runtime *runtime)
{
    /* Acquire: observes what was done outside; partner: tn_runtime_unhold. */
    if (tni_a32_load(&runtime->holds, TNI_ACQUIRE) != 0 || !tni_workers_have_nothing(runtime) || tni_schedule_any_work(runtime))
        return false;
    for (unsigned i = 0; i < runtime->core_count; i++) {
        tni_core *core = runtime->cores[i];
        /* Acquire: observes the wakes of waits that have ended; partner: uncount (fd_waits.c). Other changes are made by
         * running tasks, and those show in the activity. */
        if (tni_a32_load(&core->driver.registrations, TNI_ACQUIRE) != 0 || !tni_timers_sleep_for_good(&core->timers) ||
            tni_pinned_begins(core))
            return false;
    }
    return true;
}

/* The log gets one report. If tasks run after that, something outside wakes them without tn_runtime_hold, which the report
 * advised, and further reports would fill the log. */
static bool wants_report(const tn_runtime *runtime)
{
    if (runtime->options.on_deadlock != NULL)
        return true;
    return runtime->options.report_deadlock && runtime->deadlock_seen == UINT64_MAX;
}

void tni_deadlock_report(tn_runtime *runtime)
{
    tni_dump log;

    if (runtime->options.on_deadlock != NULL) {
        runtime->options.on_deadlock(runtime->options.deadlock_ctx, runtime);
        return;
    }
    tni_log_write(&runtime->log, TN_LOG_WARNING,
                  "deadlock: all tasks wait for each other; if something outside will wake one, declare it with tn_runtime_hold");
    log = tni_dump_to_log(runtime);
    tn_dump(runtime, log.line, log.ctx);
}

void tni_deadlock_check(tn_runtime *runtime)
{
    uint64_t runs_before = tni_runtime_runs(runtime);
    uint64_t before = activity(runtime);

    /* A worker that has only trimmed its memory since has changed nothing: it is the same deadlock. */
    if (!wants_report(runtime) || runs_before == runtime->deadlock_seen)
        return;
    /* All parked before and after, and no run or park in between: README.md has what follows from that. */
    tni_fence_full();
    if (!tni_idle_all_parked(&runtime->idle) || !tasks_are_all_in(runtime) || !expects_nothing(runtime))
        return;
    tni_fence_full(); /* orders the checks above before those below */
    if (!tni_idle_all_parked(&runtime->idle) || activity(runtime) != before)
        return;
    runtime->deadlock_seen = runs_before;
    tni_reporter_deadlock(runtime);
}
