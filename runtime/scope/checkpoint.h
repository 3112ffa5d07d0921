/* SPDX-License-Identifier: MIT */
/* What an operation that may be ready at once asks before it tries. */
#ifndef TNI_CHECKPOINT_H
#define TNI_CHECKPOINT_H

/* As tn_checkpoint, but does not read the clock: that is done when the task suspends, and when its budget is used up. */
int tni_checkpoint(void);

#endif
