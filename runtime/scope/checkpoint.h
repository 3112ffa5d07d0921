/* SPDX-License-Identifier: MIT */
/* The cancellation point at the beginning of an operation that may complete at once. */
#ifndef TNI_CHECKPOINT_H
#define TNI_CHECKPOINT_H

/* As tn_checkpoint, but without reading the clock: a task reads it when it suspends and when its budget is used up. */
int tni_checkpoint(void);

#endif
