/* SPDX-License-Identifier: MIT */
/* What atomic operations of the library are to the scheduler. In both modes each takes virtual time. In fine mode another thread
 * may continue before any of them; in coarse mode only after very many without a call, so that a loop of them waits for other
 * threads and not for ever. */
#ifndef TNI_SIM_FINE_H
#define TNI_SIM_FINE_H

#include "base/defs.h"

/* 0: coarse mode. */
void tni_sim_fine_begin(uint64_t preemptions_max);

/* The virtual time of the operations since the last call of this function. */
uint64_t tni_sim_fine_elapsed_ns(void);

#endif
