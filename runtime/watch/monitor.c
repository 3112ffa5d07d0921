/* SPDX-License-Identifier: MIT */
/* The monitor looks at the cores every TNI_MONITOR_PERIOD_NS while any worker is awake, and at the moment at which a core is to
 * be taken; stuck.c has what it does about those whose worker is inside one task for long.
 *
 * When all workers have been parked for TNI_MONITOR_REST_NS it says that it rests, looks once more behind a full fence, and
 * sleeps for good. A worker that leaves its park takes its parked mark back, makes a full fence, and wakes the monitor if it
 * rests: one of the two sees the other, so no worker is ever unobserved. An idle runtime therefore wakes nothing. What is
 * attached to the runtime may keep it from its rest in the same way: it writes what its `tend` looks at, makes a full fence, and
 * wakes the monitor if it rests.
 */
#include "watch/monitor.h"

#include "sched/runtime.h"
#include "watch/deadlock.h"
#include "watch/stuck.h"

/* Answers when a core is to be taken; TNI_FOREVER: none is. */
static uint64_t observe(tn_runtime *runtime)
{
    uint64_t now_ns = tni_clock_ns();
    uint64_t due_ns = TNI_FOREVER;
    unsigned wanted = 0;
    unsigned hurried = 0;

    for (unsigned i = 0; i < runtime->core_count; i++) {
        wanted += tni_stuck_observe(runtime->cores[i], now_ns, &due_ns);
        hurried += runtime->cores[i]->watch.check_interval_ns != 0;
    }
    if (wanted > 0 && !tni_worker_provide_replacements(runtime, wanted))
        tni_stuck_no_replacement(runtime, now_ns);
    else if (hurried > wanted)
        (void)tni_worker_provide_replacements(runtime,
                                              hurried); /* ahead: the next ones to be taken do not wait for a thread's start */
    return due_ns;
}

/* When to look again after a look at `now_ns`. Before *allowed_ns there would be more than one in TNI_MONITOR_MEAN_NS on the
 * average, but for some that have been saved. */
static uint64_t next_look(uint64_t now_ns, uint64_t due_ns, uint64_t *allowed_ns)
{
    uint64_t next_ns = now_ns + TNI_MONITOR_PERIOD_NS;

    if (*allowed_ns + TNI_MONITOR_SAVED_NS < now_ns)
        *allowed_ns = now_ns - TNI_MONITOR_SAVED_NS;
    *allowed_ns += TNI_MONITOR_MEAN_NS;
    if (due_ns < *allowed_ns)
        due_ns = *allowed_ns;
    return due_ns < next_ns ? due_ns : next_ns;
}

/* Sleeps until a worker starts to work again, unless one has meanwhile. Looks for a deadlock, and for tasks to be reported, when
 * it has said that it rests: so whoever takes away what keeps a report off either is seen by the look, or has it made again. */
static void rest(tn_runtime *runtime)
{
    tni_monitor *monitor = &runtime->monitor;

    /* Says that it rests; ordered before the look by the fence. Partner: tni_monitor_notice. */
    tni_a32_store(&monitor->resting, 1, TNI_RELAXED);
    tni_fence_full();
    tni_deadlock_check(runtime);
    /* Acquire: partner: tni_monitor_stop. */
    while (tni_idle_all_parked(&runtime->idle) && !tni_runtime_maintain(runtime, tni_clock_ns()) &&
           !tni_stuck_report(runtime, tni_clock_ns()) && tni_a32_load(&monitor->stop, TNI_ACQUIRE) == 0) {
        /* Relaxed: only ended by the exchange in tni_monitor_notice, whose wake follows. */
        if (tni_a32_load(&monitor->resting, TNI_RELAXED) == 0)
            break;
        tni_futex_wait(&monitor->resting, 1, TNI_FOREVER);
    }
    /* Relaxed: nobody waits for it. */
    tni_a32_store(&monitor->resting, 0, TNI_RELAXED);
}

static void *monitor_main(void *arg)
{
    tn_runtime *runtime = arg;
    tni_monitor *monitor = &runtime->monitor;
    uint64_t quiet_since_ns = tni_clock_ns();
    uint64_t next_ns = quiet_since_ns;
    uint64_t allowed_ns = 0;

    tni_thread_name("tn-monitor");
    /* Acquire: partner: tni_monitor_stop. */
    while (tni_a32_load(&monitor->stop, TNI_ACQUIRE) == 0) {
        uint64_t due_ns = TNI_FOREVER;
        uint64_t now_ns;
        bool tends;
        tni_futex_wait(&monitor->stop, 0, next_ns);
        now_ns = tni_clock_ns();
        tends = tni_runtime_maintain(runtime, now_ns);
        if (tni_stuck_report(runtime, now_ns))
            quiet_since_ns = now_ns;
        if (!tni_idle_all_parked(&runtime->idle)) {
            quiet_since_ns = now_ns;
            due_ns = observe(runtime);
        } else if (!tends && now_ns - quiet_since_ns > TNI_MONITOR_REST_NS) {
            rest(runtime);
            quiet_since_ns = tni_clock_ns();
        }
        next_ns = next_look(tni_clock_ns(), due_ns, &allowed_ns);
    }
    tni_stuck_report_end(runtime);
    return NULL;
}

void tni_monitor_notice(tn_runtime *runtime)
{
    tni_monitor *monitor = &runtime->monitor;

    /* Orders the end of our parked mark before the look, against the fence in rest(). */
    tni_fence_full();
    /* Relaxed: behind the fence; the exchange decides who wakes. */
    if (tni_unlikely(tni_a32_load(&monitor->resting, TNI_RELAXED) != 0) &&
        tni_a32_exchange(&monitor->resting, 0, TNI_RELAXED) != 0)
        tni_futex_wake(&monitor->resting, 1);
}

void tni_monitor_init(tni_monitor *monitor)
{
    tni_a32_init(&monitor->resting, 0);
    tni_a32_init(&monitor->stop, 0);
    monitor->started = false;
}

int tni_monitor_start(tn_runtime *runtime)
{
    tni_monitor *monitor = &runtime->monitor;
    int rc;

    rc = tni_thread_start(&monitor->thread, monitor_main, runtime);
    monitor->started = rc == 0;
    return rc;
}

void tni_monitor_stop(tn_runtime *runtime)
{
    tni_monitor *monitor = &runtime->monitor;

    if (!monitor->started)
        return;
    /* Release: partner: monitor_main. The exchange of resting ends a rest that began before it saw stop. */
    tni_a32_store(&monitor->stop, 1, TNI_RELEASE);
    tni_futex_wake(&monitor->stop, 1);
    /* Stop before the look; against the fence in rest(). */
    tni_fence_full();
    if (tni_a32_exchange(&monitor->resting, 0, TNI_RELAXED) != 0) /* relaxed: behind the fence */
        tni_futex_wake(&monitor->resting, 1);
    tni_thread_join(&monitor->thread);
    monitor->started = false;
}
