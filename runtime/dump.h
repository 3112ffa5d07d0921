/* Looking for deadlocks. */
#ifndef TNI_DUMP_H
#define TNI_DUMP_H

#include "tn_runtime.h"

/* The monitor, when all workers have been parked for a while: reports once if no task can ever be woken. */
void tni_deadlock_look(tn_runtime *runtime);

#endif
