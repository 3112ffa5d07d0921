/* SPDX-License-Identifier: MIT */
/* How a poll function asks to be polled again at a given time. */
#ifndef TNI_DEADLINE_H
#define TNI_DEADLINE_H

#include "task/task.h"
#include "time/task_clock.h"

/* For a poll that was given `waker`: its task is woken at `deadline_ns`, never much later, and rarely earlier; see timer.h. A
 * request costs nothing until the run ends suspended. */
static inline void tni_deadline_ask(tn_waker *waker, uint64_t deadline_ns)
{
    tn_task *task = tni_task_of(waker);

    if (deadline_ns < task->deadline_ns)
        task->deadline_ns = deadline_ns;
}

/* `ns` from now; TNI_FOREVER if the sum overflows. */
static inline uint64_t tni_deadline_after(uint64_t ns)
{
    uint64_t now_ns = tni_task_clock_ns();

    return ns >= TNI_FOREVER - now_ns ? TNI_FOREVER : now_ns + ns;
}

#endif
