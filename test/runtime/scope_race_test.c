/* SPDX-License-Identifier: MIT */
/* Cancel scopes: a deadline or a cancellation ends a wait, in races with the event of this wait. Each race has both orders. */
/* ctest: timeout=120 */
#include <stdatomic.h>

#include <tn/scope.h>

#include "support/manual.h"
#include "support/runtime.h"

enum { HOUR_S = 3600 };

static uint64_t in(uint64_t ns)
{
    return tn_now() + ns;
}

/* --- A wake and a deadline in both orders ----------------------------------------------------------------------------------- */

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

/* The event comes first. Before the task runs again, its deadline expires as well. */
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
    atomic_store(&r->event.result, 5);
    /* One worker: neither the task nor its timer runs before this task suspends. */
    tt_block_thread(60 * TN_MS);
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
    tt_check(atomic_load(&r->event.waker) == NULL); /* a late event finds no waker */
    return NULL;
}

static void run_on_one_worker(tn_entry_fn entry, void *arg)
{
    tn_options options = tn_options_default();
    tn_runtime *runtime;

    options.flavor = TN_CURRENT_THREAD;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, entry, arg, NULL), 0);
    tt_runtime_destroy(runtime);
}

Test(scope_race, an_event_that_comes_with_the_deadline_wins)
{
    race r;

    race_init(&r);
    run_on_one_worker(event_first, &r);
}

Test(scope_race, a_deadline_that_comes_alone_drops_the_wait)
{
    race r;

    race_init(&r);
    run_on_one_worker(deadline_first, &r);
}

/* --- Cancellation from outside ---------------------------------------------------------------------------------------------- */

static void *wait_with_source(void *arg)
{
    race *r = arg;
    tn_scope scope;

    tn_scope_enter_with(&scope, TN_NEVER, &r->source);
    tt_gate_open(&r->entered);
    atomic_store(&r->result, tn_await(&r->event.base));
    tn_scope_leave(&scope);
    tt_check(tn_checkpoint() == 0 && tn_sleep(1) == 0); /* only the scope is cancelled */
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

Test(scope_race, a_source_cancels_a_wait)
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
    atomic_store(&r->event.result, 5);
    /* Queues the task, which runs only when this one suspends. Then it finds both. */
    tt_manual_wake(&r->event);
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
    atomic_store(&r->event.result, 5);
    tt_manual_wake(&r->event);
    (void)tt_join(task); /* the task has left the scope */
    tn_cancel_source_cancel(&r->source);
    tt_check(atomic_load(&r->result) == 5 && atomic_load(&r->event.drops) == 1);
    tn_cancel_source_fini(&r->source);
    return NULL;
}

Test(scope_race, a_cancellation_that_comes_with_the_event_wins)
{
    race r;

    race_init(&r);
    run_on_one_worker(cancel_and_event, &r);
}

Test(scope_race, a_cancellation_after_the_event_finds_nobody)
{
    race r;

    race_init(&r);
    run_on_one_worker(event_then_cancel, &r);
}

static void *thread_waits(void *arg)
{
    (void)wait_with_source(arg);
    return NULL;
}

Test(scope_race, a_plain_thread_is_cancelled)
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

Test(scope_race, a_used_source_cancels_from_the_start)
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

Test(scope_race, a_child_that_is_joined_inside_may_cancel_it)
{
    tt_run(child_cancels, NULL);
}

/* A task enters and leaves a scope while another one cancels its source. The scope is never accessed after the leave. */
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

Test(scope_race, cancelling_against_leaving)
{
    tt_run(cancel_against_leave, NULL);
}
