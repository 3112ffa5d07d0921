/* SPDX-License-Identifier: MIT */
/* Task groups whose owner destroy gives up on: their tasks are cancelled and their results are dropped. If the tasks run in
 * another runtime, the owner's frame stays until the last of them has ended. */
/* ctest: timeout=120 */
#include <stdatomic.h>

#include <tn.h>

#include "support/abandoned.h"
#include "support/runtime.h"

static atomic_uint dropped;

static void count_drop(void *result)
{
    tt_check(result == &dropped);
    atomic_fetch_add(&dropped, 1);
}

static bool all_is_freed(void *arg)
{
    return atomic_load(&((tt_allocator *)arg)->blocks) == 0;
}

/* --- Tasks of the owner's runtime ------------------------------------------------------------------------------------------- */

static void *end_at_once(void *arg)
{
    (void)arg;
    return &dropped;
}

/* Ignores cancellation. */
static void *sleep_shielded(void *arg)
{
    TN_SHIELD(shield, TN_NEVER);

    (void)tn_sleep(3600 * TN_S);
    return arg;
}

typedef enum { IN_A_SLEEP, IN_NEXT, IN_LEAVE } where;

static void *own_group(void *arg)
{
    const where *here = arg;
    tn_spawn_options options = tn_spawn_options_default();
    tn_group_result ended;
    TN_GROUP(group, NULL);

    options.drop_result = count_drop;
    tt_check(tn_group_spawn(&group, &options, sleep_shielded, NULL) == 0);
    tt_check(tn_group_spawn(&group, &options, sleep_shielded, NULL) == 0);
    tt_check(tn_group_spawn(&group, &options, end_at_once, NULL) == 0);
    while (tn_group_running(&group) > 2)
        tt_check(tn_yield() == 0);
    if (*here == IN_NEXT) {
        tt_check(tn_group_next(&group, &ended) == 1);
        count_drop(ended.result);
        (void)tn_group_next(&group, &ended);
    }
    if (*here == IN_A_SLEEP)
        (void)tn_sleep(3600 * TN_S);
    return NULL;
}

Test(abandoned_group, with_its_owner)
{
    static const where places[] = {IN_A_SLEEP, IN_NEXT, IN_LEAVE};

    for (int i = 0; i < 3; i++) {
        tt_abandoned left;

        atomic_store(&dropped, 0);
        tt_abandon_begin(&left, own_group, (void *)(uintptr_t)&places[i]);
        tt_abandon_end_with(&left, 2);
        cr_assert_eq(atomic_load(&left.allocator.blocks), 0);
        cr_assert_eq(atomic_load(&dropped), 1);
    }
}

/* --- Tasks of another runtime ----------------------------------------------------------------------------------------------- */

typedef struct {
    tn_runtime *elsewhere;
    tt_gate begun;
    tt_gate go_on;
    atomic_uint ended;
    unsigned count;  /* tasks of the group */
    unsigned yields; /* task number k, from 0, yields k times as often */
} guests;

/* Is in the owner's frame. */
typedef struct {
    tn_group *group;
    guests *g;
    unsigned value;
} frame;

static void *born_cancelled(void *arg)
{
    const frame *f = arg;

    tt_check(f->value == 42 && tn_checkpoint() == TN_ECANCELED);
    return &dropped;
}

static void *use_frame(void *arg)
{
    const frame *f = arg;
    guests *g = f->g;
    tn_spawn_options options = tn_spawn_options_default();

    tt_gate_open(&g->begun);
    tt_gate_wait(&g->go_on, 1);
    options.drop_result = count_drop;
    tt_check(f->value == 42 && tn_checkpoint() == TN_ECANCELED);
    tt_check(tn_group_spawn(f->group, &options, born_cancelled, arg) == 0);
    tt_check(tn_group_running(f->group) >= 1);
    atomic_fetch_add(&g->ended, 1);
    return &dropped;
}

static void *own_group_elsewhere(void *arg)
{
    guests *g = arg;
    tn_group_options options = tn_group_options_default();
    tn_spawn_options how = tn_spawn_options_default();
    frame f = {NULL, g, 42};

    options.runtime = g->elsewhere;
    how.drop_result = count_drop;
    TN_GROUP(group, &options);
    f.group = &group;
    for (unsigned i = 0; i < g->count; i++)
        tt_check(tn_group_spawn(&group, &how, use_frame, &f) == 0);
    (void)tn_group_wait(&group);
    tt_check(false);
    return NULL;
}

Test(abandoned_group, with_tasks_elsewhere)
{
    guests g = {.elsewhere = tt_runtime_create(), .begun = TT_GATE_INIT, .go_on = TT_GATE_INIT, .count = 2};
    static tt_abandoned left;

    atomic_store(&dropped, 0);
    tt_abandon_begin(&left, own_group_elsewhere, &g);
    tt_gate_wait(&g.begun, g.count);
    tt_abandon_end_with(&left, 0);
    cr_assert_gt(atomic_load(&left.allocator.blocks), 0); /* the tasks still use the owner's frame */
    tt_gate_open(&g.go_on);
    cr_assert(tt_wait_until(all_is_freed, &left.allocator, 20 * TN_S));
    cr_assert_eq(atomic_load(&g.ended), g.count);
    tt_runtime_destroy(g.elsewhere);
    cr_assert_eq(atomic_load(&dropped), 2 * g.count);
}

/* --- Tasks that end while destroy gives up ---------------------------------------------------------------------------------- */

static void *yield_and_read(void *arg)
{
    const frame *f = arg;

    tt_gate_wait(&f->g->go_on, 1); /* opened when the owner waits for the group */
    for (unsigned i = atomic_fetch_add(&f->g->ended, 1) * f->g->yields; i > 0 && tn_yield() == 0; i--)
        ;
    tt_check(f->value == 42);
    return &dropped;
}

static void *own_busy_group(void *arg)
{
    guests *g = arg;
    tn_group_options options = tn_group_options_default();
    tn_spawn_options how = tn_spawn_options_default();
    frame f = {NULL, g, 42};

    options.runtime = g->elsewhere;
    how.drop_result = count_drop;
    TN_GROUP(group, &options);
    for (unsigned i = 0; i < g->count; i++)
        tt_check(tn_group_spawn(&group, &how, yield_and_read, &f) == 0);
    (void)tn_group_wait(&group);
    tt_check(false);
    return NULL;
}

Test(abandoned_group, ends_against_giving_up)
{
    tn_runtime *elsewhere = tt_runtime_create();

    for (unsigned long round = tt_scaled(300); round > 0; round--) {
        guests g = {.elsewhere = elsewhere, .go_on = TT_GATE_INIT, .count = 8, .yields = (unsigned)(round % 40)};
        static tt_abandoned left;
        atomic_store(&dropped, 0);
        tt_abandon_begin(&left, own_busy_group, &g);
        tt_gate_open(&g.go_on);
        tt_abandon_end_with(&left, 0);
        cr_assert(tt_wait_until(all_is_freed, &left.allocator, 20 * TN_S));
        cr_assert_eq(atomic_load(&dropped), g.count);
    }
    tt_runtime_destroy(elsewhere);
}
