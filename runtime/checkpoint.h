/* What an operation that may be ready at once asks before it tries. */
#ifndef TNI_CHECKPOINT_H
#define TNI_CHECKPOINT_H

/* As tn_checkpoint, but without a look at the clock: that is made when the task suspends, and by the budget. */
int tni_checkpoint(void);

#endif
