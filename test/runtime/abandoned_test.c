/* SPDX-License-Identifier: MIT */
/* What destroy does for a fiber that it gave up on: its future is dropped, then its scopes and groups are unlinked, before any
 * of its memory is freed. Also: what destroy must leave alone. */
/* ctest: timeout=120 */
#include "support/abandoned.h"

#include <stdlib.h>

#include <tn.h>

#include "sched/run.h"
#include "support/child.h"
#include "support/manual.h"

static void *never(void)
{
    tt_check(false);
    return NULL;
}

/* --- The future ------------------------------------------------------------------------------------------------------------- */

static void *await(void *arg)
{
    (void)tn_await(&((tt_manual *)arg)->base);
    return never();
}

Test(abandoned, future_is_dropped)
{
    for (int woken = 0; woken < 2; woken++) {
        tt_abandoned left;
        tt_manual manual;

        tt_manual_init(&manual);
        tt_abandon_begin(&left, await, &manual);
        if (woken)
            tt_manual_ready(&manual, 0);
        tt_abandon_end(&left);
        cr_assert_eq(atomic_load(&manual.drops), 1);
        cr_assert_eq(atomic_load(&manual.polls), 1);
    }
}

static void *await_two(void *arg)
{
    tt_manual *manual = arg;

    tt_check(tn_await(&manual[0].base) == 7);
    for (;;)
        tt_check(tn_yield() == 0);
}

static bool has_yielded(const tn_task *fiber)
{
    return fiber->body.fiber.context.sp != NULL && fiber->run_result == TNI_RUN_YIELDED;
}

/* A fiber that has yielded waits for no future, so the future of its earlier wait is not dropped again. */
Test(abandoned, future_of_before_is_not)
{
    tt_abandoned left;
    tt_manual manual;

    tt_manual_init(&manual);
    tt_manual_set(&manual, 7);
    tt_abandon_begin_when(&left, await_two, &manual, has_yielded);
    tt_abandon_end(&left);
    cr_assert_eq(atomic_load(&manual.drops), 1);
}

typedef struct {
    tt_manual ready;
    tt_manual pending;
} two_futures;

/* The budget is used up when the second wait begins, so the fiber yields before the first poll. */
static void *await_after_many(void *arg)
{
    two_futures *two = arg;

    while (tn_self()->budget > 1)
        tt_check(tn_await(&two->ready.base) == 0);
    (void)tn_await(&two->pending.base);
    return never();
}

static bool yields_in_wait(const tn_task *fiber)
{
    return fiber->body.fiber.context.sp != NULL && fiber->run_result == TNI_RUN_YIELDED_IN_WAIT;
}

Test(abandoned, future_that_has_not_been_polled_is_dropped)
{
    tt_abandoned left;
    two_futures two;

    tt_manual_init(&two.ready);
    tt_manual_set(&two.ready, 0);
    tt_manual_init(&two.pending);
    tt_abandon_begin_when(&left, await_after_many, &two, yields_in_wait);
    tt_abandon_end(&left);
    cr_assert_eq(atomic_load(&two.pending.polls), 0);
    cr_assert_eq(atomic_load(&two.pending.drops), 1);
}

static bool is_queued(const tn_task *fiber)
{
    return fiber->body.fiber.context.sp == NULL;
}

Test(abandoned, one_that_never_ran)
{
    tn_options options = tn_options_default();
    tt_manual manual;
    tn_runtime *runtime;
    tn_task *task;

    options.flavor = TN_CURRENT_THREAD;
    tt_manual_init(&manual);
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    task = tt_spawn_on(runtime, await, &manual);
    cr_assert(is_queued(task));
    cr_assert_eq(tn_runtime_destroy(runtime, TN_SHUTDOWN_WAIT, 0), 1);
    cr_assert_eq(tn_join(task, NULL), TN_ESHUTDOWN);
    cr_assert_eq(atomic_load(&manual.polls) + atomic_load(&manual.drops), 0);
}

