/* SPDX-License-Identifier: MIT */
/* Paused time: stopping, moving and resuming the clock of a current-thread runtime (time/task_clock.h). The jump to the next
 * timer is the worker's (worker.c). */
#include <tn/time.h>

#include "base/tls.h"
#include "sched/core.h"
#include "time/task_clock.h"

/* The clock of the calling task; NULL: it has none of its own. */
static tni_task_clock *own_clock(void)
{
    const tni_tls *local = tni_tls_get();

    return local->task != NULL ? local->clock : NULL;
}

int tn_time_pause(void)
{
    tni_task_clock *clock = own_clock();

    if (clock == NULL)
        return TN_EINVAL;
    tni_task_clock_pause(clock);
    return 0;
}

int tn_time_resume(void)
{
    tni_task_clock *clock = own_clock();

    if (clock == NULL)
        return TN_EINVAL;
    tni_task_clock_resume(clock);
    return 0;
}

int tn_time_advance(uint64_t ns)
{
    tni_task_clock *clock = own_clock();
    tni_core *core;

    if (clock == NULL || tni_tls_get()->task->kind != TNI_TASK_FIBER || !clock->paused || ns >= TNI_FOREVER - clock->now_ns)
        return TN_EINVAL;
    clock->now_ns += ns;
    core = tni_core_enter();
    tni_timers_awake(&core->timers); /* the wheel files by the time of its last advance, which may be long ago */
    (void)tni_timers_fire(&core->timers, clock->now_ns, NULL);
    tni_core_leave();
    return tn_yield();
}
