/* Scopes: deadlines and cancellations that are inherited, shields, both orders of every race, misuse. */
/* ctest: timeout=120 */
#include <stdatomic.h>

#include "core.h"
#include "run.h"
#include "support/manual.h"
#include "support/runtime.h"
#include "tn_scope.h"

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
    tn_scope_enter(&inner, in(HOUR_S * TN_S)); /* never extended */
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
    tt_check(tn_sleep(TN_MS) == 0); /* the node is armed, and stays so in vain */
    inner_ns = in(5 * TN_MS);
    {
        TN_SCOPE(inner, inner_ns);
        tt_check(tn_sleep(HOUR_S * TN_S) == TN_ETIMEDOUT); /* moved: the inner one is earlier */
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
    tn_scope_leave(&scope); /* its time is still in the wheel */
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
    return tni_aptr_load(&tn_self()->timer_core, TNI_ACQUIRE) != NULL;
}

static void *arms_nothing(void *arg)
{
    tn_scope scope;
    tt_manual ready;

    tt_manual_init(&ready);
    atomic_store(&ready.answer, 7);
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

/* The timer goes off each time when the event has woken the task already. Internals: this is made to happen, by one worker. */
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
        tni_core *core = tni_aptr_load(&c->waiter->timer_core, TNI_ACQUIRE);
        tt_manual_ready(&c->event, 1); /* it is queued */
        if (core != NULL)
            (void)tni_timers_fire(&core->timers, tn_now());
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
    atomic_store(&ready.answer, 0);
    tt_check(tn_await(&ready.base) == 0); /* ready: the clock is not looked at */
    while (tn_await(&ready.base) == 0) {
        tni_budget_spend();
        tt_check(++rounds <= TNI_BUDGET);
    }
    tt_check(tn_await(&ready.base) == TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    tt_check(tn_await(&ready.base) == 0);
    return arg;
}

Test(scope, operations_that_are_always_ready_are_told_by_the_budget)
{
    tt_run(budget, NULL);
}

/* In the past, relative, and none at all. */
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

/* --- A wake against a deadline: both orders --------------------------------------------------------------------------------- */

typedef struct {
    tt_manual event;
    tt_gate entered;
    atomic_int result;
    tn_cancel_source source;
} race;

static void race_init(race *r)
{
    *r = (race){.entered = TT_GATE_INIT};
    tt_manual_init(&r->event);
    tn_cancel_source_init(&r->source);
}

/* The event comes, and then so much time passes before the task runs again that its deadline is over too. */
static void *wait_in_scope(void *arg)
{
    race *r = arg;
    TN_SCOPE(scope, in(20 * TN_MS));

    atomic_store(&r->result, tn_await(&r->event.base));
    return NULL;
}

static void *event_first(void *arg)
{
    race *r = arg;
    tn_task *task = tt_spawn(wait_in_scope, r);

    while (!tt_manual_was_polled(&r->event))
        tt_check(tn_yield() == 0);
    atomic_store(&r->event.answer, 5);
    tt_block_thread(60 * TN_MS); /* one worker: nobody runs it, nor its timer's wake, before we leave */
    tt_manual_wake(&r->event);
    (void)tt_join(task);
    tt_check(atomic_load(&r->result) == 5 && atomic_load(&r->event.drops) == 1);
    return NULL;
}

static void *deadline_first(void *arg)
{
    race *r = arg;
    tn_task *task = tt_spawn(wait_in_scope, r);

    (void)tt_join(task);
    tt_check(atomic_load(&r->result) == TN_ETIMEDOUT && atomic_load(&r->event.drops) == 1);
    tt_check(atomic_load(&r->event.waker) == NULL); /* a late event finds nobody */
    return NULL;
}

static void run_on_one_worker(tn_entry_fn entry, void *arg)
{
    tn_options options = tn_options_default();
    tn_runtime *runtime;

    options.flavour = TN_CURRENT_THREAD;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, entry, arg, NULL), 0);
    tt_runtime_destroy(runtime);
}

