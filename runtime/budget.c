#include "budget.h"

/* The last one is left for tni_budget_spend_in, which yields when it takes it. For plain threads the system sees to it that
 * others run. */
static inline bool is_short(const tn_task *task, unsigned answers)
{
    return task->budget <= answers && task->kind != TNI_TASK_THREAD;
}

bool tni_poll_is_short(tn_waker *waker, unsigned answers)
{
    if (tni_likely(!is_short(tni_task_of(waker), answers)))
        return false;
    tn_waker_wake_by_ref(waker);
    return true;
}

bool tni_poll_may_answer(tn_waker *waker)
{
    tn_task *task = tni_task_of(waker);

    if (tni_poll_is_short(waker, 1))
        return false;
    if (task->kind != TNI_TASK_THREAD)
        task->budget--;
    return true;
}
