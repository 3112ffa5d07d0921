/* SPDX-License-Identifier: MIT */
/* The blocks of the default allocator. */
#ifndef TNI_ALLOC_SIM_H
#define TNI_ALLOC_SIM_H

#include "base/defs.h"

/* How many have not been freed. */
uint64_t tni_sim_alloc_in_use(void);

#endif