Test(scope, an_event_that_comes_with_the_deadline_wins)
{
    race r;

    race_init(&r);
    run_on_one_worker(event_first, &r);
}

Test(scope, a_deadline_that_comes_alone_drops_the_wait)
{
    race r;

    race_init(&r);
    run_on_one_worker(deadline_first, &r);
}

/* --- Cancelling from outside ------------------------------------------------------------------------------------------------ */

static void *wait_with_source(void *arg)
{
    race *r = arg;
    tn_scope scope;

    tn_scope_enter_with(&scope, TN_NEVER, &r->source);
    tt_gate_open(&r->entered);
    atomic_store(&r->result, tn_await(&r->event.base));
    tn_scope_leave(&scope);
    tt_check(tn_checkpoint() == 0 && tn_sleep(1) == 0); /* the scope, not the task */
    return NULL;
}

static void *cancel_the_scope(void *arg)
{
    race *r = arg;
    tn_task *task = tt_spawn(wait_with_source, r);

    while (!tt_manual_was_polled(&r->event))
        tt_check(tn_yield() == 0);
    tn_cancel_source_cancel(&r->source);
    (void)tt_join(task);
    tt_check(atomic_load(&r->result) == TN_ECANCELED && atomic_load(&r->event.drops) == 1);
    tt_check(tn_cancel_source_is_cancelled(&r->source));
    tn_cancel_source_fini(&r->source);
    return NULL;
}

Test(scope, a_source_cancels_a_wait)
{
    race r;

    race_init(&r);
    tt_run(cancel_the_scope, &r);
}

static void *cancel_and_event(void *arg)
{
    race *r = arg;
    tn_task *task = tt_spawn(wait_with_source, r);

    while (!tt_manual_was_polled(&r->event))
        tt_check(tn_yield() == 0);
    atomic_store(&r->event.answer, 5);
    tt_manual_wake(&r->event); /* queued, but nobody runs it before we leave: then it finds both */
    tn_cancel_source_cancel(&r->source);
    (void)tt_join(task);
    tt_check(atomic_load(&r->result) == TN_ECANCELED && atomic_load(&r->event.drops) == 1);
    tn_cancel_source_fini(&r->source);
    return NULL;
}

static void *event_then_cancel(void *arg)
{
    race *r = arg;
    tn_task *task = tt_spawn(wait_with_source, r);

    while (!tt_manual_was_polled(&r->event))
        tt_check(tn_yield() == 0);
    atomic_store(&r->event.answer, 5);
    tt_manual_wake(&r->event);
    (void)tt_join(task); /* it has left */
    tn_cancel_source_cancel(&r->source);
    tt_check(atomic_load(&r->result) == 5 && atomic_load(&r->event.drops) == 1);
    tn_cancel_source_fini(&r->source);
    return NULL;
}

Test(scope, a_cancellation_that_comes_with_the_event_wins)
{
    race r;

    race_init(&r);
    run_on_one_worker(cancel_and_event, &r);
}

Test(scope, a_cancellation_after_the_event_finds_nobody)
{
    race r;

    race_init(&r);
    run_on_one_worker(event_then_cancel, &r);
}

static void *enter_cancelled(void *arg)
{
    race *r = arg;
    tn_scope scope;
    tn_scope inner;

    tn_cancel_source_cancel(&r->source);
    tn_scope_enter_with(&scope, TN_NEVER, &r->source);
    tt_check(tn_checkpoint() == TN_ECANCELED);
    tn_scope_enter(&inner, in(HOUR_S * TN_S));
    tt_check(tn_sleep(1) == TN_ECANCELED); /* inherited */
    tn_scope_leave(&inner);
    tn_scope_leave(&scope);
    tt_check(tn_checkpoint() == 0);
    tn_cancel_source_fini(&r->source);
    return NULL;
}

Test(scope, a_used_source_cancels_from_the_start)
{
    race r;

    race_init(&r);
    tt_run(enter_cancelled, &r);
}

