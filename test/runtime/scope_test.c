/* SPDX-License-Identifier: MIT */
/* Cancel scopes: inherited deadlines, shields, scopes of plain threads, scopes at the end of a task. */
/* ctest: timeout=120 */
#include <stdatomic.h>

#include <tn/scope.h>

#include "sched/core.h"
#include "sched/run.h"
#include "support/manual.h"
#include "support/runtime.h"

enum { HOUR_S = 3600 };

static uint64_t in(uint64_t ns)
{
    return tn_now() + ns;
}

/* --- Deadlines -------------------------------------------------------------------------------------------------------------- */

static void *deadlines_are_inherited(void *arg)
{
    uint64_t outer_ns = in(20 * TN_MS);
    tn_scope outer;
    tn_scope inner;

    tt_check(tn_scope_deadline() == TN_NEVER);
    tn_scope_enter(&outer, outer_ns);
    tn_scope_enter(&inner, in(HOUR_S * TN_S)); /* a deadline is never extended */
    tt_check(tn_scope_deadline() == outer_ns);
    tt_check(tn_sleep(HOUR_S * TN_S) == TN_ETIMEDOUT);
    tt_check(tn_now() >= outer_ns);
    tt_check(tn_sleep(0) == TN_ETIMEDOUT); /* level-triggered */
    tn_scope_leave(&inner);
    tt_check(tn_sleep(1) == TN_ETIMEDOUT && tn_checkpoint() == TN_ETIMEDOUT && tn_yield() == TN_ETIMEDOUT);
    tn_scope_leave(&outer);
    tt_check(tn_checkpoint() == 0 && tn_sleep(1) == 0 && tn_scope_deadline() == TN_NEVER);
    return arg;
}

Test(scope, a_deadline_holds_for_all_that_is_called_below)
{
    tt_run(deadlines_are_inherited, NULL);
}

static void *the_inner_one_ends_alone(void *arg)
{
    uint64_t inner_ns;
    tn_scope outer;

    tn_scope_enter(&outer, in(HOUR_S * TN_S));
    tt_check(tn_sleep(TN_MS) == 0); /* the scope's timer is armed, and stays armed */
    inner_ns = in(5 * TN_MS);
    {
        TN_SCOPE(inner, inner_ns);
        tt_check(tn_sleep(HOUR_S * TN_S) == TN_ETIMEDOUT); /* re-armed: the inner deadline is earlier */
        tt_check(tn_now() >= inner_ns);
    }
    tt_check(tn_checkpoint() == 0 && tn_yield() == 0);
    tn_scope_leave(&outer);
    return arg;
}

Test(scope, an_inner_deadline_that_is_earlier_moves_the_timer)
{
    tt_run(the_inner_one_ends_alone, NULL);
}

static void *fires_early(void *arg)
{
    uint64_t later_ns;
    tn_scope scope;

    tn_scope_enter(&scope, in(10 * TN_MS));
    tt_check(tn_sleep(TN_MS) == 0);
    tt_check(tn_yield() == 0 || tn_checkpoint() == TN_ETIMEDOUT);
    tn_scope_leave(&scope); /* its timer is still in the wheel */
    later_ns = in(40 * TN_MS);
    tn_scope_enter(&scope, later_ns);
    tt_check(tn_sleep(HOUR_S * TN_S) == TN_ETIMEDOUT);
    tt_check(tn_now() >= later_ns);
    tn_scope_leave(&scope);
    return arg;
}

Test(scope, a_timer_that_goes_off_early_is_armed_again)
{
    tt_run(fires_early, NULL);
}

static bool is_armed(void)
{
    return tni_aptr_load(&tn_self()->armed_in, TNI_ACQUIRE) != NULL;
}

static void *arms_nothing(void *arg)
{
    tn_scope scope;
    tt_manual ready;

    tt_manual_init(&ready);
    atomic_store(&ready.result, 7);
    tn_scope_enter(&scope, in(HOUR_S * TN_S));
    tt_check(tn_await(&ready.base) == 7);
    tt_check(!is_armed());
    tt_check(tn_yield() == 0);
    tt_check(!is_armed());
    tn_scope_leave(&scope);
    return arg;
}

Test(scope, what_does_not_suspend_arms_nothing)
{
    tt_run(arms_nothing, NULL);
}

/* Each time, the timer fires after the event has woken the task. The test forces this with internals and one worker. */
typedef struct {
    tt_manual event;
    tn_task *waiter;
    unsigned rounds;
    atomic_bool over;
} crossing;

