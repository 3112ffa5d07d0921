/* SPDX-License-Identifier: MIT */
/* Sections of code that block (tn_block_begin): they nest, have no effect outside of a worker, and pass results on. Calls whose
 * arguments are out of range. */
#include <tn/combine.h>

#include "support/runtime.h"

/* --- Sections --------------------------------------------------------------------------------------------------------------- */

typedef struct {
    tt_gate other_ran;
    bool ended_once; /* the inner of two sections has ended */
} section;

static void *open_gate(void *arg)
{
    tt_gate_open(arg);
    return arg;
}

/* One worker, which loses its core only to what is declared. The other task runs only if the section still holds. */
static void *block_in_a_section(void *arg)
{
    section *s = arg;
    tn_task *other;

    tn_block_begin(TN_BLOCK_LAZY);
    tn_block_begin(TN_BLOCK_LAZY);
    tt_check(tn_spawn(&other, open_gate, &s->other_ran) == 0);
    if (s->ended_once)
        tn_block_end();
    tt_gate_wait(&s->other_ran, 1);
    if (!s->ended_once)
        tn_block_end();
    tn_block_end();
    tt_join(other);
    return arg;
}

Test(sections, nest)
{
    for (int ended_once = 0; ended_once < 2; ended_once++) {
        section s = {.other_ran = TT_GATE_INIT, .ended_once = ended_once};
        tn_options options = tt_options();
        tn_runtime *runtime;
        options.workers = 1;
        options.force_migration = false;
        options.stuck_after_ns = UINT64_MAX;
        cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
        cr_assert_eq(tn_block_on(runtime, block_in_a_section, &s, NULL), 0);
        tt_runtime_destroy(runtime);
    }
}

static void *add_one(void *arg)
{
    return (void *)((intptr_t)arg + 1);
}

static void *call_in_place(void *arg)
{
    tt_check(tn_block_in_place(TN_BLOCK_LAZY, add_one, (void *)41) == (void *)42);
    tt_check(tn_block_in_place(TN_BLOCK_EAGER, add_one, (void *)42) == (void *)43);
    return arg;
}

Test(sections, return_what_the_function_returns)
{
    tt_run(call_in_place, NULL);
}

Test(sections, have_no_effect_on_a_plain_thread)
{
    call_in_place(NULL);
    tn_block_begin(TN_BLOCK_EAGER);
    tn_block_end();
    tn_block_end(); /* nothing was begun, so nothing is missing */
}

static void *end_what_has_not_begun(void *arg)
{
    tn_block_end();
    return arg;
}

static void run_unbegun(void *arg)
{
    tt_run(end_what_has_not_begun, arg);
}

Test(sections, an_end_without_a_begin_aborts)
{
    tt_child child = tt_fork(run_unbegun, NULL);

    cr_assert(tt_child_aborted(&child, "tn_block_end without tn_block_begin"), "%s", child.said);
}

/* --- Arguments -------------------------------------------------------------------------------------------------------------- */

static void begin_without_a_period(void *arg)
{
    tn_interval interval;

    (void)arg;
    tn_interval_init(&interval, tn_now(), 0, TN_MISSED_BURST);
}

Test(sections, an_interval_without_a_period_aborts)
{
    tt_child child = tt_fork(begin_without_a_period, NULL);

    cr_assert(tt_child_aborted(&child, "tn_interval_init: the period is 0"), "%s", child.said);
}