static void *cancel_parent(void *arg)
{
    tn_scope_cancel(arg);
    return NULL;
}

static void *child_cancels(void *arg)
{
    tn_scope scope;
    tn_task *child;

    tn_scope_enter(&scope, TN_NEVER);
    child = tt_spawn(cancel_parent, &scope);
    tt_check(tn_sleep(HOUR_S * TN_S) == TN_ECANCELED);
    {
        TN_SHIELD(shield, TN_NEVER);
        tt_check(tn_join(child, NULL) == 0);
    }
    tn_scope_leave(&scope);
    return arg;
}

Test(scope, a_child_that_is_joined_inside_may_cancel_it)
{
    tt_run(child_cancels, NULL);
}

/* Enters and leaves as fast as it can, while another one cancels: the one that leaves is never touched again. */
typedef struct {
    tn_cancel_source source;
    atomic_bool entered;
    atomic_uint cancelled;
} churn;

static void *enter_and_leave(void *arg)
{
    churn *c = arg;

    {
        tn_scope scope;
        tn_scope_enter_with(&scope, TN_NEVER, &c->source);
        atomic_store(&c->entered, true);
        if (tn_yield() == TN_ECANCELED)
            atomic_fetch_add(&c->cancelled, 1);
        tn_scope_leave(&scope);
        scope = (tn_scope){{0}};
    }
    tt_check(tn_checkpoint() == 0);
    return NULL;
}

static void *cancel_against_leave(void *arg)
{
    for (unsigned long i = tt_scaled(3000); i > 0; i--) {
        churn c = {.cancelled = 0};
        tn_task *task;
        tn_cancel_source_init(&c.source);
        task = tt_spawn(enter_and_leave, &c);
        if (i % 2 == 0)
            while (!atomic_load(&c.entered))
                (void)tn_yield();
        tn_cancel_source_cancel(&c.source);
        (void)tt_join(task);
        tn_cancel_source_fini(&c.source);
    }
    return arg;
}

Test(scope, cancelling_against_leaving)
{
    tt_run(cancel_against_leave, NULL);
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
    tt_check(tn_join(child, &result) == TN_ECANCELED); /* the handle stays ours */
    tn_shield_enter(&shield, in(HOUR_S * TN_S));
    tt_check(tn_checkpoint() == 0 && tn_sleep(1) == 0 && tn_yield() == 0);
    tt_check(tn_join(child, &result) == 0 && result == arg);
    tn_scope_leave(&shield);
    tt_check(tn_checkpoint() == TN_ECANCELED);
    end_ns = in(3 * TN_MS);
    tn_shield_enter(&shield, end_ns);
    {
        TN_SCOPE(inner, in(HOUR_S * TN_S)); /* no longer than the shield */
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
    tt_check(tn_sleep(20 * TN_MS) == 0); /* woken by the cancellation, and goes on sleeping */
    return NULL;
}

static void *cancel_shielded(void *arg)
{
    tt_gate entered = TT_GATE_INIT;
    uint64_t began_ns = tn_now();
    tn_task *task = tt_spawn(sleep_in_shield, &entered);

    while (!tt_gate_is_open(&entered))
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

/* --- Plain threads ---------------------------------------------------------------------------------------------------------- */

static void *thread_waits(void *arg)
{
    (void)wait_with_source(arg);
    return NULL;
}

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

Test(scope, a_plain_thread_is_cancelled)
{
    race r;
    pthread_t thread;

    race_init(&r);
    thread = tt_thread_start(thread_waits, &r);
    cr_assert(tt_wait_until(tt_manual_was_polled, &r.event, 30 * TN_S));
    tn_cancel_source_cancel(&r.source);
    tt_thread_join(thread);
    cr_assert_eq(atomic_load(&r.result), TN_ECANCELED);
    cr_assert_eq(atomic_load(&r.event.drops), 1);
    tn_cancel_source_fini(&r.source);
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