/* --- Combinators ------------------------------------------------------------------------------------------------------------ */

/* A future on a fiber's stack that forwards its polls and its drop to `elsewhere`. */
typedef struct {
    tn_future base;
    tt_manual *elsewhere;
} proxy;

static int proxy_poll(tn_future *self, tn_waker *waker)
{
    return tn_future_poll(&((proxy *)(void *)self)->elsewhere->base, waker);
}

static void proxy_drop(tn_future *self)
{
    tn_future_drop(&((proxy *)(void *)self)->elsewhere->base);
}

static proxy proxy_to(tt_manual *elsewhere)
{
    static const tn_future_ops ops = {.poll = proxy_poll, .drop = proxy_drop};

    return (proxy){{&ops}, elsewhere};
}

enum { ON_STACK, ELSEWHERE, SECOND_ON_STACK, READY, BRANCHES };

static void *select_from(void *arg)
{
    tt_manual *manual = arg;
    proxy first = proxy_to(&manual[ON_STACK]);
    proxy second = proxy_to(&manual[SECOND_ON_STACK]);
    tn_future *branches[] = {&first.base, NULL, &manual[ELSEWHERE].base, &second.base};

    (void)tn_select(branches, 4, NULL);
    return never();
}

static void *select_with_timeout(void *arg)
{
    tt_manual *manual = arg;
    proxy first = proxy_to(&manual[ON_STACK]);
    proxy second = proxy_to(&manual[SECOND_ON_STACK]);
    tn_future *branches[] = {&first.base, &manual[ELSEWHERE].base, &second.base};
    tn_select_future inner;

    tn_select_init(&inner, branches, 3);
    (void)tn_timeout_for(&inner.base, 3600 * TN_S);
    return never();
}

/* The branches on the fiber's stack are dropped with it. The others belong to the caller and stay. */
static void check_select(tn_entry_fn entry)
{
    tt_manual manual[BRANCHES];
    tt_abandoned left;

    for (int i = 0; i < BRANCHES; i++)
        tt_manual_init(&manual[i]);
    tt_abandon_begin(&left, entry, manual);
    cr_assert_eq(tn_runtime_destroy(left.runtime, TN_SHUTDOWN_WAIT, 0), 1);
    cr_assert_eq(atomic_load(&manual[ON_STACK].drops), 1);
    cr_assert_eq(atomic_load(&manual[SECOND_ON_STACK].drops), 1);
    cr_assert_eq(atomic_load(&manual[ELSEWHERE].drops), 0);
    tt_manual_ready(&manual[ELSEWHERE], 0); /* its waker is still valid */
    tn_future_drop(&manual[ELSEWHERE].base);
    cr_assert_eq(tn_join(left.fiber, NULL), TN_ESHUTDOWN);
    cr_assert_eq(atomic_load(&left.allocator.blocks), 0);
}

Test(abandoned, branches_of_a_select)
{
    check_select(select_from);
    check_select(select_with_timeout);
}

static void *race(void *arg)
{
    tt_manual *manual = arg;
    proxy first = proxy_to(&manual[ON_STACK]);
    tn_future *inner_branches[] = {&first.base};
    tn_select_future inner;
    tn_future *branches[] = {&inner.base, &manual[ELSEWHERE].base, NULL};

    tn_select_init(&inner, inner_branches, 1);
    (void)tn_race(branches, 3, NULL);
    return never();
}

static void *join_several(void *arg)
{
    tt_manual *manual = arg;
    proxy first = proxy_to(&manual[ON_STACK]);
    tn_future *inner_branches[] = {&first.base};
    tn_select_future inner;
    tn_future *branches[] = {&manual[READY].base, &inner.base, &manual[ELSEWHERE].base};
    int results[3];

    tn_select_init(&inner, inner_branches, 1);
    (void)tn_join_all(branches, results, 3);
    return never();
}

