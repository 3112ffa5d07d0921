/* SPDX-License-Identifier: MIT */
/* For whole.c and parts.c: lengths of time, and operations that must end in time.
 *
 * A wake that is lost is often made good by the monitor, some milliseconds later. So there is a stricter variant, where no thread
 * loses its processor and no task keeps it, and what has become ready must be noticed within so many microseconds:
 * `--without stall --without short --size prompt_us=N`. */
#ifndef IN_TIME_H
#define IN_TIME_H

#include <tn.h>
#include <tn/sim.h>

#define OPERATION_NS (60 * TN_S) /* an operation that takes longer has lost a wake */
#define LATE_NS (2 * TN_S)       /* threads lose their processors for up to 16 ms at a time */

/* How late something may be in the stricter variant; 0: the ordinary one. */
static inline uint64_t prompt_ns(void)
{
    static bool known;
    static uint64_t ns;

    if (!known)
        ns = tn_sim_size("prompt_us", 0) * TN_US;
    known = true;
    return ns;
}

static inline uint64_t late_ns(void)
{
    return prompt_ns() > 0 ? prompt_ns() : LATE_NS;
}

/* A length of time, short ones as often as long ones. */
static inline uint64_t some_ns(void)
{
    return (UINT64_C(1) << tn_sim_choose(24)) + tn_sim_choose(1000);
}

/* Enters a scope that now and then ends early. Returns whether it may. */
static inline bool enter_scope(tn_scope *scope)
{
    bool early = tn_sim_choose(3) == 0;

    tn_scope_enter_for(scope, early ? some_ns() : OPERATION_NS);
    return early;
}

/* `rc` of an operation in such a scope, which ends. */
static inline bool is_done(tn_scope *scope, bool early, ssize_t rc)
{
    tn_scope_leave(scope);
    tn_sim_check(rc >= 0 || (early && rc == TN_ETIMEDOUT));
    return rc >= 0;
}

#endif
