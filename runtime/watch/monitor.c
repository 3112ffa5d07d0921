/* SPDX-License-Identifier: MIT */
/* The monitor: a thread that checks the cores every TNI_MONITOR_PERIOD_NS while any worker is awake or should be, and at the
 * time at which a core will be taken. stuck.c has what it does about a core whose worker does not poll it.
 *
 * When all workers have slept for TNI_MONITOR_REST_NS it sets `resting`, makes a full fence, checks once more, and sleeps until
 * one of their loops has something, or one of their timers is due. A worker that leaves its park clears its parked mark, makes
 * a full fence, and wakes the monitor if it rests. One of the two observes the other, so the monitor never rests while a worker
 * is awake. In an idle runtime no thread wakes up.
 *
 * An attachment of the runtime may keep the monitor from its rest in the same way: it writes what its `wants_maintenance`
 * checks, makes a full fence, and wakes the monitor if it rests.
 *
 * The monitor waits for no lock of the C library or the dynamic linker, and calls no function of the program: a task may hold
 * such a lock for long, and would wait for the monitor. What may wait is done by the starter (sched/starter.h), and reports are
 * made by the reporter (reporter.h).
 */
#include "watch/monitor.h"

#include <string.h>

#include "base/tls.h"
#include "os/os_event.h"
#include "sched/runtime.h"
#include "watch/deadlock.h"
#include "watch/stuck.h"
#include "watch/wait_graph.h"

/* Sets `ready` for each core whose worker is parked and whose loop has something for it. */
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

/* Checks all cores. True: a worker is awake, or should be. *due_ns: time of the next check, if it must come before the period
 * is over; TNI_FOREVER otherwise. */
static bool check_cores(tn_runtime *runtime, uint64_t *due_ns)
{
    bool ready[TNI_WORKERS_MAX];
    uint64_t now_ns = tni_clock_ns();
    unsigned wanted = 0;
    unsigned recently_taken = 0;
    unsigned asleep = 0;
    unsigned held = 0;  /* cores below the limit whose worker a task keeps */
    unsigned stuck = 0; /* these, and the cores below the limit that want a replacement thread */

    *due_ns = TNI_FOREVER;
    poll_loops(runtime, ready);
    for (unsigned i = 0; i < runtime->core_count; i++) {
        bool wants = tni_stuck_observe(runtime->cores[i], now_ns, ready[i], due_ns);
        bool below = !tni_idle_is_reserve(&runtime->idle, i);
        wanted += wants;
        held += below && runtime->cores[i]->record.held;
        stuck += below && (wants || runtime->cores[i]->record.held);
        recently_taken += runtime->cores[i]->record.check_interval_ns != 0;
        asleep += runtime->cores[i]->record.asleep;
    }
    if (wanted > 0 && !tni_worker_provide_replacements(runtime, wanted)) {
        tni_stuck_no_replacement(runtime, now_ns);
        held = stuck;                     /* no such thread comes */
    } else if (recently_taken > wanted) { /* ahead, so that no take-over waits for a thread to start */
        (void)tni_worker_provide_replacements(runtime, recently_taken);
    }
    tni_worker_limit_set(runtime, held);
    return asleep < runtime->core_count;
}

/* Returns the time of the next check after one at `now_ns`. A token bucket limits early checks: a token per
 * TNI_MONITOR_MEAN_NS, saved for up to TNI_MONITOR_SAVED_NS. *allowed_ns is the time of the next token. */
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

/* Returns the time at which the first worker must wake for a timer. */
static uint64_t next_timer_ns(const tn_runtime *runtime)
{
    uint64_t next_ns = TNI_FOREVER;

    for (unsigned i = 0; i < runtime->core_count; i++) {
        /* Relaxed: as when the workers went to sleep; a thread that arms an earlier timer wakes the worker by its loop. */
        uint64_t core_ns = tni_a64_load(&runtime->cores[i]->timers.next_ns, TNI_RELAXED);
        if (core_ns < next_ns)
            next_ns = core_ns;
    }
    return next_ns;
}

