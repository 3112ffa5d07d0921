/* SPDX-License-Identifier: MIT */
/* Virtual time, and what happens at a time: deadlines of sleeping threads, arrivals of segments. */
#ifndef TNI_SIM_TIME_H
#define TNI_SIM_TIME_H

#include "base/defs.h"

/* Embedded in what it belongs to. All zero: not set. */
typedef struct tni_sim_event tni_sim_event;
struct tni_sim_event {
    uint64_t at_ns;
    uint64_t order;  /* events of one time fire in the order in which they were set */
    size_t position; /* in the heap, plus 1; 0: not set */
    void (*fire)(tni_sim_event *event);
};

/* What a step costs in virtual time. */
enum { TNI_SIM_CALL_NS = 400, TNI_SIM_CLOCK_NS = 25, TNI_SIM_SPIN_NS = 20, TNI_SIM_ATOMIC_NS = 5 };

/* Where the clock begins: an hour after boot, so that no deadline of 0 is in the future. */
#define TNI_SIM_TIME_BEGIN_NS (UINT64_C(3600) * 1000000000)

/* The calendar's time at that moment: 2026-01-01 00:00:00 UTC. */
#define TNI_SIM_TIME_CALENDAR_S UINT64_C(1767225600)

uint64_t tni_sim_time_ns(void);

/* Moves the clock on, also by the time of the atomic operations since the last call, and fires what is due. */
void tni_sim_time_pass(uint64_t ns);

/* Sets an event that is not set. It fires when the clock has reached `at_ns`. */
void tni_sim_time_set(tni_sim_event *event, uint64_t at_ns, void (*fire)(tni_sim_event *event));
/* Allowed also if it is not set. */
void tni_sim_time_clear(tni_sim_event *event);

/* Moves the clock to the next event and fires it. False: there is none. */
bool tni_sim_time_jump(void);

#endif
