/* What an operation that may be ready at once asks before it tries. */
#ifndef TNI_CHECKPOINT_H
#define TNI_CHECKPOINT_H

#include "tn_future.h"

/* As tn_checkpoint, but without a look at the clock: that is made when the task suspends, and by the budget. */
int tni_checkpoint(void);

/* What each suspending call begins with: counts against the task's budget (which may yield, and then looks at the clock for the
 * scopes), then as tni_checkpoint. */
int tni_operation_enter(void);

/* In a poll that is about to answer: false when the task's budget is used up. Then the task has been woken already, and the poll
 * answers TN_PENDING without having done anything. */
bool tni_poll_may_answer(tn_waker *waker);

/* In a poll: is less left of the task's budget than so many answers (far less than a whole one), so that one of the polls below
 * may answer, or has answered, TN_PENDING though it was ready? Then the task has been woken, and polls with a new budget will
 * tell. */
bool tni_poll_is_short(tn_waker *waker, unsigned answers);

#endif