/* Called when all workers sleep. Waits until a worker has woken the monitor, or should wake: its loop has something, or its
 * timer is due. If this wait is not possible, it returns, and the monitor keeps checking the cores. */
static void wait_for_any(tn_runtime *runtime)
{
    const tni_os_loop *loops[TNI_WORKERS_MAX];
    bool ready[TNI_WORKERS_MAX];
    uint64_t now_ns = tni_clock_ns();
    uint64_t until_ns = next_timer_ns(runtime);

    uint64_t trim_ns = tni_runtime_trim_due_ns(runtime);

    if (until_ns != TNI_FOREVER)
        until_ns += TNI_MONITOR_PERIOD_NS; /* its worker wakes the monitor before that, if it gets a processor */
    if (until_ns > trim_ns)
        until_ns = trim_ns;
    if (until_ns <= now_ns)
        return;
    for (unsigned i = 0; i < runtime->core_count; i++)
        loops[i] = &runtime->cores[i]->driver.loop;
    (void)tni_os_loops_poll(loops, runtime->core_count, runtime->monitor.bell,
                            until_ns == TNI_FOREVER ? TNI_FOREVER : until_ns - now_ns, ready);
}

/* Sleeps until a worker starts to work again, or should. Checks for a deadlock, and for tasks to report, after it has set
 * `resting`. So if a thread removes the last obstacle to a report, either the check observes that, or the thread wakes the
 * monitor, which checks again. */
static void rest(tn_runtime *runtime)
{
    tni_monitor *monitor = &runtime->monitor;

    /* Publishes that the monitor rests; ordered before the check by the fence. Release: publishes `bell`, which was opened after
     * the workers had begun. Partner: tni_monitor_notice. */
    tni_a32_store(&monitor->resting, 1, TNI_RELEASE);
    tni_fence_full();
    tni_deadlock_check(runtime);
    /* Acquire: observes the stop; partner: tni_monitor_stop. */
    if (tni_idle_all_parked(&runtime->idle) && !tni_runtime_request_starter(runtime, tni_clock_ns()) &&
        !tni_stuck_report(runtime, tni_clock_ns()) && !tni_wait_graph_request(runtime, tni_clock_ns()) &&
        tni_a32_load(&monitor->stop, TNI_ACQUIRE) == 0)
        wait_for_any(runtime); /* the post that follows each exchange of `resting` ends it */
    /* Relaxed: no thread waits for it. */
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
    tni_tls_get()->log_sink = &runtime->reporter.sink;
    /* Acquire: observes the stop; partner: tni_monitor_stop. */
    while (tni_a32_load(&monitor->stop, TNI_ACQUIRE) == 0) {
        uint64_t due_ns;
        uint64_t now_ns;
        bool maintain_again;
        tni_futex_wait(&monitor->stop, 0, next_ns);
        now_ns = tni_clock_ns();
        maintain_again = tni_runtime_request_starter(runtime, now_ns);
        tni_worker_limit_request(runtime, now_ns);
        (void)tni_wait_graph_request(runtime, now_ns);
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

    /* Orders the caller's write (a worker: the end of its parked mark; tni_monitor_stop: the stop) before the check. Pairs with
     * the fence in rest. */
    tni_fence_full();
    /* The load is relaxed: behind the fence. The exchange decides which thread wakes the monitor. Acquire: observes `bell`;
     * partner: rest. */
    if (tni_unlikely(tni_a32_load(&monitor->resting, TNI_RELAXED) != 0) &&
        tni_a32_exchange(&monitor->resting, 0, TNI_ACQUIRE) != 0)
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
    /* Release: publishes the stop; partner: monitor_main. */
    tni_a32_store(&monitor->stop, 1, TNI_RELEASE);
    tni_futex_wake(&monitor->stop, 1);
    tni_monitor_notice(runtime); /* ends a rest that began before the store */
    tni_thread_join(&monitor->thread);
    monitor->started = false;
}

void tni_monitor_fini(tni_monitor *monitor)
{
    if (monitor->bell >= 0)
        tni_os_event_close(monitor->bell);
}
