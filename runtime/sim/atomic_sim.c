/* SPDX-License-Identifier: MIT */
/* The out-of-line function of base/atomic_sim.h. */
#include "base/atomic.h"

#include "sim/sim_thread.h"

void tni_spin_hint(void)
{
    tni_sim_thread_spin();
}
