/* SPDX-License-Identifier: MIT */
/* The count of atomic operations, and fine mode. The number of preemptions is bounded, because a run with one at each operation
 * is slow: most errors need two or three at the right places. */
#include "sim/sim_fine.h"

#include "base/atomic.h"
#include "sim/sim_choice.h"
#include "sim/sim_thread.h"

/* In coarse mode: operations without a call of the OS layer, after which another thread continues. */
#define COARSE_STEPS 4096

static uint64_t preemptions_left;
static uint32_t counted; /* the operations up to this value of tni_sim_fine_left have taken their time */

uint32_t tni_sim_fine_left = COARSE_STEPS;

static void set_left(void)
{
    tni_sim_fine_left = preemptions_left > 0 ? tni_sim_choice_interval(TNI_SIM_PREEMPT) : COARSE_STEPS;
    counted = tni_sim_fine_left;
}

void tni_sim_fine_begin(uint64_t preemptions_max)
{
    preemptions_left = preemptions_max;
    set_left();
}

uint64_t tni_sim_fine_elapsed_ns(void)
{
    uint64_t steps = counted - tni_sim_fine_left;

    counted = tni_sim_fine_left;
    return steps * TNI_SIM_ATOMIC_NS;
}

void tni_sim_fine_step(void)
{
    tni_sim_time_pass(0);
    if (preemptions_left > 0) {
        preemptions_left--;
        set_left();
        tni_sim_thread_preempt();
    } else {
        set_left();
        tni_sim_thread_spin();
    }
}