static void *wait_for_events(void *arg)
{
    crossing *c = arg;
    tn_scope scope;
    int rc;

    tn_scope_enter(&scope, in(2 * TN_MS));
    do {
        tt_manual_init(&c->event);
        rc = tn_await(&c->event.base);
        c->rounds++;
    } while (rc == 1);
    tt_check(rc == TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    atomic_store(&c->over, true);
    return NULL;
}

static void *event_then_timer(void *arg)
{
    crossing *c = arg;

    c->waiter = tt_spawn(wait_for_events, c);
    tt_check(tn_yield() == 0);
    tt_burn(3 * TN_MS);
    while (!atomic_load(&c->over)) {
        tni_timers *timers = tni_aptr_load(&c->waiter->armed_in, TNI_ACQUIRE);
        tt_manual_ready(&c->event, 1); /* the task is queued */
        if (timers != NULL)
            (void)tni_timers_fire(timers, tn_now(), NULL);
        tt_check(c->rounds <= 2);
        tt_check(tn_yield() == 0);
    }
    (void)tt_join(c->waiter);
    return NULL;
}

Test(scope, a_deadline_that_always_comes_with_an_event_is_told_by_the_next_wait)
{
    tn_options options = tt_options();
    crossing c = {.rounds = 0};
    tn_runtime *runtime;

    options.workers = 1;
    options.stuck_after_ns = UINT64_MAX; /* one task at a time */
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, event_then_timer, &c, NULL), 0);
    tt_runtime_destroy(runtime);
}

