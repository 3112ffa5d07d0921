/* SPDX-License-Identifier: MIT */
/* The operations of parts.c. Each has tasks and objects of its own, and ends when all of them have ended. */
#ifndef PARTS_H
#define PARTS_H

#include "in_time.h"

/* What is so since `since_ns` must be noticed by now. In fine mode a thread without others beside it loses its processor again
 * and again, so the limit of the ordinary variant is wide. */
static inline void check_late(uint64_t since_ns)
{
    tn_sim_check(tn_now() - since_ns < (prompt_ns() > 0 ? prompt_ns() : OPERATION_NS));
}

static inline void spawn(tn_group *group, tn_entry_fn entry, void *arg)
{
    tn_sim_check(tn_group_spawn(group, NULL, entry, arg) == 0);
}

/* All tasks of the group end by themselves. */
static inline void leave(tn_group *group)
{
    tn_sim_check(tn_group_wait(group) == 0);
    tn_group_leave(group);
}

void do_set(void);
void do_combined(void);
void do_race(void);
void do_timers(void);
void do_yield_beside(void);
void do_pinned(void);
void do_token(void);
void do_cancel(void);
void do_close_channel(void);
void do_permits(void);

/* For a task without others beside it, in a runtime whose tasks keep no thread. */
void do_spread(void);

#endif
