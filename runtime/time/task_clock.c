/* SPDX-License-Identifier: MIT */
/* The clock of tasks: pausing and resuming it. */
#include "time/task_clock.h"

tni_a32 tni_task_clock_altered;

void tni_task_clock_pause(tni_task_clock *clock)
{
    if (clock->paused)
        return;
    clock->now_ns = tni_task_clock_at(clock, tni_clock_ns());
    clock->paused = true;
    if (!clock->altered)
        (void)tni_a32_fetch_add(&tni_task_clock_altered, 1, TNI_RELAXED); /* relaxed: see tni_task_clock_ns */
    clock->altered = true;
}

void tni_task_clock_resume(tni_task_clock *clock)
{
    if (clock->paused)
        clock->ahead_ns = clock->now_ns - tni_clock_ns();
    clock->paused = false;
}

void tni_task_clock_fini(tni_task_clock *clock)
{
    if (clock->altered)
        (void)tni_a32_fetch_sub(&tni_task_clock_altered, 1, TNI_RELAXED); /* relaxed: as above */
}