static void *budget(void *arg)
{
    tn_scope scope;
    tt_manual ready;
    unsigned rounds = 0;

    tn_scope_enter(&scope, in(TN_MS));
    tt_burn(2 * TN_MS);
    tt_manual_init(&ready);
    atomic_store(&ready.result, 0);
    tt_check(tn_await(&ready.base) == 0); /* ready: the clock is not read */
    while (tn_await(&ready.base) == 0)
        tt_check(++rounds <= TNI_BUDGET);
    tt_check(tn_await(&ready.base) == TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    tt_check(tn_await(&ready.base) == 0);
    return arg;
}

Test(scope, operations_that_are_always_ready_are_told_by_the_budget)
{
    tt_run(budget, NULL);
}

/* A deadline in the past, a relative one, and none. */
static void *forms(void *arg)
{
    tn_scope scope;
    tn_scope shield;

    tn_scope_enter(&scope, 1);
    tt_check(tn_checkpoint() == TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    tn_scope_enter(&scope, 0);
    tt_check(tn_sleep(HOUR_S * TN_S) == TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    tn_scope_enter_for(&scope, UINT64_MAX);
    tt_check(tn_scope_deadline() == TN_NEVER && tn_sleep(1) == 0);
    tn_scope_leave(&scope);
    tn_scope_enter_for(&scope, TN_MS);
    tn_shield_enter(&shield, TN_NEVER);
    tt_check(tn_scope_deadline() == TN_NEVER && tn_sleep(3 * TN_MS) == 0);
    tn_scope_leave(&shield);
    tt_check(tn_checkpoint() == TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    return arg;
}

Test(scope, deadlines_of_all_kinds)
{
    tt_run(forms, NULL);
}

/* --- Shields ---------------------------------------------------------------------------------------------------------------- */

static void *slow_child(void *arg)
{
    tt_check(tn_sleep(5 * TN_MS) == 0);
    return arg;
}

static void *clean_up(void *arg)
{
    tn_task *child = tt_spawn(slow_child, arg);
    tn_scope shield;
    void *result = NULL;
    uint64_t end_ns;

    tt_check(tn_sleep(HOUR_S * TN_S) == TN_ECANCELED);
    tt_check(tn_join(child, &result) == TN_ECANCELED); /* the caller keeps the handle */
    tn_shield_enter(&shield, in(HOUR_S * TN_S));
    tt_check(tn_checkpoint() == 0 && tn_sleep(1) == 0 && tn_yield() == 0);
    tt_check(tn_join(child, &result) == 0 && result == arg);
    tn_scope_leave(&shield);
    tt_check(tn_checkpoint() == TN_ECANCELED);
    end_ns = in(3 * TN_MS);
    tn_shield_enter(&shield, end_ns);
    {
        TN_SCOPE(inner, in(HOUR_S * TN_S)); /* cannot extend the shield's deadline */
        tt_check(tn_sleep(HOUR_S * TN_S) == TN_ETIMEDOUT && tn_now() >= end_ns);
    }
    tn_scope_leave(&shield);
    tt_check(tn_yield() == TN_ECANCELED);
    return arg;
}

static void *cancel_a_fiber(void *arg)
{
    tn_task *task = tt_spawn(clean_up, &arg);

    tt_check(tn_yield() == 0);
    tn_cancel(task);
    tt_check(tt_join(task) == &arg);
    return NULL;
}

Test(scope, a_cancelled_fiber_joins_its_child_inside_a_shield)
{
    tt_run(cancel_a_fiber, NULL);
}

static void *sleep_in_shield(void *arg)
{
    TN_SHIELD(shield, TN_NEVER);

    tt_gate_open(arg);
    tt_check(tn_sleep(20 * TN_MS) == 0); /* the cancellation wakes it, and it continues to sleep */
    return NULL;
}

static void *cancel_shielded(void *arg)
{
    tt_gate entered = TT_GATE_INIT;
    uint64_t began_ns = tn_now();
    tn_task *task = tt_spawn(sleep_in_shield, &entered);

    while (tt_gate_opened(&entered) == 0)
        tt_check(tn_yield() == 0);
    tn_cancel(task);
    (void)tt_join(task);
    tt_check(tn_now() >= began_ns + 20 * TN_MS);
    return arg;
}

Test(scope, a_wait_inside_a_shield_outlasts_a_cancellation)
{
    tt_run(cancel_shielded, NULL);
}

typedef struct {
    tn_cancel_source source;
    tt_gate entered;
    uint64_t deadline_ns;
} clean_up_ended;

static void *sleep_until_the_source_ends_it(void *arg)
{
    clean_up_ended *c = arg;
    TN_SCOPE(outer, tn_now()); /* has no effect inside */
    tn_scope shield;

    tn_shield_enter_with(&shield, c->deadline_ns, &c->source);
    tt_check_eq(tn_checkpoint(), tn_cancel_source_is_cancelled(&c->source) ? TN_ECANCELED : 0);
    tt_gate_open(&c->entered);
    tt_check_eq(tn_sleep(HOUR_S * TN_S), TN_ECANCELED);
    tn_scope_leave(&shield);
    tt_check_eq(tn_checkpoint(), TN_ETIMEDOUT);
    return NULL;
}

static void *end_shields(void *arg)
{
    clean_up_ended c = {.entered = TT_GATE_INIT, .deadline_ns = TN_NEVER};
    tn_task *task;

    tn_cancel_source_init(&c.source);
    task = tt_spawn(sleep_until_the_source_ends_it, &c);
    while (tt_gate_opened(&c.entered) == 0)
        tt_check(tn_yield() == 0);
    tn_cancel_source_cancel(&c.source);
    (void)tt_join(task);
    (void)tt_join(tt_spawn(sleep_until_the_source_ends_it, &c)); /* cancelled from the start */
    tn_cancel_source_fini(&c.source);
    return arg;
}

Test(scope, a_source_ends_a_shield)
{
    clean_up_ended c = {.entered = TT_GATE_INIT, .deadline_ns = TN_NEVER};
    tn_scope shield;
    pthread_t thread;

    tt_run(end_shields, NULL);
    tn_cancel_source_init(&c.source);
    thread = tt_thread_start(sleep_until_the_source_ends_it, &c);
    tt_gate_wait(&c.entered, 1);
    tn_cancel_source_cancel(&c.source);
    tt_thread_join(thread);
    tn_cancel_source_fini(&c.source);
    tn_cancel_source_init(&c.source);
    tn_shield_enter_with(&shield, tn_now(), &c.source); /* its own deadline */
    cr_assert_eq(tn_checkpoint(), TN_ETIMEDOUT);
    tn_scope_leave(&shield);
    tn_cancel_source_fini(&c.source);
}

/* --- Plain threads ---------------------------------------------------------------------------------------------------------- */

Test(scope, plain_threads_have_scopes)
{
    tn_scope outer;
    tn_scope inner;
    uint64_t end_ns = in(5 * TN_MS);

    tn_scope_enter(&outer, end_ns);
    tn_scope_enter(&inner, TN_NEVER);
    cr_assert_eq(tn_sleep(HOUR_S * TN_S), TN_ETIMEDOUT);
    cr_assert(tn_now() >= end_ns);
    cr_assert_eq(tn_yield(), TN_ETIMEDOUT);
    tn_scope_leave(&inner);
    tn_scope_leave(&outer);
    cr_assert_eq(tn_checkpoint(), 0);
    cr_assert_eq(tn_sleep(1), 0);
}

static void *answer(void *arg)
{
    tt_check(tn_sleep(5 * TN_MS) == 0);
    return arg;
}

Test(scope, block_on_is_no_checkpoint)
{
    tn_runtime *runtime = tt_runtime_create();
    tn_scope scope;
    void *result = NULL;

    tn_scope_enter(&scope, 1);
    cr_assert_eq(tn_block_on(runtime, answer, &scope, &result), 0);
    cr_assert_eq(result, (void *)&scope);
    tn_scope_leave(&scope);
    tt_runtime_destroy(runtime);
}

/* --- Inheritance by tasks, ends --------------------------------------------------------------------------------------------- */

static void *has_none(void *arg)
{
    tt_check(tn_scope_deadline() == TN_NEVER && tn_checkpoint() == 0);
    return arg;
}

static void *spawn_inside(void *arg)
{
    tn_scope scope;
    tn_task *child;

    tn_scope_enter(&scope, 1);
    child = tt_spawn(has_none, arg);
    tn_scope_leave(&scope);
    (void)tt_join(child);
    return arg;
}

Test(scope, a_task_spawned_inside_has_none)
{
    tt_run(spawn_inside, NULL);
}

static void *end_with_armed_node(void *arg)
{
    TN_SCOPE(scope, in(HOUR_S * TN_S));

    tt_check(tn_sleep(1) == 0);
    return arg;
}

static void *many_ends(void *arg)
{
    for (unsigned long i = tt_scaled(300); i > 0; i--)
        (void)tt_join(tt_spawn(end_with_armed_node, arg));
    return arg;
}

Test(scope, the_timer_goes_with_its_task)
{
    tt_run(many_ends, NULL);
}
