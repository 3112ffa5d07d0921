/* SPDX-License-Identifier: MIT */
/* What files and loops of the simulated machine know of each other. */
#ifndef TNI_OS_LOOP_SIM_H
#define TNI_OS_LOOP_SIM_H

#include "sim/sim_file.h"

/* The file has become ready for `events`: marks its poll, and wakes the threads that wait for the file or its loop. */
void tni_os_loop_sim_event(tni_sim_file *file, uint32_t events);

/* Something borrowed has become ready in a loop: wakes the threads that wait for it. `loop` is the loop's state. */
void tni_os_loop_sim_wake(const void *loop);

#endif
