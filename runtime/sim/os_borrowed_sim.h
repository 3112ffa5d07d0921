/* SPDX-License-Identifier: MIT */
/* What files and loops of the simulated machine know of registrations of borrowed descriptors. */
#ifndef TNI_OS_BORROWED_SIM_H
#define TNI_OS_BORROWED_SIM_H

#include "sim/sim_file.h"

/* The file may have become ready: ends the sleeps in the loops that have it registered. */
void tni_os_borrowed_sim_event(const tni_sim_file *file);

/* The file is being closed, or a loop is: their registrations go. `loop` is the state of a loop (os_loop_sim.c). */
void tni_os_borrowed_sim_closed(const tni_sim_file *file);
void tni_os_borrowed_sim_loop_closed(const void *loop);

/* Whether tni_os_borrowed_fetch has something. */
bool tni_os_borrowed_sim_is_ready(const void *loop);

#endif
