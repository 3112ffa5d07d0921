/* SPDX-License-Identifier: MIT */
/* How a poll asks to be polled again at a given moment. */
#ifndef TNI_DEADLINE_H
#define TNI_DEADLINE_H

#include "task/task.h"

/* Inside a poll with `waker`, of the task that polls: it is woken at `deadline_ns` or (seldom) earlier, never much later; see
 * timer.h. Asking costs nothing until the run ends suspended. */
static inline void tni_deadline_ask(tn_waker *waker, uint64_t deadline_ns)
{
    tn_task *task = tni_task_of(waker);

    if (deadline_ns < task->deadline_ns)
        task->deadline_ns = deadline_ns;
}

/* `ns` from now; as late as can be said where the sum is too large. */
static inline uint64_t tni_deadline_after(uint64_t ns)
{
    uint64_t now_ns = tni_clock_ns();

    return ns >= TNI_FOREVER - now_ns ? TNI_FOREVER : now_ns + ns;
}

#endif
