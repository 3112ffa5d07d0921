/* SPDX-License-Identifier: MIT */
/* The blocks of the default allocator. */
#ifndef TNI_ALLOC_SIM_H
#define TNI_ALLOC_SIM_H

#include "base/defs.h"

/* How many have not been freed. */
uint64_t tni_sim_alloc_in_use(void);

/* Before the processes of the runs are forked: lets their heaps grow in one piece. */
void tni_sim_alloc_prepare(void);
/* At the beginning of a run: makes the first bytes of the heap present. `heap_bytes`: what a run before has used; 0: unknown. */
void tni_sim_alloc_begin(size_t heap_bytes);
/* How much of the heap the blocks have reached since. */
size_t tni_sim_alloc_heap_bytes(void);

#endif
