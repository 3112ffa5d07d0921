/* SPDX-License-Identifier: MIT */
/* Wakes that are lost inside the library, noticed in the moment in which all threads sleep. */
#ifndef TNI_SIM_LOST_H
#define TNI_SIM_LOST_H

#include "sim/sim_thread.h"

/* Called when no thread can run, before the clock moves on: fails the run if something waits for a thread that sleeps, and
 * nothing of the library has been done for it. Later a timer, another wake or the monitor may find it by chance, and the run
 * would not show that a wake was lost. */
void tni_sim_lost_check(const tni_sim_thread *const *all, uint32_t count);

#endif
