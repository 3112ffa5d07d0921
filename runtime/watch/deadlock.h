/* SPDX-License-Identifier: MIT */
/* Tasks that wait for each other for ever. See deadlock.c. */
#ifndef TNI_DEADLOCK_H
#define TNI_DEADLOCK_H

#include <tn/runtime.h>

/* Monitor: all workers are parked. Reports a deadlock, if this is one and it is wanted. */
void tni_deadlock_check(tn_runtime *runtime);

#endif