static void check_owned_branches(tn_entry_fn entry)
{
    tt_manual manual[BRANCHES];
    tt_abandoned left;

    for (int i = 0; i < BRANCHES; i++)
        tt_manual_init(&manual[i]);
    tt_manual_set(&manual[READY], 0);
    tt_abandon_begin(&left, entry, manual);
    tt_abandon_end(&left);
    cr_assert_eq(atomic_load(&manual[ON_STACK].drops), 1);
    cr_assert_eq(atomic_load(&manual[ELSEWHERE].drops), 1);
    cr_assert_eq(atomic_load(&manual[READY].drops), atomic_load(&manual[READY].polls));
}

Test(abandoned, branches_of_a_race_and_a_join)
{
    check_owned_branches(race);
    check_owned_branches(join_several);
}

typedef struct {
    tn_future_set *set;
    tt_manual manual[BRANCHES];
} set_and_futures;

static void *wait_for_set(void *arg)
{
    set_and_futures *self = arg;
    proxy first = proxy_to(&self->manual[ON_STACK]);
    proxy second = proxy_to(&self->manual[SECOND_ON_STACK]);
    tn_ready ready;

    tt_check(tn_future_set_add(self->set, &first.base, NULL, NULL) == 0);
    tt_check(tn_future_set_add(self->set, &self->manual[ELSEWHERE].base, NULL, NULL) == 0);
    tt_check(tn_future_set_add(self->set, &second.base, NULL, NULL) == 0);
    (void)tn_future_set_next(self->set, &ready);
    return never();
}

/* The set belongs to another runtime. A member that is not on the fiber's stack stays in the set. */
Test(abandoned, futures_of_a_ready_set)
{
    for (int woken = 0; woken < 2; woken++) {
        tn_runtime *runtime = tt_runtime_create();
        set_and_futures self;
        tt_abandoned left;
        tn_ready ready;

        cr_assert_eq(tn_future_set_create(&self.set, runtime), 0);
        for (int i = 0; i < BRANCHES; i++)
            tt_manual_init(&self.manual[i]);
        tt_abandon_begin(&left, wait_for_set, &self);
        if (woken)
            tt_manual_ready(&self.manual[SECOND_ON_STACK], 0);
        tt_abandon_end(&left);
        cr_assert_eq(atomic_load(&self.manual[ON_STACK].drops), 1);
        cr_assert_eq(atomic_load(&self.manual[SECOND_ON_STACK].drops), 1);
        cr_assert_eq(atomic_load(&self.manual[ELSEWHERE].drops), 0);
        cr_assert_eq(tn_future_set_count(self.set), 1);
        tt_manual_ready(&self.manual[ELSEWHERE], 5);
        cr_assert_eq(tn_future_set_next(self.set, &ready), 1);
        cr_assert_eq(ready.result, 5);
        tn_future_set_destroy(self.set);
        tt_runtime_destroy(runtime);
    }
}

/* --- Waits of the runtime itself -------------------------------------------------------------------------------------------- */

static void *wait_at_gate(void *arg)
{
    tt_gate_wait(arg, 1);
    return arg;
}

static void *join(void *arg)
{
    (void)tn_join(arg, NULL);
    return never();
}

/* Another thread can join the task. */
Test(abandoned, in_a_join)
{
    tn_runtime *runtime = tt_runtime_create();
    tt_gate gate = TT_GATE_INIT;
    tn_task *task = tt_spawn_on(runtime, wait_at_gate, &gate);
    tt_abandoned left;

    tt_abandon_begin(&left, join, task);
    tt_abandon_end(&left);
    tt_gate_open(&gate);
    cr_assert_eq(tt_join(task), &gate);
    tt_runtime_destroy(runtime);
}

static void *wait_for_post(void *arg)
{
    (void)tn_async_wait(arg);
    return never();
}

