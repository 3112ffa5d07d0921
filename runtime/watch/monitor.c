/* SPDX-License-Identifier: MIT */
/* The monitor looks at the cores every TNI_MONITOR_PERIOD_NS while any worker is awake or ought to be, and at the moment at which
 * a core is to be taken; stuck.c has what it does about those whose worker does not come to them.
 *
 * When all workers have slept for TNI_MONITOR_REST_NS it says that it rests, looks once more behind a full fence, and sleeps
 * until one of their loops has something, or a timer of theirs is due. A worker that leaves its park takes its parked mark back,
 * makes a full fence, and wakes the monitor if it rests: one of the two sees the other, so no worker that is awake is unobserved.
 * An idle runtime therefore wakes nothing. What is attached to the runtime may keep the monitor from its rest in the same way: it
 * writes what its `tend` looks at, makes a full fence, and wakes the monitor if it rests.
 */
#include "watch/monitor.h"

#include <string.h>

#include "os/os_event.h"
#include "sched/runtime.h"
#include "watch/deadlock.h"
#include "watch/stuck.h"

/* Which workers sleep in a loop that has something for them? */
static void poll_loops(const tn_runtime *runtime, bool *ready)
{
    const tni_os_loop *loops[TNI_WORKERS_MAX];
    bool any = false;

    for (unsigned i = 0; i < runtime->core_count; i++) {
        bool parked = tni_idle_is_parked(&runtime->idle, i);
        loops[i] = parked ? &runtime->cores[i]->driver.loop : NULL;
        any = any || parked;
    }
    if (any)
        (void)tni_os_loops_poll(loops, runtime->core_count, -1, 0, ready);
    else
        memset(ready, 0, runtime->core_count * sizeof *ready);
}

/* Looks at all cores. True: a worker is awake, or ought to be. *due_ns: when to look again at the latest; TNI_FOREVER: when the
 * period is over. */
static bool check_cores(tn_runtime *runtime, uint64_t *due_ns)
{
    bool ready[TNI_WORKERS_MAX];
    uint64_t now_ns = tni_clock_ns();
    unsigned wanted = 0;
    unsigned recently_taken = 0;
    unsigned asleep = 0;

    *due_ns = TNI_FOREVER;
    poll_loops(runtime, ready);
    for (unsigned i = 0; i < runtime->core_count; i++) {
        wanted += tni_stuck_observe(runtime->cores[i], now_ns, ready[i], due_ns);
        recently_taken += runtime->cores[i]->watch.check_interval_ns != 0;
        asleep += runtime->cores[i]->watch.asleep;
    }
    if (wanted > 0 && !tni_worker_provide_replacements(runtime, wanted))
        tni_stuck_no_replacement(runtime, now_ns);
    else if (recently_taken > wanted)
        (void)tni_worker_provide_replacements(runtime,
                                              recently_taken); /* ahead, so that no take-over waits for a thread to start */
    return asleep < runtime->core_count;
}

/* When to look again after a look at `now_ns`. Before *allowed_ns there would be more than one in TNI_MONITOR_MEAN_NS on the
 * average, but for some that have been saved. */
static uint64_t next_check_ns(uint64_t now_ns, uint64_t due_ns, uint64_t *allowed_ns)
{
    uint64_t next_ns = now_ns + TNI_MONITOR_PERIOD_NS;

    if (*allowed_ns + TNI_MONITOR_SAVED_NS < now_ns)
        *allowed_ns = now_ns - TNI_MONITOR_SAVED_NS;
    *allowed_ns += TNI_MONITOR_MEAN_NS;
    if (due_ns < *allowed_ns)
        due_ns = *allowed_ns;
    return due_ns < next_ns ? due_ns : next_ns;
}

