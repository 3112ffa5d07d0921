/* SPDX-License-Identifier: MIT */
/* Functions of the OS layer that the simulated machine does not have. Each use fails the run with the function's name.
 *
 * A function that is new in the OS layer and has neither a twin nor a refusal is an undefined symbol when tournant_sim is
 * linked. The refusal is one line in os_refused_sim.c. */
#ifndef TNI_SIM_REFUSE_H
#define TNI_SIM_REFUSE_H

#include "sim/sim_run.h"

_Noreturn void tni_sim_refuse(const char *name);

/* Defines `type name parameters` as a refusal. */
#define TNI_SIM_REFUSE(type, name, parameters) \
    type name parameters \
    { \
        tni_sim_refuse(#name); \
    }

/* Referring to it links the functions of the C library that are refused. */
extern const int tni_sim_refuse_calls;

#endif