Test(abandoned, in_a_signal)
{
    tn_runtime *runtime = tt_runtime_create();
    tt_abandoned left;
    tn_async *signal;

    cr_assert_eq(tn_async_open(&signal, runtime), 0);
    tt_abandon_begin(&left, wait_for_post, signal);
    tt_abandon_end(&left);
    tn_async_send(signal);
    cr_assert_eq(tn_async_wait(signal), 0);
    tn_async_close(signal);
    tt_runtime_destroy(runtime);
}

/* --- Scopes ----------------------------------------------------------------------------------------------------------------- */

static void *sleep_in_scopes(void *arg)
{
    tn_cancel_source *sources = arg;
    tn_scope outer;
    tn_scope inner;
    TN_SHIELD(shield, TN_NEVER);

    tn_scope_enter_with(&outer, TN_NEVER, &sources[0]);
    tn_scope_enter_with(&inner, TN_NEVER, &sources[1]);
    (void)tn_sleep(3600 * TN_S);
    return never();
}

Test(abandoned, in_scopes_with_sources)
{
    for (int cancelled = 0; cancelled < 2; cancelled++) {
        tn_cancel_source sources[2];
        tt_abandoned left;

        for (int i = 0; i < 2; i++)
            tn_cancel_source_init(&sources[i]);
        tt_abandon_begin(&left, sleep_in_scopes, sources);
        if (cancelled)
            tn_cancel_source_cancel(&sources[1]);
        tt_abandon_end(&left);
        for (int i = 0; i < 2; i++) {
            tn_cancel_source_cancel(&sources[i]);
            tn_cancel_source_fini(&sources[i]);
        }
    }
}

static void *yield_in_scope(void *arg)
{
    tn_scope scope;

    tn_scope_enter_with(&scope, TN_NEVER, arg);
    for (;;)
        tt_check(tn_yield() == 0);
}

Test(abandoned, in_a_scope_without_a_wait)
{
    tn_cancel_source source;
    tt_abandoned left;

    tn_cancel_source_init(&source);
    tt_abandon_begin_when(&left, yield_in_scope, &source, has_yielded);
    tt_abandon_end(&left);
    tn_cancel_source_cancel(&source);
    tn_cancel_source_fini(&source);
}

/* As if tn_yield were inlined in its caller by link-time optimization: the scope is in the frame that switches. */
static void *yield_from_scope(void *arg)
{
    tn_scope scope;

    tn_scope_enter_with(&scope, TN_NEVER, arg);
    for (;;)
        tni_run_leave(tn_self(), TNI_RUN_YIELDED);
    return NULL;
}

Test(abandoned, in_a_scope_of_the_frame_that_left)
{
    tn_cancel_source source;
    tt_abandoned left;

    tn_cancel_source_init(&source);
    tt_abandon_begin_when(&left, yield_from_scope, &source, has_yielded);
    tt_abandon_end(&left);
    tn_cancel_source_fini(&source);
}

__attribute__((noinline)) static void enter_and_forget(void)
{
    tn_scope scope;

    tn_scope_enter(&scope, TN_NEVER);
}

/* Puts more bytes between the scope and the frames that stay than the switch overwrites. */
__attribute__((noinline)) static void forget_far_below(void)
{
    volatile char between[1024];

    between[0] = 0;
    enter_and_forget();
    between[sizeof between - 1] = 0;
}

static void *forget_and_yield(void *arg)
{
    forget_far_below();
    for (;;)
        tni_run_leave(tn_self(), TNI_RUN_YIELDED);
    return arg;
}

static void abandon_forgetful(void *arg)
{
    tt_abandoned left;

    (void)arg;
    tt_abandon_begin_when(&left, forget_and_yield, NULL, has_yielded);
    tt_abandon_end(&left);
}

Test(abandoned, in_a_scope_whose_frame_is_gone)
{
    tt_child child = tt_fork(abandon_forgetful, NULL);

    cr_assert(tt_child_aborted(&child, "the frame of a scope has returned without leaving it"), "%s", child.said);
}

