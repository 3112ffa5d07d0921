/* How many operations of a task may be ready at once before it has to let others run. */
#ifndef TNI_BUDGET_H
#define TNI_BUDGET_H

#include "task.h"

/* In a poll that is about to answer: false when the task's budget is used up. Then the task has been woken already, and the poll
 * answers TN_PENDING without having done anything. */
bool tni_poll_may_answer(tn_waker *waker);

/* In a poll: is less left of the task's budget than so many answers (far less than a whole one), so that one of the polls below
 * may answer, or has answered, TN_PENDING though it was ready? Then the task has been woken, and polls with a new budget will
 * tell. */
bool tni_poll_is_short(tn_waker *waker, unsigned answers);

#endif