/* When the first of the workers is to wake for a timer. */
static uint64_t next_timer_ns(const tn_runtime *runtime)
{
    uint64_t next_ns = TNI_FOREVER;

    for (unsigned i = 0; i < runtime->core_count; i++) {
        /* Relaxed: as they were when their workers went to sleep; who arms an earlier one wakes its worker by its loop. */
        uint64_t core_ns = tni_a64_load(&runtime->cores[i]->timers.next_ns, TNI_RELAXED);
        if (core_ns < next_ns)
            next_ns = core_ns;
    }
    return next_ns;
}

/* All workers sleep. Waits until a worker says that it is awake, or ought to be: its loop has something, or its timer is due.
 * If the monitor cannot wait so, it goes on looking at the cores. */
static void wait_for_any(tn_runtime *runtime)
{
    const tni_os_loop *loops[TNI_WORKERS_MAX];
    bool ready[TNI_WORKERS_MAX];
    uint64_t now_ns = tni_clock_ns();
    uint64_t until_ns = next_timer_ns(runtime);

    if (until_ns != TNI_FOREVER)
        until_ns += TNI_MONITOR_PERIOD_NS; /* its worker wakes us before, if it gets a processor */
    if (until_ns <= now_ns)
        return;
    for (unsigned i = 0; i < runtime->core_count; i++)
        loops[i] = &runtime->cores[i]->driver.loop;
    (void)tni_os_loops_poll(loops, runtime->core_count, runtime->monitor.bell,
                            until_ns == TNI_FOREVER ? TNI_FOREVER : until_ns - now_ns, ready);
}

/* Sleeps until a worker starts to work again, or ought to. Looks for a deadlock, and for tasks to be reported, when it has said
 * that it rests: so whoever takes away what keeps a report off either is seen by the look, or has it made again. */
static void rest(tn_runtime *runtime)
{
    tni_monitor *monitor = &runtime->monitor;

    /* Says that it rests; ordered before the look by the fence. Partner: tni_monitor_notice. */
    tni_a32_store(&monitor->resting, 1, TNI_RELAXED);
    tni_fence_full();
    tni_deadlock_check(runtime);
    /* Acquire: partner: tni_monitor_stop. */
    if (tni_idle_all_parked(&runtime->idle) && !tni_runtime_maintain(runtime, tni_clock_ns()) &&
        !tni_stuck_report(runtime, tni_clock_ns()) && tni_a32_load(&monitor->stop, TNI_ACQUIRE) == 0)
        wait_for_any(runtime); /* ended by the post that follows each exchange of `resting` */
    /* Relaxed: nobody waits for it. */
    tni_a32_store(&monitor->resting, 0, TNI_RELAXED);
    tni_os_event_drain(monitor->bell);
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
        uint64_t due_ns;
        uint64_t now_ns;
        bool maintain_again;
        tni_futex_wait(&monitor->stop, 0, next_ns);
        now_ns = tni_clock_ns();
        maintain_again = tni_runtime_maintain(runtime, now_ns);
        if (tni_stuck_report(runtime, now_ns))
            quiet_since_ns = now_ns;
        if (check_cores(runtime, &due_ns)) {
            quiet_since_ns = now_ns;
        } else if (!maintain_again && now_ns - quiet_since_ns > TNI_MONITOR_REST_NS) {
            rest(runtime);
            quiet_since_ns = tni_clock_ns();
        }
        next_ns = next_check_ns(tni_clock_ns(), due_ns, &allowed_ns);
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
        tni_os_event_post(monitor->bell);
}

void tni_monitor_init(tni_monitor *monitor)
{
    tni_a32_init(&monitor->resting, 0);
    tni_a32_init(&monitor->stop, 0);
    monitor->started = false;
    monitor->bell = -1;
}

int tni_monitor_start(tn_runtime *runtime)
{
    tni_monitor *monitor = &runtime->monitor;
    int rc;

    monitor->bell = tni_os_event_open();
    if (monitor->bell < 0)
        return monitor->bell;
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
        tni_os_event_post(monitor->bell);
    tni_thread_join(&monitor->thread);
    monitor->started = false;
}

void tni_monitor_fini(tni_monitor *monitor)
{
    if (monitor->bell >= 0)
        tni_os_event_close(monitor->bell);
}