/* --- Order ------------------------------------------------------------------------------------------------------------------ */

typedef struct {
    tt_manual *manual; /* the futures of all fibers */
    unsigned value;    /* on the fiber's stack */
} exit_frame;

enum { FIBERS = 3 };

static atomic_uint exits;

/* Exit hook: checks that every future has been dropped and that the stack is still mapped. */
static void look_around(void *arg)
{
    const exit_frame *frame = arg;

    tt_check(frame->value == 42);
    for (int i = 0; i < FIBERS; i++)
        tt_check(atomic_load(&frame->manual[i].drops) == 1);
    atomic_fetch_add(&exits, 1);
}

static void *await_with_hook(void *arg)
{
    static atomic_uint number;
    exit_frame frame = {arg, 42};

    tt_check(tn_task_at_exit(look_around, &frame) == 0);
    (void)tn_await(&frame.manual[atomic_fetch_add(&number, 1)].base);
    return never();
}

static void *spawn_others(void *arg)
{
    tt_manual *manual = arg;

    tt_check(tn_spawn(NULL, await_with_hook, manual) == 0);
    tt_check(tn_spawn_future(NULL, NULL, NULL, &manual[FIBERS - 1].base) == 0);
    while (atomic_load(&manual[FIBERS - 1].polls) == 0 || atomic_load(&manual[0].polls) == 0)
        tt_check(tn_yield() == 0);
    return await_with_hook(manual);
}

Test(abandoned, futures_before_exit_hooks)
{
    tt_manual manual[FIBERS];
    tt_abandoned left;

    for (int i = 0; i < FIBERS; i++)
        tt_manual_init(&manual[i]);
    tt_abandon_begin(&left, spawn_others, manual);
    tt_abandon_end_with(&left, 2);
    cr_assert_eq(atomic_load(&left.allocator.blocks), 0);
    cr_assert_eq(atomic_load(&exits), 2);
}

/* --- While a thread is inside another task ---------------------------------------------------------------------------------- */

typedef struct {
    tt_manual suspended;
    tt_manual later;
    tt_gate begun;
    tt_gate go_on;
} stuck;

/* Continues after destroy has given up, and then waits once more. */
static void *get_stuck(void *arg)
{
    stuck *s = arg;

    tt_gate_open(&s->begun);
    tt_gate_wait(&s->go_on, 1);
    (void)tn_await(&s->later.base);
    return never();
}

/* The futures are dropped only when the last thread has returned. A join returns after that. */
Test(abandoned, while_a_thread_is_inside_a_task)
{
    stuck s = {.begun = TT_GATE_INIT, .go_on = TT_GATE_INIT};
    tn_runtime *runtime = tt_runtime_create();
    tn_task *suspended;
    tn_task *inside;

    tt_manual_init(&s.suspended);
    tt_manual_init(&s.later);
    suspended = tt_spawn_on(runtime, await, &s.suspended);
    cr_assert(tt_wait_until(tt_manual_was_polled, &s.suspended, 20 * TN_S));
    inside = tt_spawn_on(runtime, get_stuck, &s);
    tt_gate_wait(&s.begun, 1);
    cr_assert_eq(tn_runtime_destroy(runtime, TN_SHUTDOWN_WAIT, TN_MS), 2);
    cr_assert_eq(atomic_load(&s.suspended.drops), 0);
    cr_assert(!tn_task_is_finished(suspended));
    tt_gate_open(&s.go_on);
    cr_assert_eq(tn_join(suspended, NULL), TN_ESHUTDOWN);
    cr_assert_eq(tn_join(inside, NULL), TN_ESHUTDOWN);
    cr_assert_eq(atomic_load(&s.suspended.drops), 1);
    cr_assert_eq(atomic_load(&s.later.drops), 1);
}
